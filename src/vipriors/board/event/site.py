"""Writes the pages of an event: files alone, without scripts, that any web server or a folder can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

from vipriors.board.event import wording
from vipriors.board.event.leaderboard import Leaderboard
from vipriors.board.event.motif import motif
from vipriors.board.event.schema import Event
from vipriors.board.event.sections import Dates, Ranking, Track
from vipriors.board.markup import html, inline_html
from vipriors.data.files import os_errors, write_atomic
from vipriors.pages import templates
from vipriors.problems import BadInput, Problem

STYLE = "event.css"
ICON = "icon.svg"
PICTURES = "pictures"


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Attributes:
        path: relative to the site.
        template: what it is made from.
        title: in the navigation and in the title of the window.
        track: the challenge that it is about.
    """

    path: str
    template: str
    title: str
    track: Track | None = None

    @property
    def root(self) -> str:
        """From the page to the folder of the site."""
        return "../" * self.path.count("/")


def build(event: Event, out: Path, leaderboards: Mapping[str, Leaderboard] | None = None) -> list[Path]:
    """Writes the site of an event into a folder; other files there stay as they are.

    Args:
        event: as `read_event` gives it.
        out: The folder, made if need be.
        leaderboards: Leaderboards by the names of challenges, shown on their pages.

    Returns:
        The files written, `index.html` first.

    Raises:
        BadInput: A leaderboard is of no challenge of the event, or something cannot be read or written.
    """
    leaderboards = leaderboards or {}
    tracks = event.challenges.tracks if event.challenges else ()
    if unknown := leaderboards.keys() - {track.name for track in tracks}:
        expected = (
            ", ".join(track.name for track in tracks) or "no leaderboard, since there are no challenges"
        )
        raise BadInput(
            Problem(f"leaderboard {name}", f"no challenge has this name; expected {expected}")
            for name in sorted(unknown)
        )
    pages = pages_of(event)
    environment = _environment()
    common = {
        "event": event,
        "main_pages": [page for page in pages if page.track is None],
        "track_pages": {page.track.name: page for page in pages if page.track},
        "pages": {page.template: page for page in pages if page.track is None},
        "dates": dates_of(event),
        "motif": motif(),
    }
    contents: dict[str, bytes] = {}
    for page in pages:
        leaderboard = leaderboards.get(page.track.name) if page.track else None
        text = environment.get_template(f"{page.template}.html.jinja").render(
            **common, page=page, track=page.track, leaderboard=leaderboard
        )
        contents[page.path] = text.encode()
    contents[STYLE] = Path(__file__).with_name(STYLE).read_bytes()
    contents[ICON] = environment.get_template("icon.svg.jinja").render(event=event).encode()
    people = (*event.speakers, *event.organizers)
    contents |= {f"{PICTURES}/{one.picture.name}": one.picture.data for one in people if one.picture}
    written = [out / name for name in contents]
    for path, data in zip(written, contents.values(), strict=True):
        with os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
    return written


def pages_of(event: Event) -> list[Page]:
    """The pages that an event has something for."""
    pages = [Page("index.html", "index", "Home")]
    if event.program:
        pages.append(Page("program.html", "program", "Program"))
    if event.calls:
        pages.append(Page("calls.html", "calls", "Calls" if len(event.calls) > 1 else event.calls[0].title))
    if event.papers:
        pages.append(Page("papers.html", "papers", "Papers"))
    if event.challenges:
        pages.append(Page("challenges.html", "challenges", "Challenges"))
        pages += [
            Page(f"challenges/{track.name}.html", "track", track.title, track)
            for track in event.challenges.tracks
        ]
    return pages


def dates_of(event: Event) -> list[tuple[str, Dates]]:
    """All important dates, under the titles of what they belong to."""
    found = [("Event", event.dates)]
    found += [(call.title, call.dates) for call in event.calls]
    if event.challenges:
        found.append((event.challenges.title, event.challenges.dates))
    return [(title, dates) for title, dates in found if dates]


def shared_ranks(ranking: Ranking) -> set[int]:
    """Ranks that several have."""
    return {rank for rank, count in Counter(one.rank for one in ranking.places).items() if count > 1}


def _environment() -> Environment:
    environment = templates("vipriors.board.event", "templates")
    environment.filters |= {
        "html": html,
        "inline_html": inline_html,
        "day": wording.day,
        "weekday": wording.weekday,
        "when": wording.when,
        "moment": wording.moment,
        "hour": wording.hour,
        "in_utc": wording.in_utc,
        "initials": wording.initials,
        "listed": wording.listed,
        "shared_ranks": shared_ranks,
    }
    return environment
