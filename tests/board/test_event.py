"""The pages of an event: facts, links, safety and contrast, and what is said of files that are wrong."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel

import vipriors.board.event
from vipriors.board.event import sections
from vipriors.board.event.fields import zone_of
from vipriors.board.event.leaderboard import Cell, Column, Leaderboard
from vipriors.board.event.schema import Event, read_event
from vipriors.board.event.site import build
from vipriors.board.event.wording import initials, when
from vipriors.board.markup import html, is_link, wrong_links
from vipriors.problems import BadInput

PACKAGE = Path(vipriors.board.event.__file__).parent
EXAMPLE = PACKAGE / "examples" / "vipriors-2020.yaml"
VOID = {"meta", "link", "img", "br", "hr"}
LINK = {"title": "A link of links", "url": "https://links.example/a?b=1&c=2"}
DATES = {
    "zone": "Europe/Amsterdam",
    "items": [{"what": "It closes", "when": "2031-07-10 23:30", "moved_from": "2031-07-03 12:00"}],
}
FULL: dict[str, Any] = {
    "title": "The 7th meeting on few images",
    "short": "Few 2031",
    "tagline": "Less is enough",
    "venue": "Conference on Vision",
    "place": "Hall 5",
    "date": "2031-05-04",
    "until": "2031-05-06",
    "notice": "Doors are **open**.",
    "about": "We meet.\n\n# A heading\n\n* and talk",
    "dates": DATES,
    "links": [LINK],
    "calls": [
        {
            "name": "main",
            "title": "Call for works",
            "summary": "Send works",
            "text": "Please send [them](https://send.example/).",
            "topics": ["Topic of topics"],
            "guidelines": ["Blind reviews"],
            "dates": DATES,
            "links": [LINK],
        }
    ],
    "program": {
        "summary": "Three days",
        "zone": "UTC-03:30",
        "text": "Come early.",
        "days": [
            {
                "date": "2031-05-04",
                "title": "Opening day",
                "sittings": ["East", "West"],
                "sessions": [
                    {
                        "title": "Breakfast",
                        "pause": "true",
                        "items": [
                            {
                                "at": ["8:00", "19:05"],
                                "title": "Bread",
                                "text": "And *butter*.",
                                "papers": "oral",
                                "talks": [{"title": "On bread", "by": ["Ann Baker"], "links": [LINK]}],
                            }
                        ],
                    }
                ],
            }
        ],
        "links": [LINK],
    },
    "papers": [
        {
            "name": "oral",
            "title": "Oral works",
            "text": "Read these.",
            "papers": [{"title": "One image is plenty", "authors": ["Bo Few", "Cy Fewer"], "links": [LINK]}],
        }
    ],
    "speakers": [
        {
            "name": "Dee van Eff",
            "title": "prof.",
            "affiliation": "Lab of labs",
            "url": "https://dee.example/",
            "picture": "dee.jpg",
            "text": "She sees.",
        }
    ],
    "organizers": [{"name": "Gus Half"}],
    "recordings": [{"title": "The film", "url": "https://film.example/", "text": "Elsewhere"}],
    "challenges": {
        "title": "Contests",
        "summary": "There is one",
        "text": "Take part.",
        "dates": DATES,
        "rules": ["Rule of rules"],
        "sections": [{"title": "Where data are", "text": "There.", "links": [LINK]}],
        "tracks": [
            {
                "name": "naming",
                "title": "Naming of things",
                "summary": "Name them",
                "data": {"title": "Thingset", "url": "https://things.example/"},
                "text": "All of them.",
                "rules": ["No guessing"],
                "links": [LINK],
                "board": {"url": "https://live.example:8000/b", "challenge": "names & co", "phase": "final"},
                "ranking": {
                    "text": "After a look.",
                    "metric": "Names right",
                    "places": [
                        {
                            "rank": "1",
                            "members": ["Ida Jay", "Kay El"],
                            "team": "Namers",
                            "affiliations": ["School of names"],
                            "score": "0.710",
                            "works": [{"kind": "Poem", "title": "How we named", "url": "https://p.example/"}],
                            "note": "With a smile",
                        },
                        {"rank": "1", "team": "Also first"},
                    ],
                    "links": [LINK],
                },
            }
        ],
    },
    "contact": {"text": "Write to us.", "email": "few@vision.example"},
}
BOARD = Leaderboard(
    [Column("Team"), Column("Top-1", numeric=True)],
    [[Cell("Fast ones", "https://board.example/teams/1"), Cell("0.7")], [Cell("<b>Slow</b>"), Cell("0.6")]],
    "A note of the board",
    datetime(2031, 5, 4, 12, 30, tzinfo=timezone(timedelta(hours=2))),
    "https://board.example/naming",
)
Leaf = tuple[str | int, ...]


class Page(HTMLParser):
    """A page's elements and text; complains about tags that do not match."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.faults: list[str] = []
        self.feed(source)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if len(dict(attrs)) != len(attrs):
            self.faults.append(f"<{tag}> repeats an attribute")
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if "svg" not in self.open:
            self.faults.append(f"<{tag}/> is no HTML")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def write(folder: Path, content: dict[str, Any]) -> Path:
    Image.new("RGB", (40, 30), (90, 120, 30)).save(folder / "dee.jpg")
    file = folder / "event.yaml"
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")  # which is YAML too
    return file


def leaves(content: Any, at: Leaf = ()) -> Iterator[tuple[Leaf, str]]:
    if isinstance(content, str):
        yield at, content
        return
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield from leaves(value, (*at, key))


def replaced(content: Any, at: Leaf, value: Any) -> Any:
    """A copy with one value replaced, or with the key taken away if the value is None."""
    changed = json.loads(json.dumps(content))  # in which nothing is shared
    inside = changed
    for key in at[:-1]:
        inside = inside[key]
    if value is None:
        del inside[at[-1]]
    else:
        inside[at[-1]] = value
    return changed


def parsed(out: Path) -> dict[str, Page]:
    files = sorted(out.rglob("*.html"))
    return {str(file.relative_to(out)): Page(file.read_text(encoding="utf-8")) for file in files}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The example, an event that has everything, and one that has the least."""
    folder = tmp_path_factory.mktemp("events")
    least = {key: FULL[key] for key in ("title", "short", "tagline", "venue", "date", "about", "contact")}
    events = {
        "example": (read_event(EXAMPLE), None),
        "full": (read_event(write(folder, FULL)), {"naming": BOARD}),
        "least": (read_event(write(folder, least)), {}),
    }
    for name, (event, boards) in events.items():
        build(event, folder / name, boards)
    return {name: folder / name for name in events}


@pytest.fixture(scope="module")
def pages(sites: dict[str, Path]) -> dict[str, dict[str, Page]]:
    return {name: parsed(out) for name, out in sites.items()}


def every_page(pages: dict[str, dict[str, Page]]) -> Iterator[tuple[str, str, Page]]:
    for site, found in pages.items():
        for path, page in found.items():
            yield site, path, page


def test_an_event_has_the_pages_it_needs(pages: dict[str, dict[str, Page]], sites: dict[str, Path]) -> None:
    tracks = ["image-classification", "semantic-segmentation", "object-detection", "action-recognition"]
    shared = {"index.html", "program.html", "calls.html", "papers.html", "challenges.html"}
    assert pages["example"].keys() == shared | {f"challenges/{name}.html" for name in tracks}
    assert pages["full"].keys() == shared | {"challenges/naming.html"}
    assert pages["least"].keys() == {"index.html"}
    nav = [attributes["href"] for attributes in pages["least"]["index.html"].all("a")]
    assert nav == [
        "#_main",
        "index.html",
        "index.html",
        "mailto:few@vision.example",
        "mailto:few@vision.example",
    ]


def test_every_page_is_whole_html(pages: dict[str, dict[str, Page]]) -> None:
    for site, path, page in every_page(pages):
        assert page.faults == [], (site, path)
        assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
        assert page.all("html") == [{"lang": "en"}]
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids)), (site, path)
        named = [at["aria-labelledby"] for _, at in page.elements if "aria-labelledby" in at]
        assert set(named) <= set(ids), (site, path)
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (site, path, levels)
        if page.all("nav")[1:]:
            assert all("aria-label" in nav for nav in page.all("nav"))
        assert all("alt" in image for image in page.all("img"))


def test_the_keyboard_reaches_the_content_first(pages: dict[str, dict[str, Page]]) -> None:
    for site, path, page in every_page(pages):
        focusable = [at for tag, at in page.elements if tag == "a" or (tag != "main" and "tabindex" in at)]
        assert focusable[0] == {"class": "skip", "href": "#_main"}, (site, path)
        current = [
            at for tag, at in page.elements if tag == "a" and at.get("aria-current") in ("page", "true")
        ]
        assert current, (site, path)
    assert ":focus-visible { outline: 3px" in (PACKAGE / "event.css").read_text()


def test_internal_links_resolve_and_are_relative(
    sites: dict[str, Path], pages: dict[str, dict[str, Page]]
) -> None:
    seen = 0
    for site, path, page in every_page(pages):
        for _, attributes in page.elements:
            for url in filter(None, (attributes.get("href"), attributes.get("src"))):
                parts = urlsplit(url)
                if parts.scheme:
                    continue
                assert not parts.netloc and not parts.path.startswith("/"), url
                target = (sites[site] / path).parent / parts.path if parts.path else sites[site] / path
                assert target.is_file(), (site, path, url)
                if parts.fragment:
                    goal = pages[site][str(target.resolve().relative_to(sites[site].resolve()))]
                    assert any(at.get("id") == parts.fragment for _, at in goal.elements), (path, url)
                seen += 1
    assert seen > 100


def test_nothing_is_fetched_from_elsewhere(sites: dict[str, Path], pages: dict[str, dict[str, Page]]) -> None:
    policy = "default-src 'none'; style-src 'self' file:; img-src 'self' file:; "
    policy += "base-uri 'none'; form-action 'none'"
    for site, path, page in every_page(pages):
        live = path == "challenges/naming.html"
        allowed = "frame-src https://live.example:8000; base-uri" if live else "base-uri"
        expected = policy.replace("base-uri", allowed)
        assert [m["content"] for m in page.all("meta") if m.get("http-equiv")] == [expected], (site, path)
        frames = [at["src"] for at in page.all("iframe")]
        address = "https://live.example:8000/b/c/names%20%26%20co/leaderboard/embed?phase=final"
        assert frames == ([address] if live else [])
        tags = {tag for tag, _ in page.elements} - {"iframe"}
        assert not tags & {"script", "style", "object", "embed", "video", "audio", "form", "base"}
        for tag, attributes in page.elements:
            assert not {"srcset", "style", "action", "ping", "background"} & attributes.keys(), (path, tag)
            assert not any(name.startswith("on") for name in attributes)
            fetched = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
            assert fetched is None or tag == "iframe" or not urlsplit(fetched).scheme
            if tag == "a" and str(attributes["href"]).startswith("http"):
                assert attributes["rel"] == "noopener noreferrer"
    for out in sites.values():
        assert not re.search(r"url\(|@import|@font-face", (out / "event.css").read_text())
        icon = (out / "icon.svg").read_text()
        assert re.findall(r"https?://[^\"']+", icon) == ["http://www.w3.org/2000/svg"]


PLACES = [
    (r"^(calls)\.", ["calls.html"]),
    (r"^(program)\.", ["program.html"]),
    (r"^papers\.", ["papers.html"]),
    (r"^challenges\.tracks\.(\d+)\.", ["challenges/*.html"]),
    (r"^challenges\.dates\.", ["index.html", "challenges.html", "challenges/*.html"]),
    (r"^challenges\.rules\.", ["challenges.html", "challenges/*.html"]),
    (r"^challenges\.", ["challenges.html"]),
    (r"^short$", ["*.html"]),
    (r"", ["index.html"]),
]
"""Which pages the facts at a place of the file must be on."""


def shown(at: Leaf, value: str) -> str | None:
    """How a value must read on a page; None for what is not text."""
    if at[-1] in ("name", "papers", "pause", "picture") and at[0] not in ("speakers", "organizers"):
        return None
    if at[-1] in ("picture", "zone"):
        return None
    if at[-1] in ("date", "until", "when", "moved_from"):
        moment = datetime.fromisoformat(value)
        return f"{moment.day} {moment:%B %Y}" + (f", {moment:%H:%M}" if ":" in value else "")
    if at[-2:-1] == ("at",):
        return value.zfill(5)
    value = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", value)
    return " ".join(re.sub(r"\*\*|\*(?=\S)|(?<=\S)\*|^[*#] ", "", value, flags=re.M).split()).replace(
        "* ", ""
    )


@pytest.mark.parametrize("name", ["example", "full"])
def test_every_fact_of_the_file_is_on_its_page(name: str, pages: dict[str, dict[str, Page]]) -> None:
    content = yaml.load(EXAMPLE.read_text(), yaml.BaseLoader) if name == "example" else FULL
    found = pages[name]
    tracks = [f"challenges/{track['name']}.html" for track in content["challenges"]["tracks"]]
    count = 0
    for at, value in leaves(content):
        if "board" in at:
            continue  # is an address; see `test_nothing_is_fetched_from_elsewhere`
        where = ".".join(map(str, at))
        match, globs = next(
            (match, globs) for pattern, globs in PLACES if (match := re.match(pattern, where))
        )
        goals = [path for path in found if any(Path(path).match(glob) for glob in globs)]
        if "tracks" in where:
            goals = [tracks[int(match[1])]]
        for goal in goals:
            page = found[goal]
            if at[-1] == "url":
                assert value in [a["href"] for a in page.all("a")], (goal, where)
            elif at[-1] == "email":
                assert f"mailto:{value}" in [a["href"] for a in page.all("a")]
            elif (text := shown(at, value)) is not None:
                assert text in page.text, (goal, where)
            count += 1
    assert count > (300 if name == "example" else 80)


def test_the_edition_of_2020_has_what_it_had(pages: dict[str, dict[str, Page]]) -> None:
    """Counted and copied from the edition's own pages, apart from the example's file."""
    found = pages["example"]
    program = found["program.html"]
    starts = ["08:00", "08:40", "08:45", "09:10", "09:25", "09:35", "09:45", "09:50", "09:55"]
    expected = [[hour, f"{int(hour[:2]) + 10}{hour[2:]}"] for hour in starts]
    stamps = [f"2020-08-23T{hour}+01:00" for hour in itertools.chain.from_iterable(expected)]
    assert [at["datetime"] for at in program.all("time") if "T" in str(at["datetime"])] == stamps
    assert "UTC+1" in program.text and "08:00 is 07:00 UTC" in program.text
    papers = (PACKAGE / "examples" / "vipriors-2020.yaml").read_text()
    event = yaml.load(papers, yaml.BaseLoader)
    assert [len(one["papers"]) for one in event["papers"]] == [5, 7, 3]
    assert [len(one["ranking"]["places"]) for one in event["challenges"]["tracks"]] == [5, 5, 3, 4]
    index = found["index.html"].text
    for name in ("Matthias Bethge", "Charles Leek", "Daniel Cremers", "Marcos Baptista Ríos"):
        assert name in index
    days = ["2020-03-11", "2020-07-10", "2020-07-03", "2020-07-17", "2020-07-24", "2020-07-17"]
    assert [str(at["datetime"]) for at in found["challenges.html"].all("time")][:6] == days
    classification = found["challenges/image-classification.html"].text
    assert re.findall(r"(\d)\s?shared", classification) == ["2", "2"]
    assert "https://www.youtube.com/watch?v=JuZliqT2yxg" in [
        at["href"] for at in found["index.html"].all("a")
    ]


PAYLOADS = [
    "<script>alert(1)</script>",
    'x" onmouseover="alert(1)" y=\'',
    "</title></p><img src=x onerror=alert(1)><svg/onload=alert(1)>",
    "{{ 7*7 }}{% raw %}&lt;script&gt;]]>--><!--",
    "![x](https://evil.example/x.png) <https://evil.example/y> &#60;img src=x&#62;",
]
NOT_TEXT = {
    *("date", "until", "zone", "when", "moved_from", "url", "picture", "email", "rank", "pause"),
    *("calls.name", "papers.name", "tracks.name", "items.papers", "at"),
}


def kind(at: Leaf) -> str:
    words = [part for part in at if isinstance(part, str)]
    return words[-1] if words[-1] in NOT_TEXT else ".".join(words[-2:])


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_of_a_file_becomes_markup(
    payload: str, tmp_path: Path, pages: dict[str, dict[str, Page]]
) -> None:
    content = FULL
    for at, _ in leaves(FULL):
        if kind(at) not in NOT_TEXT:
            content = replaced(content, at, payload)
    evil = Leaderboard([Column(payload)], [[Cell(payload, "https://a.example/")]], payload)
    build(read_event(write(tmp_path, content)), tmp_path / "out", {"naming": evil})
    allowed = {tag for page in pages["full"].values() for tag, _ in page.elements} | {"p", "a", "em"}
    attributes = {name for page in pages["full"].values() for _, at in page.elements for name in at}
    for path, page in parsed(tmp_path / "out").items():
        assert page.faults == [], path
        assert {tag for tag, _ in page.elements} <= allowed, path
        assert {name for _, at in page.elements for name in at} <= attributes, path
        assert all(str(at["src"]).startswith("pictures/") for at in page.all("img"))
        assert all(is_link(str(at["href"])) or not urlsplit(str(at["href"])).scheme for at in page.all("a"))
        assert payload in "".join(page.words), path  # as text, to the letter
    assert "49" not in parsed(tmp_path / "out")["index.html"].all("title")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_is_no_text_refuses_text(payload: str, tmp_path: Path) -> None:
    content, expected = FULL, []
    for at, _ in leaves(FULL):
        if kind(at) in NOT_TEXT or at[-2:-1] == ("at",):
            # Lists of papers have the payload as their name, so that it would be right.
            content = replaced(content, at, f"{payload}!" if at[-1] == "papers" else payload)
            expected.append(".".join(map(str, at)))
    with pytest.raises(BadInput) as caught:
        read_event(write(tmp_path, content))
    assert sorted(problem.place.split(", ")[-1] for problem in caught.value.problems) == sorted(expected)


def test_the_full_event_has_every_field() -> None:
    """Otherwise a new field would be left out of the tests above."""
    seen: dict[type[BaseModel], set[str]] = {}

    def walk(value: object) -> None:
        if isinstance(value, BaseModel):
            seen.setdefault(type(value), set()).update(value.model_fields_set)
            for name in type(value).model_fields:
                walk(getattr(value, name))
        elif isinstance(value, tuple):
            for item in value:
                walk(item)

    walk(Event.model_validate(without_picture_and_lists()))
    for model, names in seen.items():
        missing = set(model.model_fields) - names - {"picture", "papers"}
        assert not missing, (model, missing)
    assert len(seen) == 22


def without_picture_and_lists() -> dict[str, Any]:
    content = replaced(FULL, ("speakers", 0, "picture"), None)
    return replaced(content, ("program", "days", 0, "sessions", 0, "items", 0, "papers"), None)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascript://host/%0aalert(1)",
        "java\nscript:alert(1)",
        " https://a.example/",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example/",
        "/program.html",
        "program.html",
        "https:evil",
        "https://",
        'https://a.example/" onclick="x',
        "https://[broken/",
        "",
    ],
)
def test_links_lead_to_sites_and_mailboxes_alone(url: str, tmp_path: Path) -> None:
    assert not is_link(url)
    with pytest.raises(BadInput) as caught:
        read_event(write(tmp_path, replaced(FULL, ("speakers", 0, "url"), url)))
    assert [problem.place.split(", ")[-1] for problem in caught.value.problems] == ["speakers.0.url"]
    with pytest.raises(ValueError, match="is no link"):
        Leaderboard([Column("a")], [[Cell("b", url)]])


@pytest.mark.parametrize("url", ["https://a.example", "http://a.example/b?c=d#e", "mailto:a@b.example"])
def test_links_that_are_fine(url: str) -> None:
    assert is_link(url)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[a](javascript:alert(1))", ["javascript:alert(1)"]),
        ("<javascript:alert(1)>", ["javascript:alert(1)"]),
        ("[a][b]\n\n[b]: data:text/html,x", ["data:text/html,x"]),
        ("* [a](program.html)\n\n> [b](//c.example)", ["program.html", "//c.example"]),
        ("[a](https://b.example) <mailto:c@d.example>", []),
        ("`[a](b)`", []),
    ],
)
def test_links_of_markdown_are_checked(text: str, wrong: list[str], tmp_path: Path) -> None:
    assert wrong_links(text) == wrong
    hrefs = [str(at["href"]) for at in Page(str(html(text))).all("a") if "href" in at]
    assert all(is_link(href) for href in hrefs)  # also if nobody had checked
    if wrong:
        with pytest.raises(BadInput) as caught:
            read_event(write(tmp_path, replaced(FULL, ("about",), text)))
        message = caught.value.problems[0].message
        assert f"links must start with https://, http:// or mailto:, unlike {', '.join(wrong)};" in message


def test_markdown_is_rendered() -> None:
    text = "# A\n\n**b** ~~c~~ [d](https://e.example)\n\n1. f\n\n|g|\n|-|\n|h|"
    assert "".join(str(html(text)).split()) == (
        "<h3>A</h3><p><strong>b</strong><s>c</s>"
        '<ahref="https://e.example"rel="noopenernoreferrer">d</a></p><ol><li>f</li></ol>'
        "<table><thead><tr><th>g</th></tr></thead><tbody><tr><td>h</td></tr></tbody></table>"
    )


def test_markdown_has_neither_html_nor_pictures() -> None:
    text = "<b>a</b>\n\n<script>b</script>\n\n![c](https://d.example/e.png)"
    page = Page(str(html(text)))
    assert {tag for tag, _ in page.elements} == {"p", "a"}
    assert page.text == "<b>a</b> <script>b</script> !c"


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def themes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r":root \{([^}]*)\}", (PACKAGE / "event.css").read_text())
    names = ("light", "dark", "print")
    return {
        name: dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))
        for name, block in zip(names, blocks, strict=True)
    }


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_text_stands_out(theme: str) -> None:
    palette = themes()["light"] | themes()[theme]
    for text, ground in itertools.product(("ink", "muted", "s0", "s1", "s2"), ("page", "faint")):
        assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
        # Text in the colour of the page stands on the main button.
    assert contrast(palette["page"], palette["s0"]) >= 4.5
    if theme != "print":
        assert contrast(palette["edge"], palette["page"]) >= 3
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


def test_colours_are_those_of_the_palette() -> None:
    css = (PACKAGE / "event.css").read_text()
    rest = re.sub(r":root \{[^}]*\}", "", css)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb|hsl|opacity|: (white|black|gr[ae]y)\b", rest)
    used, defined = set(re.findall(r"var\(--(\w+)\)", css)), set(themes()["light"])
    assert used == defined | {"tone"}
    assert set(themes()["dark"]) == defined
    grounds = set(re.findall(r"background: var\(--(\w+)\)", rest))
    assert grounds == {"page", "faint", "s0"}


def test_every_problem_is_listed_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "event.yaml"
    file.write_text(
        """\
title: A meeting
short: ""
tagline: b
venue: c
date: 2031-02-30
until: 2031-01-01 10:00
colour: red
about: "[a](javascript:x)"
dates:
  items:
    - {what: d, when: 2031-01-01}
    - {what: e, when: soon}
program:
  summary: f
  zone: Mars/Olympus
  days:
    - date: 2031-01-01
      sessions:
        - title: g
          items:
            - at: 25:00
              papers: nobody
papers:
  - name: Oral
    title: h
    papers:
      - {title: i, authors: []}
speakers:
  - name: j
    picture: ../k.png
  - url: ftp://l.example
challenges:
  summary: m
  text: n
  tracks:
    - {name: o, title: p, summary: q}
    - name: o
      title: r
      summary: s
      ranking:
        places: [{rank: 0, team: t}]
contact: {email: nobody}
"""
    )
    with pytest.raises(BadInput) as caught:
        read_event(file)
    day = "expected a day such as 2020-07-10"
    link = "expected a link that starts with https://, http:// or mailto:"
    zone = "expected a time zone such as UTC, UTC+1, AoE or Europe/Amsterdam"
    slug = "expected at most 60 small letters, digits and hyphens"
    assert [str(problem).removeprefix(f"{file}, ") for problem in caught.value.problems] == [
        "line 2, short: expected a text; found ''",
        f"line 5, date: {day}, or with an hour 2020-07-10 23:59; found '2031-02-30'",
        f"line 6, until: {day}; found '2031-01-01 10:00'",
        "line 8, about: links must start with https://, http:// or mailto:, unlike javascript:x; "
        "found '[a](javascript:x)'",
        f"line 12, dates.items.1.when: {day}, or with an hour 2020-07-10 23:59; found 'soon'",
        f"line 15, program.zone: {zone}; found 'Mars/Olympus'",
        "line 21, program.days.0.sessions.0.items.0.at.0: expected an hour from 00:00 to 23:59; "
        "found '25:00'",
        "line 22, program.days.0.sessions.0.items.0.papers: expected the name of a list of papers: Oral; "
        "found 'nobody'",
        f"line 24, papers.0.name: {slug}; found 'Oral'",
        "line 27, papers.0.papers.0.authors: expected at least one",
        "line 30, speakers.0.picture: expected a picture in the folder of the event's file or below; "
        "found '../k.png'",
        "line 31, speakers.1.name: is missing",
        f"line 31, speakers.1.url: {link}; found 'ftp://l.example'",
        "line 37, challenges.tracks.1.name: another track has this name; found 'o'",
        "line 41, challenges.tracks.1.ranking.places.0.rank: input should be greater than or equal to 1; "
        "found '0'",
        "line 42, contact.email: expected an address such as someone@example.org; found 'nobody'",
        "line 7, colour: there is no such field",
    ]


@pytest.mark.parametrize(
    ("at", "value", "place", "message"),
    [
        (("until",), "2031-05-04", "", "until 2031-05-04 is not after date 2031-05-04"),
        (
            ("dates",),
            {"items": [{"what": "A", "when": "2031-01-02", "moved_from": "2031-01-01 10:00"}]},
            "dates",
            "a zone is needed, since an hour is given for: A",
        ),
        (("dates", "zone"), None, "dates", "a zone is needed, since an hour is given for: It closes"),
        (
            ("program", "days", 0, "sessions", 0, "items", 0, "at"),
            "8:00",
            "program.days.0",
            "Bread starts 1 times, expected 2",
        ),
        (
            ("program", "days", 0, "sessions", 0, "items"),
            [{"at": ["8:00", "19:00"]}, {"at": ["8:30", "18:00"]}, {"at": ["8:30", "20:00"]}],
            "program.days.0",
            "East: 08:30 follows 08:30; West: 18:00 follows 19:00",
        ),
        (
            ("challenges", "tracks", 0, "ranking", "places"),
            [{"rank": "1", "team": "a"}, {"rank": "3", "team": "b"}, {"rank": "2", "team": "c"}],
            "challenges.tracks.0.ranking",
            "ranks must start at 1 and go up, unlike 1, 3, 2",
        ),
        (
            ("challenges", "tracks", 0, "ranking", "places", 1, "team"),
            None,
            "challenges.tracks.0.ranking.places.1",
            "members or a team are needed",
        ),
        (
            ("about",),
            "x" * 50_001,
            "about",
            f"string should have at most 50000 characters; found '{'x' * 80}'…",
        ),
    ],
)
def test_parts_must_fit_together(at: Leaf, value: Any, place: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read_event(write(tmp_path, replaced(FULL, at, value)))
    (problem,) = caught.value.problems
    assert problem.message == message
    assert problem.place.split(", ")[2:] == ([place] if place else [])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: [", "event.yaml, line 1: is not YAML: "),
        (b"- a", "event.yaml: is not a mapping of fields such as title, venue, date"),
        (b"", "event.yaml: is not a mapping of fields"),
        (b"a: \xff", "event.yaml: is not UTF-8: byte 3"),
        (b"a: &b c\nd: *b\ne: *b", "event.yaml, line 2: *b: write it out\n"),
        (b"a: 1\nb: {c: 1, c: 2}\na: 3", "event.yaml, line 2, b.c: is given twice\n"),
        (b"a: &a [*a]", "event.yaml, line 1: *a: write it out"),
        (b"a: " + b"[" * 3_000, "event.yaml: is not YAML: "),
        (b"a: !!python/object/apply:os.system [exit]", "event.yaml, line 1, a: there is no such field"),
        (b"#" * 1_000_001, "event.yaml: has 1,000,001 bytes; expected at most 1,000,000"),
    ],
)
def test_files_that_are_no_events(data: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "event.yaml"
    file.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        read_event(file)
    assert expected in f"{caught.value}\n"
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        read_event(tmp_path / "nothing.yaml")


def test_pictures_are_copied_under_names_of_their_content(tmp_path: Path) -> None:
    file = write(tmp_path, FULL)
    (tmp_path / "dee.jpg").rename(tmp_path / "dee.html")
    file = write(tmp_path, replaced(FULL, ("speakers", 0, "picture"), "dee.html"))
    written = build(read_event(file), tmp_path / "out")
    (picture,) = [path for path in written if path.parent.name == "pictures"]
    assert picture.suffix == ".jpg"
    assert picture.read_bytes() == (tmp_path / "dee.html").read_bytes()
    (image,) = parsed(tmp_path / "out")["index.html"].all("img")
    assert image["src"] == f"pictures/{picture.name}" and image["alt"] == "Portrait of Dee van Eff"
    # Who has no picture has initials.
    assert "GH" in parsed(tmp_path / "out")["index.html"].words


def test_pictures_must_be_pictures_beside_the_file(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "outside.png")
    (inside / "link.png").symlink_to(tmp_path / "outside.png")
    (inside / "text.png").write_text("<svg onload=alert(1)>")
    (inside / "large.png").write_bytes(b"\x89PNG" + bytes(4_000_000))
    Image.new("1", (6_001, 1)).save(inside / "wide.png")
    Image.new("1", (6_000, 1)).save(inside / "fits.png")
    Image.new("RGB", (2, 2)).save(inside / "other.gif")
    beside = "expected a picture in the folder of the event's file or below"
    expected = {
        "../outside.png": beside,
        str(tmp_path / "outside.png"): beside,
        "link.png": beside,
        "nothing.png": "expected the path of a picture; there is no such file",
        ".": "expected the path of a picture; there is no such file",
        "text.png": "expected a PNG, JPEG or WebP picture",
        "other.gif": "expected a PNG, JPEG or WebP picture",
        "large.png": "the picture has 4,000,004 bytes; expected at most 4,000,000",
        "wide.png": "expected at most 6,000 pixels a side; the picture has 6,001",
        "fits.png": None,
    }
    people = [{"name": "Someone", "picture": name} for name in expected]
    with pytest.raises(BadInput) as caught:
        read_event(write(inside, replaced(FULL, ("organizers",), people)))
    found = [problem.message.rsplit("; found", 1)[0] for problem in caught.value.problems]
    assert found == [message for message in expected.values() if message]


def test_a_leaderboard_is_on_the_page_of_its_challenge(
    pages: dict[str, dict[str, Page]], tmp_path: Path
) -> None:
    page = pages["full"]["challenges/naming.html"]
    for text in (
        "Top-1",
        "Fast ones",
        "<b>Slow</b>",
        "A note of the board",
        "as it was on 4 May 2031, 10:30 UTC",
    ):
        assert text in page.text
    now = "https://live.example:8000/b/c/names%20%26%20co/leaderboard?phase=final"
    assert {"https://board.example/teams/1", now} <= {a["href"] for a in page.all("a")}
    assert "2031-05-04T10:30+00:00" in [at["datetime"] for at in page.all("time")]
    event = read_event(write(tmp_path, replaced(FULL, ("challenges", "tracks", 0, "board"), None)))
    build(event, tmp_path / "out", {"naming": BOARD})
    page = parsed(tmp_path / "out")["challenges/naming.html"]
    assert "As of 4 May 2031, 10:30 UTC" in page.text
    assert "https://board.example/naming" in [a["href"] for a in page.all("a")]
    build(event, tmp_path / "out")
    assert "Leaderboard" not in parsed(tmp_path / "out")["challenges/naming.html"].text
    build(event, tmp_path / "out", {"naming": Leaderboard([Column("Team")], [])})
    assert "There is no entry yet." in parsed(tmp_path / "out")["challenges/naming.html"].text
    with pytest.raises(BadInput) as caught:
        build(event, tmp_path / "out", {"other": BOARD, "another": BOARD})
    assert str(caught.value).splitlines() == [
        "leaderboard another: no challenge has this name; expected naming",
        "leaderboard other: no challenge has this name; expected naming",
    ]


def test_leaderboards_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"row 1 has 2 cells; expected 1"):
        Leaderboard([Column("a")], [[Cell("b")], [Cell("c"), Cell("d")]])
    with pytest.raises(ValueError, match="needs a time zone"):
        Leaderboard([], [], at=datetime(2031, 1, 1))
    with pytest.raises(ValueError, match="'x:y' is no link"):
        Leaderboard([], [], url="x:y")


def test_building_again_gives_the_same_bytes_and_leaves_other_files(tmp_path: Path) -> None:
    event = read_event(EXAMPLE)
    (tmp_path / "CNAME").write_text("few.example")
    first = {path: path.read_bytes() for path in build(event, tmp_path)}
    assert next(iter(first)) == tmp_path / "index.html"
    assert {path: path.read_bytes() for path in build(event, tmp_path)} == first
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*first, tmp_path / "CNAME"}
    with pytest.raises(BadInput, match="CNAME"):
        build(event, tmp_path / "CNAME")


@given(st.integers(-14 * 60, 14 * 60))
def test_zones_by_offset(minutes: int) -> None:
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    name = f"UTC{sign}{size // 60}:{size % 60:02d}"
    assert zone_of(name).utcoffset(None) == timedelta(minutes=minutes)
    if size % 60 == 0:
        assert zone_of(f"UTC{sign}{size // 60:02d}").utcoffset(None) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "name", ["", "UTC+15", "UTC+14:01", "utc", "GMT+1", "../etc/passwd", "Europe/Nowhere", "/a"]
)
def test_names_that_are_no_zones(name: str) -> None:
    with pytest.raises(ValueError, match="expected a time zone such as"):
        zone_of(name)


@pytest.mark.parametrize(
    ("value", "zone", "stamp", "text"),
    [
        (date(2031, 7, 1), None, "2031-07-01", "1 July 2031"),
        (datetime(2031, 7, 1, 23, 5), "UTC", "2031-07-01T23:05+00:00", "1 July 2031, 23:05 UTC"),
        (
            datetime(2031, 7, 1, 23, 59),
            "AoE",
            "2031-07-01T23:59-12:00",
            "1 July 2031, 23:59 AoE (2 July 2031, 11:59 UTC)",
        ),
        (
            datetime(2031, 7, 1, 23, 5),
            "Europe/Amsterdam",
            "2031-07-01T23:05+02:00",
            "1 July 2031, 23:05 Europe/Amsterdam (21:05 UTC)",
        ),
    ],
)
def test_moments_are_given_with_their_zone_and_in_utc(
    value: date, zone: str | None, stamp: str, text: str
) -> None:
    page = Page(str(when(value, zone)))
    assert page.all("time") == [{"datetime": stamp}]
    assert page.text == text


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(["AoE", "UTC+5:45", "America/Lima"]),
)
def test_the_stamp_and_the_hour_in_utc_are_the_same_moment(value: datetime, zone: str) -> None:
    page = Page(str(when(value, zone)))
    moment = datetime.fromisoformat(str(page.all("time")[0]["datetime"]))
    assert moment.replace(tzinfo=None) == value.replace(second=0, microsecond=0)
    assert f"{moment.astimezone(UTC):%H:%M} UTC" in page.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Jan van Gemert", "JG"), ("Robert-Jan Bruintjes", "RB"), ("Ödön", "Ö"), ("(x) y!", "XY"), ("…", "?")],
)
def test_initials(name: str, expected: str) -> None:
    assert initials(name) == expected


def test_the_documented_event_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "event.md").read_text()
    (source,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    (tmp_path / "event.yaml").write_text(source)
    names = {path.name for path in build(read_event(tmp_path / "event.yaml"), tmp_path / "out")}
    assert names == {
        *("index.html", "program.html", "calls.html", "papers.html", "challenges.html", "few-birds.html"),
        *("event.css", "icon.svg"),
    }
    named = set(re.findall(r"`(\w+)`", page))
    for model in _models():
        assert set(model.model_fields) <= named, model


def _models() -> Iterator[type[BaseModel]]:
    for value in (Event, *vars(sections).values()):
        if isinstance(value, type) and issubclass(value, BaseModel):
            yield value


def test_no_torch_is_needed() -> None:
    code = "import sys, vipriors.board.event.site; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
