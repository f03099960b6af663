"""Who stands where: pure functions from scores to a leaderboard.

Entries are ordered by score. Equal scores share a rank, and the rank after two firsts is third; among them
the one sent first is listed first. An entry without a score (one that is not defined) is listed last, without
a rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A scored submission. A tuple, as a leaderboard is made of many thousands."""

    submission: str
    team: int
    value: float | None
    """None or NaN where it is not defined."""
    low: float | None
    high: float | None
    """95 % interval."""
    received: datetime
    chosen: bool = False
    """Picked by its team to stand in place of its best."""


@dataclass(frozen=True)
class Place:
    """An entry's place on a leaderboard."""

    rank: int | None
    entry: Entry
    near_leader: bool
    """Its interval overlaps that of the first, which it is not."""
    moved: int | None
    """Ranks gained since the board it is compared with; negative lost; None for the new."""


def standing(entries: Iterable[Entry], descending: bool = True) -> list[Entry]:
    """The entry of each team that stands: the chosen one sent last, else the best, of equals the first."""
    best: dict[int, tuple[tuple[Any, ...], Entry]] = {}
    chosen: dict[int, Entry] = {}
    for entry in entries:  # there may be many thousands
        if entry.chosen:
            held = chosen.get(entry.team)
            if held is None or _sent(held) < _sent(entry):
                chosen[entry.team] = entry
        order = _order(entry, descending)
        if entry.team not in best or order < best[entry.team][0]:
            best[entry.team] = order, entry
    return [chosen.get(team, entry) for team, (_, entry) in best.items()]


def ranked(
    entries: Iterable[Entry], descending: bool = True, before: Mapping[int, int] | None = None
) -> list[Place]:
    """A leaderboard.

    Args:
        entries: one for each team.
        descending: whether more is better.
        before: rank of each team on an earlier board, to tell who moved.
    """
    ordered = sorted(entries, key=lambda entry: _order(entry, descending))
    places: list[Place] = []
    for position, entry in enumerate(ordered, start=1):
        rank = position if _defined(entry.value) else None
        if places and rank is not None and entry.value == places[-1].entry.value:
            rank = places[-1].rank
        then = (before or {}).get(entry.team)
        moved = then - rank if then is not None and rank is not None else None
        places.append(Place(rank, entry, _overlap(ordered[0], entry) and rank != 1, moved))
    return places


def best_over_time(entries: Sequence[Entry], descending: bool = True) -> list[Entry]:
    """The entries that were the best of all when they were sent, in the order in which they were."""
    found: list[Entry] = []
    for entry in sorted(entries, key=_sent):
        if _defined(entry.value) and (
            not found or _order(entry, descending)[:2] < _order(found[-1], descending)[:2]
        ):
            found.append(entry)
    return found


def _order(entry: Entry, descending: bool) -> tuple[bool, float, datetime, str]:
    value = entry.value
    if value is None or value != value:
        return True, 0.0, entry.received, entry.submission
    return False, -value if descending else value, entry.received, entry.submission


def _sent(entry: Entry) -> tuple[datetime, str]:
    return entry.received, entry.submission


def _defined(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _overlap(first: Entry, second: Entry) -> bool:
    limits = (first.low, first.high, second.low, second.high)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return False
    return not any(map(math.isnan, limits)) and first.low <= second.high and second.low <= first.high  # type: ignore[arg-type]
