"""Leaderboards against slow and plain counting."""

import math
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from vipriors.board.ranking import Entry, best_over_time, ranked, standing

START = datetime(2026, 1, 1, tzinfo=UTC)
VALUES = st.sampled_from([None, math.nan, 0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    rows = draw(st.lists(st.tuples(st.integers(0, 4), VALUES, st.integers(0, 9), st.booleans()), max_size=15))
    return [
        Entry(f"s{number}", team, value, value, value, START + timedelta(hours=hours), chosen)
        for number, (team, value, hours, chosen) in enumerate(rows)
    ]


def defined(entry: Entry) -> bool:
    return entry.value is not None and not math.isnan(entry.value)


def better(one: Entry, other: Entry, descending: bool) -> bool:
    """Whether one has a better score; any is better than none."""
    if not defined(one) or not defined(other):
        return defined(one) and not defined(other)
    assert one.value is not None and other.value is not None
    return one.value > other.value if descending else one.value < other.value


@settings(deadline=None, max_examples=60)
@given(entries(), st.booleans())
def test_of_each_team_the_best_or_the_one_chosen_last_stands(rows: list[Entry], descending: bool) -> None:
    stand = {entry.team: entry for entry in standing(rows, descending)}
    assert stand.keys() == {entry.team for entry in rows}
    for team, entry in stand.items():
        own = [each for each in rows if each.team == team]
        chosen = [each for each in own if each.chosen]
        if chosen:
            assert entry.chosen
            assert not [each for each in chosen if each.received > entry.received]
        else:
            assert not [each for each in own if better(each, entry, descending)]
            equal = [each for each in own if not better(entry, each, descending)]
            assert not [each for each in equal if each.received < entry.received]


@settings(deadline=None, max_examples=60)
@given(entries(), st.booleans())
def test_a_rank_is_one_more_than_the_number_that_are_better(rows: list[Entry], descending: bool) -> None:
    places = ranked(rows, descending)
    assert sorted(place.entry.submission for place in places) == sorted(row.submission for row in rows)
    for place in places:
        count = sum(better(other, place.entry, descending) for other in rows)
        assert place.rank == (count + 1 if defined(place.entry) else None)
    order = [(place.rank or math.inf, place.entry.received) for place in places]
    assert order == sorted(order)


@settings(deadline=None, max_examples=60)
@given(entries(), st.booleans())
def test_the_best_over_time_only_gets_better(rows: list[Entry], descending: bool) -> None:
    found = best_over_time(rows, descending)
    for entry in found:
        before = [
            each for each in rows if (each.received, each.submission) < (entry.received, entry.submission)
        ]
        assert all(better(entry, each, descending) for each in before)
    if any(map(defined, rows)):
        assert not any(better(row, found[-1], descending) for row in rows)
    else:
        assert found == []


def entry(name: str, value: float | None, low: float | None = None, high: float | None = None) -> Entry:
    return Entry(name, ord(name), value, low, high, START + timedelta(minutes=ord(name)))


def test_ties_share_a_rank_and_the_next_is_counted_on() -> None:
    rows = [entry("d", 0.5), entry("c", 0.9), entry("b", 0.9), entry("a", math.nan), entry("e", None)]
    places = ranked(rows)
    assert [(place.entry.submission, place.rank) for place in places] == [
        ("b", 1),
        ("c", 1),
        ("d", 3),
        ("a", None),
        ("e", None),
    ]


def test_who_is_near_the_leader() -> None:
    rows = [entry("a", 0.9, 0.8, 0.95), entry("b", 0.7, 0.6, 0.8), entry("c", 0.6, 0.5, 0.79)]
    rows += [entry("d", 0.5, None, None), entry("e", None, math.nan, math.nan)]
    assert [place.near_leader for place in ranked(rows)] == [False, True, False, False, False]


def test_who_moved() -> None:
    rows = [entry("a", 0.9), entry("b", 0.7), entry("c", 0.6), entry("d", None)]
    places = ranked(rows, before={ord("a"): 3, ord("b"): 1, ord("d"): 2})
    assert [place.moved for place in places] == [2, -1, None, None]
