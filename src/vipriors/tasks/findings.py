"""Problems gathered during one check: listed in full up to a cap per kind, and counted beyond it."""

from __future__ import annotations

from vipriors.problems import Problem

LISTED = 20
"""Problems of one kind that are listed one by one. The rest of that kind become one problem with the count,
so that a file of 50,000 wrong rows gives a readable answer."""


def shown(raw: bytes | str, longest: int = 80) -> str:
    """A piece of the input, quoted for a message: one line, at most `longest` characters of it."""
    head = raw[: 4 * longest]
    text = head.decode("utf-8", "replace") if isinstance(head, bytes) else head
    return repr(text) if len(text) <= longest else repr(text[:longest]) + "…"


class Findings:
    """Collects the problems of one file; `kind` says in the plural what a problem is one of."""

    def __init__(self, name: str):
        self.name = name
        self._counts: dict[str, int] = {}
        self._listed: dict[str, list[Problem]] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(
        self, kind: str, message: str, row: int | None = None, *, entry: str | None = None, at: str = ""
    ) -> None:
        """Adds a problem of the whole file, of one row (the 1-based line as an editor shows it) or entry.

        `entry` is a name that the file gives, and is quoted; `at` is a place in the code's own words.
        """
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= LISTED:
            place = self.name if row is None else f"{self.name}, row {row}"
            place = place if entry is None else f"{place}, {shown(entry)}"
            place = f"{place}, {at}" if at else place
            self._listed.setdefault(kind, []).append(Problem(place, message))

    def count(self, kind: str, times: int) -> None:
        """Counts problems of a kind of which `LISTED` have been added, without the cost of their messages."""
        self._counts[kind] += times

    def problems(self) -> list[Problem]:
        """Every problem, kind by kind in the order of first appearance."""
        problems = []
        for kind, count in self._counts.items():
            problems += self._listed[kind]
            if count > LISTED:
                problems.append(Problem(self.name, f"{count} {kind} in all; the first {LISTED} are listed"))
        return problems
