"""Which classes are taken for which, and how well each is recognised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_NUMBERS = 30
"""Classes up to which the matrix shows its numbers; above, a map and the most confused pairs."""
MOST_CELLS = 200
"""Classes up to which there is a map."""


@dataclass(frozen=True)
class Cell:
    """Images of one label that were given one class."""

    count: int
    kind: str
    """`right`, `wrong`, or `zero` where there is no image."""
    shade: float
    """Opacity: the square root of its share of the row, 0 to 1."""


@dataclass(frozen=True)
class ClassRow:
    """One label's test images."""

    name: str
    cells: tuple[Cell, ...]
    images: int
    right: int

    @property
    def recall(self) -> float | None:
        """Share that is right; None where there is no image."""
        return self.right / self.images if self.images else None


@dataclass(frozen=True)
class Pair:
    """A label and a class that it was wrongly given."""

    label: str
    predicted: str
    count: int
    images: int
    """Test images of the label."""


def columns(confusion: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """Names of the predicted classes, and `none` where images went without a prediction."""
    return [*classes, "none"] if confusion[:, -1].any() else list(classes)


def class_rows(confusion: NDArray[np.int64], classes: Sequence[str]) -> list[ClassRow]:
    """The matrix row by row.

    Args:
        confusion: `(K, K + 1)`; see `FinishedRun.confusion`.
        classes: K names.
    """
    shown = len(columns(confusion, classes))
    rows = []
    for label, (name, counts) in enumerate(zip(classes, confusion.tolist(), strict=True)):
        images = sum(counts)
        cells = [_cell(count, images, label == place) for place, count in enumerate(counts[:shown])]
        rows.append(ClassRow(name, tuple(cells), images, counts[label]))
    return rows


def confused_pairs(confusion: NDArray[np.int64], classes: Sequence[str], most: int = 20) -> list[Pair]:
    """The pairs of different classes that are confused most often, largest count first."""
    errors = confusion[:, :-1].copy()
    np.fill_diagonal(errors, 0)
    largest = np.argsort(-errors, axis=None, kind="stable")[:most]
    labels, predicted = np.unravel_index(largest, errors.shape)
    return [
        Pair(classes[label], classes[taken], int(errors[label, taken]), int(confusion[label].sum()))
        for label, taken in zip(labels.tolist(), predicted.tolist(), strict=True)
        if errors[label, taken]
    ]


def _cell(count: int, images: int, right: bool) -> Cell:
    if not count:
        return Cell(0, "zero", 0.0)
    return Cell(count, "right" if right else "wrong", math.sqrt(count / images))
