"""Leaderboards, and the smaller one that other sites show in a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Response
from markupsafe import Markup
from sqlalchemy.orm import Session

from vipriors.board import viewing
from vipriors.board.models import Phase
from vipriors.board.ranking import best_over_time
from vipriors.board.standings import HIDDEN, Leaderboard, Line, is_running, leaderboard
from vipriors.board.web import charts
from vipriors.board.web.challenges import Scene, scene, state_of
from vipriors.board.web.security import let_be_framed
from vipriors.board.web.visiting import Visit, Visitor

router = APIRouter(include_in_schema=False)

LABELLED = 3
"""Entries whose names stand in charts of scores against a cost."""

COSTS = (
    ("parameters", "Score against parameters", "parameters"),
    ("gpu_hours", "Score against training cost", "GPU hours"),
    ("flops", "Score against operations", "operations for one image"),
)
"""What scores are charted against: the field of a declaration, a title, and the unit."""


@dataclass(frozen=True)
class Column:
    """A column that the board can be sorted by."""

    key: str
    title: str
    of: Callable[[Line], Any]
    """What is compared; None comes last."""
    descending: bool = False
    numeric: bool = False
    optional: bool = False
    """Is left out where no entry says it."""


COLUMNS = (
    Column("rank", "Rank", lambda line: line.place.rank),
    Column("team", "Team", lambda line: line.team.casefold()),
    Column("score", "Score", lambda line: line.place.entry.value, descending=True, numeric=True),
    Column("date", "Sent", lambda line: line.place.entry.received, descending=True),
    Column("model", "Model", lambda line: line.declaration.get("kind")),
    Column("parameters", "Parameters", lambda line: line.declaration.get("parameters"), numeric=True),
    Column(
        "gpu_hours", "GPU hours", lambda line: line.declaration.get("gpu_hours"), numeric=True, optional=True
    ),
    Column("flops", "FLOPs", lambda line: line.declaration.get("flops"), numeric=True, optional=True),
    Column("cost", "Training cost", lambda line: line.declaration.get("cost") or None),
)


@dataclass(frozen=True)
class Heading:
    """A column's heading, and where it leads to."""

    title: str
    sort: str
    """That sorts by it, or the other way round if it is sorted by it."""
    sorted: str
    """How it is sorted: ascending, descending, or none."""
    numeric: bool


@router.get("/c/{name}/leaderboard")
def leaderboard_page(
    visit: Visit, name: str, phase: str = "", sort: str = "rank", part: str = ""
) -> Response:
    """The leaderboard of a phase."""

    def make() -> Response:
        with visit.reading() as session:
            found = scene(session, visit, name)
            context = _context(session, visit, found, phase, sort, part)
            return visit.page("leaderboard.html.jinja", tab="leaderboard", **context)

    return visit.public(make)


@router.get("/c/{name}/leaderboard/embed")
def embedded_leaderboard(visit: Visit, name: str, phase: str = "", sort: str = "rank") -> Response:
    """The leaderboard alone, for frames in other sites."""

    def make() -> Response:
        with visit.reading() as session:
            found = scene(session, visit, name)
            context = _context(session, visit, found, phase, sort, "")
            return visit.page("embed.html.jinja", **context)

    response = visit.public(make)
    let_be_framed(response)
    return response


def _context(
    session: Session, visit: Visitor, found: Scene, phase_name: str, sort: str, part: str
) -> dict[str, Any]:
    challenge = found.challenge
    phase = _last_begun(found)
    if phase_name:
        phase = viewing.phase(session, visit.viewer, challenge.name, phase_name)
    if phase is None:
        return {"scene": found, "phase": None}
    seen = viewing.parts_visible(session, visit.viewer, phase, found.at) if found.runs else ()
    board = leaderboard(session, phase, found.at, part if part in seen else None)
    lines = sorted_lines(board.lines, sort)
    entries = [line.place.entry for line in board.lines]
    own = found.team.id if found.team else None
    span = charts.span_of(entries, challenge.baseline_score)
    return {
        "scene": found,
        "phase": phase,
        "states": {each.id: state_of(each, found.at) for each in challenge.phases},
        "board": board,
        "hidden": board.part == HIDDEN,
        "seen": seen,
        "final": not is_running(phase, found.at),
        "lines": lines,
        "headings": headings(sort, lines),
        "optional": [column.key for column in COLUMNS if column.optional and is_said(column, lines)],
        "sort": sort,
        "bars": {
            entry.submission: charts.interval_bar(entry, span, entry.team == own)
            for entry in entries
            if span and entry.value is not None
        },
        "baseline_before": _baseline_before(found, lines, sort),
        "over_time": _over_time(found, phase, board),
        "against": [
            (title, chart) for key, title, unit in COSTS if (chart := _against(board, key, title, unit))
        ],
    }


def sorted_lines(lines: Sequence[Line], sort: str) -> list[Line]:
    """Lines by a column's key, `-key` for the other way round; unknown keys are the rank."""
    column = next((each for each in COLUMNS if each.key == sort.removeprefix("-")), COLUMNS[0])
    known = [line for line in lines if column.of(line) is not None]
    unknown = [line for line in lines if column.of(line) is None]
    turned = column.descending != sort.startswith("-")
    return sorted(known, key=column.of, reverse=turned) + unknown


def is_said(column: Column, lines: Sequence[Line]) -> bool:
    """Whether there is anything in a column."""
    return any(column.of(line) is not None for line in lines)


def headings(sort: str, lines: Sequence[Line]) -> list[Heading]:
    """The columns as they lead to other orders."""
    found = []
    for column in COLUMNS:
        if column.optional and not is_said(column, lines):
            continue
        on = sort.removeprefix("-") == column.key
        turned = column.descending != sort.startswith("-")
        order = ("descending" if turned else "ascending") if on else "none"
        link = f"-{column.key}" if sort == column.key else column.key
        found.append(Heading(column.title, link, order, column.numeric))
    return found


def _last_begun(found: Scene) -> Phase | None:
    if found.phase and found.phase.start <= found.at:
        return found.phase
    begun = [phase for phase in found.challenge.phases if phase.start <= found.at]
    return max(begun, key=lambda phase: phase.start, default=found.phase)


def _baseline_before(found: Scene, lines: Sequence[Line], sort: str) -> int | None:
    """The position of the line before which the baseline belongs; None if it has no place in this order."""
    baseline = found.challenge.baseline_score
    if baseline is None or sort not in ("rank", "score"):
        return None
    for position, line in enumerate(lines):
        value = line.place.entry.value
        if value is None or (value < baseline if found.challenge.descending else value > baseline):
            return position
    return len(lines)


def _over_time(found: Scene, phase: Phase, board: Leaderboard) -> Markup | None:
    if board.part == HIDDEN:
        return None
    challenge = found.challenge
    best = best_over_time(board.entries, challenge.descending)
    if not best:
        return None
    until = min(found.at, phase.end) if phase.end else found.at
    return charts.best_chart("best", "Best score over time", best, until, challenge.baseline_score)


def _against(board: Leaderboard, key: str, title: str, unit: str) -> Markup | None:
    """Scores against a number that entries declare; None where fewer than two do."""
    dots = []
    for position, line in enumerate(board.lines):
        cost, entry = line.declaration.get(key), line.place.entry
        if cost and entry.value is not None:
            named = position < LABELLED
            dots.append(charts.Dot(line.team, cost, entry.value, entry.low, entry.high, named))
    return charts.scatter(key, title, unit, dots) if len(dots) > 1 else None
