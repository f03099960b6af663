"""Leaderboards of boards that run, fetched when the pages are made and kept beside them.

`leaderboards.json` in the site's folder has what was fetched last, and when; where a board does not answer,
that stays. Nothing that a board says is taken on trust: it is data of stated kinds and lengths, and text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vipriors.board.event.leaderboard import Cell, Column, Leaderboard
from vipriors.board.event.schema import Event
from vipriors.board.event.sections import Track
from vipriors.data.files import os_errors, write_atomic
from vipriors.problems import BadInput, Problem

STORED = "leaderboards.json"
TIMEOUT = 20.0
"""Seconds that a board is given."""
MOST_BYTES = 16 * 2**20
MOST_LINES = 10_000

Words = Annotated[str, Field(max_length=300)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Line(BaseModel):
    """A team's line of a board's leaderboard; what else a board says is left out."""

    model_config = ConfigDict(frozen=True)

    rank: int | None = None
    team: Words
    score: Number | None = None
    low: Number | None = None
    high: Number | None = None
    received: AwareDatetime


class Fetched(BaseModel):
    """A leaderboard as a board answered."""

    model_config = ConfigDict(frozen=True)

    phase: Words
    part: Words
    metric: Words
    lines: Annotated[list[Line], Field(max_length=MOST_LINES)]


class Kept(BaseModel):
    """A leaderboard with where it comes from, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    page: Words
    at: AwareDatetime
    answer: Fetched


_KEPT = TypeAdapter(dict[str, Kept])


@dataclass(frozen=True)
class Gathered:
    """Leaderboards by the names of tracks, and what was wrong with boards that gave none."""

    leaderboards: dict[str, Leaderboard]
    problems: list[Problem] = field(default_factory=list)


def gather(event: Event, out: Path, *, fetch: bool) -> Gathered:
    """The leaderboards of an event's tracks that name a board: as they are now, else as they were kept.

    Args:
        event: the event.
        out: the folder of its site, in which they are kept.
        fetch: False asks no board.

    Raises:
        BadInput: what was kept cannot be read, or new ones cannot be kept.
    """
    tracks = [track for track in (event.challenges.tracks if event.challenges else ()) if track.board]
    known = _read(out / STORED)
    kept = {track.name: known[track.name] for track in tracks if track.name in known}
    # Of another board or phase than the file names now.
    kept = {track.name: kept[track.name] for track in tracks if _is_of(kept.get(track.name), track)}
    problems: list[Problem] = []
    if fetch:
        for track in tracks:
            try:
                kept[track.name] = _fetch(track)
            except BadInput as error:
                held = kept.get(track.name)
                stays = f"that of {held.at:%Y-%m-%d %H:%M} UTC stays" if held else "there is none yet"
                problems += [Problem(one.place, f"{one.message}; {stays}") for one in error.problems]
        with os_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            write_atomic(out / STORED, _KEPT.dump_json(kept, indent=1) + b"\n")
    return Gathered({name: table_of(one) for name, one in kept.items()}, problems)


def table_of(kept: Kept) -> Leaderboard:
    """A leaderboard as the pages show it: scores in percent with their intervals."""
    answer = kept.answer
    columns = [
        Column("Rank", numeric=True),
        Column("Team"),
        Column(f"{answer.metric.replace('_', ' ')}, %", numeric=True),
        Column("95 % interval", numeric=True),
        Column("Sent"),
    ]
    rows = [
        [
            Cell("–" if line.rank is None else str(line.rank)),
            Cell(line.team),
            Cell(_percent(line.score, 2)),
            Cell("–" if line.low is None else f"{_percent(line.low, 1)} – {_percent(line.high, 1)}"),
            Cell(f"{line.received.astimezone(UTC):%Y-%m-%d}"),
        ]
        for line in answer.lines
    ]
    parts = {"public": "the public part of the test", "private": "the private part of the test"}
    over = parts.get(answer.part, "the whole test")
    note = "Scores are not shown now." if answer.part == "hidden" else f"Phase {answer.phase}, over {over}."
    return Leaderboard(columns, rows, note, kept.at, kept.page)


def _is_of(kept: Kept | None, track: Track) -> bool:
    return kept is not None and track.board is not None and kept.page == track.board.page(track.name)


def _fetch(track: Track) -> Kept:
    assert track.board is not None
    url = track.board.data(track.name)
    place = f"leaderboard of {track.name}, {url}"
    body = bytearray()
    try:
        with httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=False) as answer:
            if answer.status_code != httpx.codes.OK:
                message = f"the board answers {answer.status_code} {answer.reason_phrase}"
                raise BadInput.single(place, message)
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise BadInput.single(place, f"the board answers more than {MOST_BYTES:,} bytes")
        found = Fetched.model_validate_json(bytes(body))
    except httpx.HTTPError as error:
        raise BadInput.single(place, f"the board does not answer: {error or type(error).__name__}") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise BadInput.single(
            place, f"is no leaderboard of a board: {where + ': ' if where else ''}{fault['msg']}"
        ) from None
    return Kept(page=track.board.page(track.name), at=datetime.now(UTC).replace(microsecond=0), answer=found)


def _read(file: Path) -> Mapping[str, Kept]:
    with os_errors(file):
        if not file.exists():
            return {}
        data = file.read_bytes()
    try:
        return _KEPT.validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        message = f"{fault['msg']}; it is made anew with --fetch once it is deleted"
        raise BadInput.single(f"{file}, {where}" if where else file, message) from None


def _percent(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"
