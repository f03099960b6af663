"""Task: reid, the distance of each query image to each gallery image (re-identification).

A predictions file is the published CSV matrix: the first row has the gallery ids, the first column the query
ids, each in any order. All else is a finite number; smaller is more alike. The first cell may hold anything.

    0,17,4,23
    101,0.82,1.97,1.31
    102,1.20,0.07,1.55

A labels file has the header `split,id,person`, and perhaps `camera`. `docs/formats/reid.md` states it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes, write_atomic
from vipriors.problems import BadInput, Problem
from vipriors.tasks import table
from vipriors.tasks.accuracy import accuracy
from vipriors.tasks.bootstrap import estimate
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.protocol import Truth
from vipriors.tasks.reid_labels import Labels, queries_without_match
from vipriors.tasks.reid_labels import read_labels as read_labels
from vipriors.tasks.reid_matrix import QueryIndex, columns_of, distances_of, limits
from vipriors.tasks.score import Estimate, Score

HEADLINE = "mAP"
MISSING = np.nan


@dataclass(frozen=True)
class Predictions:
    """Distances of M queries, in the order of an index or of the ids that go with them.

    Attributes:
        gallery: the ids of the N gallery images.
        distances: `(M, N)`, in any unit, smaller is more alike; or a row of `MISSING`.
    """

    gallery: tuple[str, ...]
    distances: NDArray[np.float64]


def index_of(labels: Labels) -> QueryIndex:
    """The index of labelled images. Its ids are sorted: the order of a labels file may tell the persons."""
    return QueryIndex(tuple(sorted(labels.queries)), tuple(sorted(labels.gallery)))


def write(path: Path, ids: Sequence[str], predictions: Predictions) -> None:
    """Writes a predictions file: the same bytes for the same predictions, and all of it or nothing.

    Args:
        path: the file; folders above it are made.
        ids: the M queries.
        predictions: the gallery and the distances, which are written with nine significant digits.

    Raises:
        BadInput: `check` would refuse the file; lists all it would say. Nothing is written.
    """
    index = QueryIndex(tuple(ids), predictions.gallery)
    distances, shape = np.asarray(predictions.distances), (len(index.queries), len(index.gallery))
    if distances.shape != shape:
        raise BadInput.single(path, f"distances have shape {distances.shape}; expected {shape}")
    form = ",%.9g" * shape[1] + "\n"
    rows = [id_ + form % tuple(row.tolist()) for id_, row in zip(ids, distances, strict=True)]
    # The published files have this 0, without which those who read them as numbers alone would fail.
    data = "".join([",".join(["0", *index.gallery]), "\n", *rows]).encode()
    _, problems = check(data, index, str(path))
    if problems:
        raise BadInput(problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)


def check(
    data: bytes, index: QueryIndex, name: str = "predictions.csv", *, allow_missing: bool = False
) -> tuple[Predictions | None, list[Problem]]:
    """Reads a predictions file and lists every problem in it (of one kind at most `findings.LISTED`).

    Args:
        data: the file, any bytes.
        index: the queries and gallery images it must cover.
        name: what problems call the file.
        allow_missing: whether queries may be left out (gallery images never); they are `MISSING` then.

    Returns:
        The predictions and no problems, or None and the problems.
    """
    findings = Findings(name)
    rows = table.lines(data, limits(index), findings, "a matrix of distances") or iter(())
    number, first_row = next(rows, (0, b""))
    if number != 1:  # what is wrong with the file or its first row is found already
        return None, findings.problems()
    header = [field.strip(b" ") for field in first_row.split(b",")[1:]]
    columns = columns_of(header, index, findings)
    positions = {id_.encode(): position for position, id_ in enumerate(index.queries)}
    first_rows = [0] * len(index.queries)
    distances = np.full((len(index.queries), len(index.gallery)), MISSING)
    for row, line in rows:
        if not line:
            findings.add("empty rows", "the row is empty; expected a query and its distances", row)
            continue
        id_ = line.partition(b",")[0].strip(b" ")
        position = positions.get(id_)
        if position is None:
            findings.add("rows with an unknown id", f"{shown(id_)} is not a query of the test set", row)
        elif first_rows[position]:
            message = f"query {shown(id_)} is given twice, first in row {first_rows[position]}; expected once"
            findings.add("rows with a duplicate id", message, row)
        else:
            first_rows[position] = row
        values = distances_of(line, header, row, findings)
        if values is not None and columns is not None and position is not None:
            distances[position] = values[columns]
    if not allow_missing:
        for query in (query for query, row in zip(index.queries, first_rows, strict=True) if not row):
            findings.add("queries without a row", f"no row for query {shown(query)}; expected one per query")
    return (None, findings.problems()) if findings else (Predictions(index.gallery, distances), [])


def open_truth(labels: Path, classes: Sequence[str] | None = None) -> Truth:
    """Opens a labels file. Persons are no classes: `classes` is not used."""
    known = read_labels(read_bytes(labels), labels.name)
    return Truth(index_of(known), known, ())


def score(predictions: Predictions, labels: Labels, index: QueryIndex, class_names: Sequence[str]) -> Score:
    """Scores predictions over all M queries; a query without a prediction has found nothing.

    For each query the gallery is ranked by distance; of equal distances the one that comes first in the index
    is first. Left out of the ranking are images of the query's own person that cannot count as found: the
    query itself (the same id) and, where the labels have cameras, those of the same camera. All others of the
    person are matches. `mAP` is the mean over the queries of the average precision (the mean of the precision
    at each match), `rank1`, `rank5` and `rank10` the share of the queries with a match that early; the last
    two only if the gallery is larger than that.

    Source: Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015 (the rule of the camera).

    Args:
        predictions: what `check` returned.
        labels: person and camera of each image.
        index: the queries and the gallery.
        class_names: not used; persons have none.

    Raises:
        BadInput: labels or predictions do not fit the index, or a query has no match.
    """
    _refuse_misfits(predictions, labels, index)
    ranks = _ranks_of_matches(predictions.distances, labels, index)
    precisions = np.array([np.mean(np.arange(1, len(rank) + 1) / rank) for rank in ranks])
    first_ranks = np.array([rank[0] for rank in ranks])
    estimates = {HEADLINE: _mean(precisions)}
    for k in (k for k in (1, 5, 10) if k == 1 or k < len(index.gallery)):
        estimates[f"rank{k}"] = accuracy(first_ranks <= k)
    details = {
        "n_test": len(index.queries),
        "n_predicted": int(np.isfinite(predictions.distances[:, 0]).sum()),
        "n_gallery": len(index.gallery),
        "cmc": [float(np.mean(first_ranks <= k)) for k in range(1, min(20, len(index.gallery)) + 1)],
    }
    return Score("reid", HEADLINE, estimates, details)


def _mean(values: NDArray[np.float64]) -> Estimate:
    """The mean over the queries, whose equal values make up one cell of the bootstrap."""
    cells, counts = np.unique(values, return_counts=True)
    return estimate(counts, lambda drawn: drawn @ cells / drawn.sum(axis=1))


def _ranks_of_matches(
    distances: NDArray[np.float64], labels: Labels, index: QueryIndex
) -> list[NDArray[np.float64]]:
    """Of each query the ranks of its matches in ascending order, from 1; infinite if it has no prediction."""
    gallery = [labels.gallery[id_] for id_ in index.gallery]
    persons = np.array([image.person for image in gallery])
    cameras = np.array([image.camera or "" for image in gallery])
    positions = {id_: position for position, id_ in enumerate(index.gallery)}
    ranks = []
    for id_, row in zip(index.queries, distances, strict=True):
        query = labels.queries[id_]
        same_person = persons == query.person
        left_out = same_person & (cameras == query.camera)
        if id_ in positions:
            left_out[positions[id_]] = same_person[positions[id_]]
        order = np.argsort(row, kind="stable")
        rank = np.flatnonzero(same_person[order[~left_out[order]]]) + 1
        ranks.append(np.where(np.isnan(row[0]), np.inf, rank))
    return ranks


def _refuse_misfits(predictions: Predictions, labels: Labels, index: QueryIndex) -> None:
    findings = Findings("labels")
    for part, given, expected in (
        ("query", labels.queries, index.queries),
        ("gallery image", labels.gallery, index.gallery),
    ):
        for id_ in (id_ for id_ in expected if id_ not in given):
            findings.add("images without a label", f"no label for {part} {shown(id_)}")
        for id_ in sorted(given.keys() - set(expected)):
            findings.add("unknown ids", f"{part} {shown(id_)} is not in the index")
    for id_ in queries_without_match(labels):
        findings.add("queries without a match", f"query {shown(id_)} has no match in the gallery")
    problems, distances = findings.problems(), predictions.distances
    shape = (len(index.queries), len(index.gallery))
    if predictions.gallery != index.gallery:
        problems.append(Problem("predictions, gallery", "other ids than the index has, or in another order"))
    if distances.shape != shape:
        problems.append(Problem("predictions, distances", f"shape {distances.shape}; expected {shape}"))
    elif not (np.isfinite(distances).all(axis=1) | np.isnan(distances).all(axis=1)).all():
        message = "NaN or infinity beside numbers; expected rows of finite numbers, or of NaN where missing"
        problems.append(Problem("predictions, distances", message))
    if problems:
        raise BadInput(problems)
