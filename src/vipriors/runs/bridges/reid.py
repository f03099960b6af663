"""Re-identification: labels are persons, predictions the distances of all queries to the whole gallery."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes
from vipriors.data.prepared import ANNOTATIONS
from vipriors.methods.protocol import Embedder, Labelled
from vipriors.problems import BadInput, Problem
from vipriors.runs.prepared import RunData
from vipriors.tasks import reid
from vipriors.tasks.protocol import Truth
from vipriors.tasks.reid_matrix import QueryIndex

SUFFIX = ".csv"

SHOWN = 3
"""Ids in a message."""


def labelled(data: RunData, *splits: str) -> Labelled:
    """Images `(N, H, W, C)` with the persons on them, int64 `(N,)` from 0 on in the order of their names."""
    images = data.load(*splits)
    persons: dict[str, str] = {}
    for split in splits:
        persons |= _persons(data, split)
    names = [persons[id_] for id_ in images.ids]
    _, numbers = np.unique(names, return_inverse=True)
    return Labelled(images.images, numbers.astype(np.int64))


def truth(data: RunData, split: str) -> Truth | None:
    """Queries, gallery and persons of a split."""
    labels = data.prepared.labels_of(split)
    return None if labels is None else reid.open_truth(labels)


def write(data: RunData, split: str, model: Embedder, file: Path) -> None:
    """Writes the Euclidean distances between the embeddings of queries and gallery images."""
    index = _index(data, split)
    images = data.load(split)
    points = model.embeddings(images.images)
    places = {id_: place for place, id_ in enumerate(images.ids)}
    queries, gallery = (points[[places[id_] for id_ in ids]] for ids in (index.queries, index.gallery))
    reid.write(file, index.queries, reid.Predictions(index.gallery, distances(queries, gallery)))


def distances(queries: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean distances `(M, N)` of points `(M, D)` and `(N, D)`."""
    # In double precision: the short form loses half of the digits where points are close.
    a, b = queries.astype(np.float64), gallery.astype(np.float64)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    found: NDArray[np.float64] = np.sqrt(squared.clip(0))
    return found


def _persons(data: RunData, split: str) -> dict[str, str]:
    """Person of each image of `train` or `val`, by id."""
    file = data.root / ANNOTATIONS / split / "labels.csv"
    if split == "train":
        rows = _read(file, ("id", "person"))
        persons = {row["id"]: row["person"] for row in rows}
    else:
        labels = reid.read_labels(read_bytes(file), str(file))
        persons = {id_: image.person for id_, image in (labels.queries | labels.gallery).items()}
    _refuse_misfits(file, data, split, set(persons))
    return persons


def _index(data: RunData, split: str) -> QueryIndex:
    """Queries and gallery of `val`, from its labels, or of `test`, whose labels may not be here."""
    if split == "test":
        file = data.root / ANNOTATIONS / split / "roles.csv"
        rows = _read(file, ("split", "id"))
        queries, gallery = (
            tuple(sorted(row["id"] for row in rows if row["split"] == role)) for role in ("query", "gallery")
        )
        index = QueryIndex(queries, gallery)
    else:
        file = data.root / ANNOTATIONS / split / "labels.csv"
        index = reid.index_of(reid.read_labels(read_bytes(file), str(file)))
    _refuse_misfits(file, data, split, {*index.queries, *index.gallery})
    return index


def _read(file: Path, header: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with at least these columns, none of them empty."""
    try:
        rows = list(csv.DictReader(read_bytes(file).decode("utf-8").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput.single(file, f"is not a CSV file in UTF-8: {error}") from None
    wrong = [n for n, row in enumerate(rows, start=2) if not all(row.get(column) for column in header)]
    if wrong or not rows:
        at = f"row {wrong[0]} and {len(wrong) - 1} more" if wrong else "no rows"
        raise BadInput.single(file, f"{at}; expected the columns {','.join(header)}, none of them empty")
    return rows


def _refuse_misfits(file: Path, data: RunData, split: str, found: set[str]) -> None:
    """Refuses a file that leaves out images of the split, or has others; those of train may be cut."""
    ids = {row.id for row in data.select(split)}
    faults = {
        "leaves out images": ids - found,
        "has images that are not there": set() if split == "train" else found - ids,
    }
    problems = [
        Problem(str(file), f"{what}, {len(these)} in all: {', '.join(sorted(these)[:SHOWN])}")
        for what, these in faults.items()
        if these
    ]
    if problems:
        raise BadInput(problems)
