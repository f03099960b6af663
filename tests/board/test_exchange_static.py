"""The static copy of a board: every page opens, every link leads to a file, and nothing secret is in it."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from board_helpers import CHALLENGE, add_person, labels, make_board, queue
from sqlalchemy import select

from vipriors.board import service
from vipriors.board.core import Board
from vipriors.board.exchange.static import _rewritten, export_static
from vipriors.board.models import SCORED, Challenge, Score, Submission, now
from vipriors.problems import BadInput


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "action") and value is not None:
                self.found.append((tag, value))
            if name == "id" and value:
                self.ids.add(value)


def read(file: Path) -> Links:
    links = Links()
    links.feed(file.read_text())
    return links


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Two public challenges, one of two phases with entries, and a hidden one."""
    tmp_path = tmp_path_factory.mktemp("board")
    made = make_board(tmp_path, [{}, {"name": "Final & last/übung"}])
    for name in ("empty", "secret"):
        (tmp_path / f"{name}.yaml").write_text(CHALLENGE.replace("tiny", name))
        (tmp_path / "labels.csv").write_text(labels())
        service.add_challenge(
            made, tmp_path / f"{name}.yaml", tmp_path / "labels.csv", hidden=name == "secret"
        )
    service.edit_pages(
        made, "tiny", description="See [elsewhere](https://example.org/?a=1&b=2) & <b>this</b>."
    )
    for name, value in (("ada", 0.9), ("<script>alert(1)</script>", 0.5)):
        entry = queue(made, add_person(made, name), 4, salt=int(value * 10))
        with made.database.writing() as session, session.begin():
            row = session.get_one(Submission, entry)
            row.state, row.due = SCORED, None
            row.declaration = {"kind": "single", "parameters": 1000, "cost": "1 h"}
            for part in ("public", "private", "all"):
                other = value if part == "public" else 0.123456
                about = {"labels_version": 1, "value": other, "low": 0.1, "high": 0.95, "record": {}}
                session.add(Score(submission_id=entry, part=part, **about))
    return made


@pytest.fixture(scope="module")
def site(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its static copy."""
    site = tmp_path_factory.mktemp("copy") / "site"
    files = export_static(board, site)
    assert {file for file in site.rglob("*") if file.is_file()} == set(files)
    return site


def files_of(site: Path) -> list[Path]:
    return sorted(file for file in site.rglob("*") if file.is_file())


def test_every_page_opens_and_every_link_leads_somewhere(site: Path) -> None:
    files = files_of(site)
    pages = [file for file in files if file.suffix == ".html"]
    reached, waiting = set(), [site / "index.html"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        if page.suffix != ".html":
            continue
        links = read(page)
        assert not {"form", "input", "button"} & set(links.tags), page
        for tag, link in links.found:
            parts = urlsplit(link)
            if parts.scheme:
                assert link == "https://example.org/?a=1&b=2"
                continue
            assert not link.startswith("/") and not parts.query, (page, tag, link)
            target = (page.parent / parts.path).resolve() if parts.path else page
            assert target.is_file(), (page, tag, link)
            if parts.fragment:
                assert parts.fragment in read(target).ids
            waiting.append(target)
    frames = {site / "c" / name / "leaderboard" / "embed.html" for name in ("tiny", "empty")}
    assert set(pages) - reached <= frames | {file for file in pages if "embed" in file.parts}
    for page in pages:
        text = page.read_text()
        assert text.lower().startswith("<!doctype html>") or text.lstrip().lower().startswith(
            "<!doctype html>"
        )
        assert "A copy of the board as it was on" in text
        for live in ("/sign-in", "/submit", "vipriors submit", "iframe", "data-live"):
            assert live not in text, live


def test_the_copy_shows_what_the_board_shows(site: Path) -> None:
    files = files_of(site)
    page = (site / "c" / "tiny" / "leaderboard" / "index.html").read_text()
    assert "90.00" in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page and "<svg" in page and "viewBox" in page
    tables = [file for file in files if file.suffix == ".csv"]
    assert tables
    rows = [list(csv.DictReader(io.StringIO(file.read_text()))) for file in tables]
    assert [("ada", "0.9")] in [[(row["team"], row["score"]) for row in table[:1]] for table in rows]
    found = [json.loads(file.read_text()) for file in files if file.suffix == ".json"]
    assert "ada" in [line["team"] for each in found for line in each["lines"]]


def test_nothing_secret_is_in_the_copy(board: Board, site: Path) -> None:
    files = files_of(site)
    text = "".join(file.read_text() for file in files)
    with board.database.reading() as session:
        challenges = session.scalars(select(Challenge)).all()
    for secret in ("secret", "0.123456", "12.35", 'example.org"', "ada@example", challenges[0].split_seed):
        assert secret not in text.replace("A secret 50 %", ""), secret
    assert not [file for file in files if "secret" in file.relative_to(site).as_posix()]


def test_other_files_stay_and_a_second_copy_is_made_over_the_first(
    board: Board, site: Path, tmp_path: Path
) -> None:
    first = files_of(site)
    (site / "mine.txt").write_text("mine")
    assert export_static(board, site) == first
    assert (site / "mine.txt").read_text() == "mine"
    (site / "mine.txt").unlink()
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput):
        export_static(board, tmp_path / "file")


def test_links_of_a_page() -> None:
    from pathlib import PurePosixPath

    files = {"/": PurePosixPath("index.html"), "/c/a": PurePosixPath("c/a/index.html")}
    text = (
        '<!doctype html><main id="main"><a class="x" href="/c/a#top">A &amp; b&nbsp;c</a><br>'
        '<ul><li><a href="/sign-in">Sign in</a></li><li>plain</li>'
        '<li><a href="/">H</a> <a href="/x">no</a></li></ul>'
        '<a class="button" href="/c/a/submit">Submit</a>'
        '<form action="/y"><p><input></p></form><svg viewBox="0 0"/>'
        '<a href="#main">up</a><a href="https://b.org/?x=1&amp;y">out</a><a href="http://h/account">me</a></main>'
    )
    written = _rewritten(text, files["/"], files, "http://h", now())
    assert re.sub(r'<div class="wrap">.*?</div>', "", written) == (
        '<!doctype html><main id="main"><a class="x" href="c/a/index.html#top">A &amp; b&nbsp;c</a><br>'
        '<ul><li>plain</li><li><a href="index.html">H</a> '
        '<span title="on the board itself alone, of which this is a copy">no</span></li></ul>'
        '<svg viewBox="0 0"/><a href="#main">up</a><a href="https://b.org/?x=1&amp;y">out</a>'
        '<span title="on the board itself alone, of which this is a copy">me</span></main>'
    )
