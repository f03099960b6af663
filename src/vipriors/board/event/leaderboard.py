"""A leaderboard as plain data, as whoever keeps one hands it to the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vipriors.board.markup import is_link


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; numbers are set flush right."""

    title: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A text in a leaderboard, and where it leads to: an absolute http(s) address, or nowhere."""

    text: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """A leaderboard.

    Attributes:
        columns: from left to right.
        rows: the first one first, each with a cell for every column.
        note: what is said under it.
        at: when it stood like this, with a time zone.
        url: of the board that keeps it, an absolute http(s) address.

    Raises:
        ValueError: a row has too few or too many cells, a link is none, or `at` has no time zone.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    at: datetime | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        """Checks that the rows fit the columns and that links are links."""
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells; expected {len(self.columns)}")
        urls = [self.url, *(cell.url for row in self.rows for cell in row)]
        for url in urls:
            if url is not None and not is_link(url):
                raise ValueError(f"{url!r} is no link; expected http:// or https://")
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError("the time of a leaderboard needs a time zone")
