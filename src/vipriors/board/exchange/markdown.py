"""HTML of other platforms' pages as Markdown, the plain parts of it: the board shows no HTML of others."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BLOCKS = {"p", "div", "section", "article", "table", "tr", "blockquote", "pre", "center", *_HEADINGS}
_AROUND = {"strong": "**", "b": "**", "em": "*", "i": "*", "code": "`"}
_SILENT = {"script", "style", "head", "title", "noscript", "template"}
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")


def markdown_of(text: str) -> str:
    """Headings, paragraphs, lists, links, emphasis and cells; everything else is its text."""
    writer = _Writer()
    writer.feed(text)
    writer.close()
    lines = [line.rstrip() for line in "".join(writer.out).splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Writer(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self._silent = 0
        self._lists: list[int | None] = []
        self._links: list[str] = []

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """`<![…>` is a comment, as in browsers; the library's own reading fails where no name follows."""
        return self.parse_bogus_comment(i)  # type: ignore[attr-defined, no-any-return]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag in ("ul", "ol"):
            self._block(len(self._lists) == 0)
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._item()
        elif tag == "br":
            self.out.append("\n")
        elif tag == "hr":
            self.out.append("\n\n---\n\n")
        elif tag in ("td", "th"):
            self.out.append(" ")
        elif tag == "a":
            href = dict(attrs).get("href") or ""
            # Written as Markdown only where nothing in it could end the link.
            fit = re.fullmatch(r"(https?://|mailto:)[^\s()<>\"'\\]+", href)
            self._links.append(href if fit else "")
            self.out.append("[" if fit else "")
        elif tag in _BLOCKS:
            self._block(True)
            if tag in _HEADINGS:
                self.out.append(f"{_HEADINGS[tag]} ")
        self.out.append(_AROUND.get(tag, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(self._silent - 1, 0)
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
            self._block(not self._lists)
        elif tag == "a" and self._links:
            href = self._links.pop()
            self.out.append(f"]({href})" if href else "")
        elif tag in _BLOCKS:
            self._block(True)
        self.out.append(_AROUND.get(tag, ""))

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        text = re.sub(r"\s+", " ", data)
        is_code = self.get_starttag_text() == "<code>" and self.out[-1:] == ["`"]
        self.out.append(text.replace("`", "") if is_code else _SPECIAL.sub(r"\\\1", text))

    def _block(self, apart: bool) -> None:
        self.out.append("\n\n" if apart else "\n")

    def _item(self) -> None:
        depth = max(len(self._lists) - 1, 0)
        mark = "-"
        if self._lists and self._lists[-1] is not None:
            self._lists[-1] += 1
            mark = f"{self._lists[-1]}."
        self.out.append(f"\n{'   ' * depth}{mark} ")
