"""The public pages of a board as plain files, which need no server.

The application renders them as for a visitor who is not signed in; links between them are made relative.
What needs the board itself is left out: forms, links to pages for people who are signed in, and parts of
pages that are marked with `data-live`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import anyio
import httpx

from vipriors.board import viewing
from vipriors.board.core import Board
from vipriors.board.models import now
from vipriors.board.web.app import make_app
from vipriors.data.files import os_errors, write_atomic
from vipriors.problems import BadInput

COPIED = re.compile(
    r"/|/static/[^/]+|/c/[^/]+(/leaderboard(/embed)?|/challenge\.yaml)?"
    r"|/api/v1/challenges/[^/]+/leaderboard(\.csv)?"
)
"""Paths that are copied; links to others lead nowhere."""

SUFFIXES = {"text/html": ".html", "application/json": ".json", "text/csv": ".csv"}
NOWHERE = "on the board itself alone, of which this is a copy"
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass(frozen=True)
class Page:
    """An answer of the application.

    Attributes:
        file: where it goes.
        kind: its media type.
    """

    file: PurePosixPath
    kind: str
    content: bytes


def export_static(board: Board, folder: Path) -> list[Path]:
    """Writes the public pages of a board and says which files; other files in the folder stay.

    Args:
        board: the board.
        folder: where they go.

    Raises:
        BadInput: the folder cannot be written to, or the first page cannot be shown.
    """
    pages = anyio.run(_fetch_all, board)
    if "/" not in pages:
        raise BadInput.single("static copy", "the first page cannot be shown")
    files = {target: page.file for target, page in pages.items()}
    written = []
    with os_errors(folder):
        for page in pages.values():
            content = page.content
            if page.kind == "text/html":
                text = content.decode("utf-8")
                content = _rewritten(text, page.file, files, board.settings.base_url, now()).encode()
            file = folder / page.file
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, content)
            written.append(file)
    return sorted(written)


async def _fetch_all(board: Board) -> dict[str, Page]:
    """What is reached from the first page and from the frames of leaderboards, by its address."""
    with board.database.reading() as session:
        names = [challenge.name for challenge in viewing.challenges(session, viewing.NOBODY)]
    waiting = ["/", *(f"/c/{name}/leaderboard/embed" for name in names)]
    seen, pages = set(waiting), {}
    transport = httpx.ASGITransport(app=make_app(board))
    async with httpx.AsyncClient(transport=transport, base_url="http://board") as client:
        while waiting:
            target = waiting.pop()
            answer = await client.get(target)
            if answer.status_code != httpx.codes.OK:
                continue
            kind = answer.headers.get("content-type", "").partition(";")[0]
            page = pages[target] = Page(_file_of(target, kind), kind, answer.content)
            if page.kind == "text/html":
                for link in _links(answer.text):
                    found = _target(link, target, board.settings.base_url)
                    if found is not None and found not in seen:
                        seen.add(found)
                        waiting.append(found)
    return pages


def _target(link: str, of: str, base_url: str) -> str | None:
    """The address on the board that a link leads to, if it is copied."""
    link = link.removeprefix(base_url.rstrip("/")) if link.startswith(base_url.rstrip("/") + "/") else link
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not (parts.path or parts.query):
        return None
    path = parts.path or urlsplit(of).path
    if not path.startswith("/") or not COPIED.fullmatch(path):
        return None
    return path + (f"?{parts.query}" if parts.query and not path.startswith("/static/") else "")


def _file_of(target: str, kind: str) -> PurePosixPath:
    """Where an answer goes. What names may not hold in files is replaced, and told apart by a hash."""
    parts = urlsplit(target)
    suffix = SUFFIXES.get(kind, "")
    path = PurePosixPath(*(_name(unquote(part)) for part in parts.path.split("/") if part))
    if parts.query:
        return path.with_suffix("") / f"{_name(unquote(parts.query))}{suffix}"
    if kind == "text/html" and path.name != "embed":
        return path / "index.html"
    return path if path.suffix in (suffix, ".yaml") and path.suffix else path.with_name(path.name + suffix)


def _name(text: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:60]
    if safe == text:
        return safe
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _links(text: str) -> list[str]:
    collector = _Rewriter(lambda link: link)
    collector.feed(text)
    collector.close()
    return collector.links


def _rewritten(
    text: str, file: PurePosixPath, files: dict[str, PurePosixPath], base_url: str, at: datetime
) -> str:
    own = next(target for target, each in files.items() if each == file)

    def place(link: str) -> str | None:
        parts = urlsplit(link)
        if link.startswith("#"):
            return link
        if (target := _target(link, own, base_url)) in files:
            there = os.path.relpath(files[target], file.parent)
            return there + (f"#{parts.fragment}" if parts.fragment else "")
        is_elsewhere = bool(parts.scheme) and not link.startswith(base_url)
        return link if is_elsewhere else None

    writer = _Rewriter(place)
    writer.feed(text)
    writer.close()
    said = f"A copy of the board as it was on {at:%Y-%m-%d %H:%M} UTC. Nothing can be sent from here."
    note = f'<div class="wrap"><p class="note">{said}</p></div>'
    return re.sub(r"(<main\b[^>]*>)", rf"\1{note}", "".join(writer.out[0]), count=1)


class _Rewriter(HTMLParser):
    """Writes a page again with other links; those that lead nowhere go, and with them what is nothing else.

    Args:
        place: the link in place of another; None for none.
    """

    def __init__(self, place: Callable[[str], str | None]):
        super().__init__(convert_charrefs=False)
        self.out: list[list[str]] = [[]]
        self.links: list[str] = []
        self._place = place
        self._items: list[tuple[bool, bool]] = []
        """Of each list item that is open: whether it has had links that are kept, and that are not."""
        self._anchors: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Writes a tag, with its link as it is now."""
        if self._silent:
            self._silent += [tag] if tag == self._silent[0] else []
            return
        if tag == "form" or "data-live" in dict(attrs):
            self._silent.append(tag)
            return
        if tag == "li":
            self.out.append([])
            self._items.append((False, False))
        name = "href" if tag in ("a", "link") else "src" if tag in ("script", "img", "iframe") else None
        link = dict(attrs).get(name) if name else None
        if name is None or link is None:
            self._write(self.get_starttag_text() or "")
            return
        self.links.append(link)
        found = self._place(link)
        if tag == "a":
            self._note(found is not None)
            if found is None and "button" in (dict(attrs).get("class") or ""):
                self._silent.append(tag)
                return
            self._anchors.append("a" if found is not None else "span")
            if found is None:
                self._write(f'<span title="{NOWHERE}">')
                return
        if found is None:
            self._silent += [] if tag in _VOID else [tag]
            return
        given = {key: value for key, value in attrs if value is not None} | {name: found}
        flags = "".join(f" {key}" for key, value in attrs if value is None)
        self._write(
            f"<{tag}{''.join(f' {k}={chr(34)}{escape(v)}{chr(34)}' for k, v in given.items())}{flags}>"
        )

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Writes a tag that ends itself, as pictures have them."""
        if not self._silent:
            self._write(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        """Writes the end of a tag."""
        if self._silent:
            if tag == self._silent[-1]:
                self._silent.pop()
            return
        if tag == "a" and self._anchors:
            tag = self._anchors.pop()
        self._write(f"</{tag}>")
        if tag == "li" and self._items:
            kept, gone = self._items.pop()
            item = self.out.pop()
            if kept or not gone:
                self.out[-1] += item

    def handle_data(self, data: str) -> None:
        """Writes text."""
        self._write(data)

    def handle_entityref(self, name: str) -> None:
        """Writes a character by its name."""
        self._write(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Writes a character by its number."""
        self._write(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        """Writes the document's type."""
        self._write(f"<!{decl}>")

    def _write(self, text: str) -> None:
        if not self._silent:
            self.out[-1].append(text)

    def _note(self, kept: bool) -> None:
        self._items = [(had or kept, lost or not kept) for had, lost in self._items]
