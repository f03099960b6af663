"""A matrix of distances between queries and gallery images: its index, and the parts of its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vipriors.problems import BadInput, Problem
from vipriors.tasks import table
from vipriors.tasks.findings import LISTED, Findings, shown
from vipriors.tasks.index import Index

MOST_DISTANCES = 100_000_000
"""Queries times gallery images. Each takes eight bytes of memory."""

_NUMERIC = (
    b"0123456789.eE+- "  # `float` alone would take `nan` and `1_0` too; the published files pad with spaces
)


@dataclass(frozen=True)
class QueryIndex:
    """The ids of the M queries and of the N gallery images, in order. An id may be in both.

    Raises:
        BadInput: ids are missing, occur twice, or cannot stand unquoted in a CSV file; there are too many.
    """

    queries: tuple[str, ...]
    gallery: tuple[str, ...]

    def __post_init__(self) -> None:
        problems = []
        for part, ids in (("queries", self.queries), ("gallery", self.gallery)):
            try:
                Index(ids, classes=1)
            except BadInput as error:
                problems += [Problem(f"index, {part}", problem.message) for problem in error.problems]
        if len(self.queries) * len(self.gallery) > MOST_DISTANCES:
            found = f"{len(self.queries):,} queries and {len(self.gallery):,} gallery images"
            problems.append(Problem("index", f"{found}; expected at most {MOST_DISTANCES:,} pairs"))
        if problems:
            raise BadInput(problems)

    @property
    def ids(self) -> tuple[str, ...]:
        """What a predictions file has a row for."""
        return self.queries


def limits(index: QueryIndex) -> table.Limits:
    """Ample for any honest file: 32 bytes for a distance, twice as many rows as queries."""
    longest_query, longest = (max(len(id_.encode()) for id_ in ids) for ids in (index.queries, index.gallery))
    line = 64 + longest_query + max(32, longest + 8) * len(index.gallery)
    return table.Limits((len(index.queries) + 16) * line, line, 2 * len(index.queries) + 1000)


def columns_of(header: Sequence[bytes], index: QueryIndex, findings: Findings) -> NDArray[np.int64] | None:
    """Where in `header` each gallery image is, `(N,)`; or None if `header` is not just these images.

    Args:
        header: the first row of the file without its first cell.
        index: names the gallery images.
        findings: takes the problems.
    """
    known = {id_.encode() for id_ in index.gallery}
    if known.isdisjoint(header):
        found = f"the first row has no id of the gallery: {shown(b','.join(header[:9]))}"
        expected = f"expected {len(known):,} of them, such as {shown(index.gallery[0])}"
        findings.add("faults of the header", f"{found}; {expected}", 1)
        return None
    places: dict[bytes, int] = {}
    for place, id_ in enumerate(header):
        if id_ not in known:
            message = f"{shown(id_)} in column {place + 2} is not a gallery image of the test set"
            findings.add("unknown gallery ids", message, 1)
        elif places.setdefault(id_, place) != place:
            columns = f"columns {places[id_] + 2} and {place + 2}"
            findings.add("duplicate gallery ids", f"{shown(id_)} is in {columns}; expected once", 1)
    for name in (name for name in index.gallery if name.encode() not in places):
        message = f"no column for gallery image {shown(name)}; expected one per image"
        findings.add("gallery images without a column", message, 1)
    return None if findings else np.array([places[name.encode()] for name in index.gallery])


def distances_of(
    line: bytes, header: Sequence[bytes], row: int, findings: Findings
) -> NDArray[np.float64] | None:
    """The numbers of a row, `(len(header),)`; or None if something is wrong with them.

    Args:
        line: the row, with the query's id in its first field.
        header: the ids of the columns.
        row: the row's number, for the problems.
        findings: takes the problems.
    """
    count = line.count(b",")  # counted before splitting: a hostile row may be nothing but commas
    if count != len(header):
        message = f"the row has {count:,} distances; expected {len(header):,}, one per id of the first row"
        findings.add("rows with a wrong number of distances", message, row)
        return None
    fields = line.split(b",")[1:]
    if not line.partition(b",")[2].translate(None, _NUMERIC + b","):
        try:
            values = np.fromiter(map(float, fields), dtype=np.float64, count=count)
        except ValueError:
            values = np.array(np.nan)
        if np.isfinite(values).all():
            return values
    wrong = [i for i, field in enumerate(fields) if not _is_distance(field)]
    kind = "fields that are no distance"
    for i in wrong[:LISTED]:
        found = f"the distance to {shown(header[i])} in column {i + 2} is {shown(fields[i])}"
        findings.add(kind, f"{found}; expected a finite number", row)
    findings.count(kind, len(wrong[LISTED:]))
    return None


def _is_distance(field: bytes) -> bool:
    if field.translate(None, _NUMERIC):
        return False
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False
