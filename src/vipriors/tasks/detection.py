"""Task: detection, boxes with a category and a score for each image.

A predictions file is a COCO results file, and a labels file is a COCO ground-truth file:

    [{"image_id": 139, "category_id": 1, "bbox": [258.2, 41.3, 348.3, 243.8], "score": 0.236}, …]

A box is `[x, y, width, height]` in pixels from the top left corner. An image without results is one in which
nothing was found. `docs/formats/detection.md` states it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vipriors.problems import BadInput, Problem
from vipriors.tasks.coco import Entry, Index, Objects, Results
from vipriors.tasks.coco_labels import read_ground_truth
from vipriors.tasks.coco_results import Limits, read_results, write_results
from vipriors.tasks.findings import Findings
from vipriors.tasks.json_values import is_number, numbers, said
from vipriors.tasks.object_score import DRAWS, score_objects
from vipriors.tasks.protocol import Truth
from vipriors.tasks.score import Score

HEADLINE = "AP"

FARTHEST = 1e6
"""Coordinates in pixels lie between this and its negative."""


@dataclass(frozen=True)
class Labels:
    """Annotated boxes of the images of an index.

    Attributes:
        index: the images and categories.
        objects: the G annotated objects.
        boxes: `(G, 4)` float64: left, top, width, height in pixels.
    """

    index: Index
    objects: Objects
    boxes: NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Found boxes.

    Attributes:
        results: the R found objects.
        boxes: `(R, 4)` float64: left, top, width, height in pixels.
    """

    results: Results
    boxes: NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What was found in one image, as `write` takes it.

    Attributes:
        categories: `(n,)` ids of categories.
        boxes: `(n, 4)`: left, top, width, height in pixels.
        scores: `(n,)`.
    """

    categories: ArrayLike
    boxes: ArrayLike
    scores: ArrayLike


def read_labels(data: bytes | Path, name: str = "labels.json") -> Labels:
    """Reads a ground-truth file.

    Args:
        data: the file's path or content.
        name: what problems call it, if only the content is given.

    Raises:
        BadInput: with every problem in it (of one kind at most `findings.LISTED`).
    """
    findings = Findings(str(data) if isinstance(data, Path) else name)
    truth = read_ground_truth(data, findings)
    boxes = _boxes(truth[2], "annotations, ", findings) if truth else None
    if truth is None or boxes is None or findings:
        raise BadInput(findings.problems())
    index, objects, _ = truth
    return Labels(index, objects.with_areas(boxes[:, 2] * boxes[:, 3]), boxes)


def index_of(labels: Labels) -> Index:
    """What a submission is checked against."""
    return labels.index


def open_truth(labels: Path, classes: Sequence[str] | None = None) -> Truth:
    """Opens a COCO ground-truth file, which names its categories: `classes` is not used."""
    known = read_labels(labels, labels.name)
    return Truth(known.index, known, known.index.names)


def write(path: Path, ids: Sequence[int], predictions: Sequence[Found]) -> None:
    """Writes a predictions file: the same bytes for the same predictions, and all of it or nothing.

    Args:
        path: the file; folders above it are made.
        ids: the ids of N images.
        predictions: what was found in each; numbers are written with nine significant digits.

    Raises:
        BadInput: `check` would refuse the file; lists all it would say. Nothing is written.
    """
    found = []
    for one in predictions:
        boxes = np.asarray(one.boxes, dtype=np.float64)
        shapes = [f'"bbox":[{",".join(f"{side:.9g}" for side in box)}]' for box in boxes.tolist()]
        found.append((one.categories, one.scores, shapes))
    write_results(path, ids, [(1, 1)] * len(ids), found, check)


def check(
    data: bytes, index: Index, name: str = "predictions.json", *, allow_missing: bool = True
) -> tuple[Predictions | None, list[Problem]]:
    """Reads a predictions file and lists every problem in it (of one kind at most `findings.LISTED`).

    Args:
        data: the file, any bytes.
        index: the test images and categories.
        name: what problems call the file.
        allow_missing: without effect: an image without results is one in which nothing was found.

    Returns:
        The predictions and no problems, or None and the problems.
    """
    findings = Findings(name)
    read = read_results(data, index, _limits(index), findings)
    boxes = _boxes(read[1], "", findings) if read else None
    if read is None or boxes is None or findings:
        return None, findings.problems()
    return Predictions(read[0], boxes), []


def score(
    predictions: Predictions, labels: Labels, index: Index, class_names: Sequence[str], *, draws: int = DRAWS
) -> Score:
    """COCO's twelve numbers over the whole index, and their 95 % intervals over images.

    A number that is undefined (such as `APs` where no object is small) is None in the details' `summary`,
    and is no estimate.

    Args:
        predictions: as `check` returns them.
        labels: the annotated boxes.
        index: the test images, K categories.
        class_names: K names.
        draws: resamples for the intervals; 0 for none.

    Raises:
        BadInput: labels, predictions or names do not fit the index.
    """
    crowds = labels.objects.crowds

    def overlaps(found: NDArray[np.int64], annotated: NDArray[np.int64]) -> NDArray[np.float64]:
        return box_overlaps(predictions.boxes[found], labels.boxes[annotated], crowds[annotated])

    areas = predictions.boxes[:, 2] * predictions.boxes[:, 3]
    return score_objects(
        "detection", labels.objects, predictions.results, areas, overlaps, index, class_names, draws
    )


def box_overlaps(
    found: NDArray[np.float64], annotated: NDArray[np.float64], crowds: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Intersections over unions of P pairs of boxes `(P, 4)`, or over the found box where one is a crowd."""
    ends = np.minimum(found[:, :2] + found[:, 2:], annotated[:, :2] + annotated[:, 2:])
    sides = ends - np.maximum(found[:, :2], annotated[:, :2])
    shared = np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)
    area, other = found[:, 2] * found[:, 3], annotated[:, 2] * annotated[:, 3]
    whole = np.where(crowds, area, area + other - shared)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=shared > 0)


def _limits(index: Index) -> Limits:
    """On average 500 results an image of at most 131 bytes, and room for few images; at most 512 MiB."""
    images = len(index.ids)
    return Limits(min(2**20 + 2**16 * images, 2**29), 1000 + 500 * images)


def _boxes(entries: Sequence[Entry], part: str, findings: Findings) -> NDArray[np.float64] | None:
    """The boxes of entries `(n, 4)`; None if any is wrong, which is a problem of an entry of `part`."""
    boxes: list[Any] = [entry.get("bbox") for entry in entries]
    if all(type(box) is list and len(box) == 4 for box in boxes):
        values = numbers(list(chain.from_iterable(boxes)), -FARTHEST, FARTHEST)
        if values is not None and (values.reshape(-1, 4)[:, 2:] >= 0).all():
            return values.reshape(-1, 4)
    for number, (entry, box) in enumerate(zip(entries, boxes, strict=True)):
        fault = _fault_of_box(box)
        if fault and entry:  # an empty one is no object, and reported as such
            findings.add("boxes that are wrong", fault, at=f"{part}entry {number}")
    return None


def _fault_of_box(box: object) -> str | None:
    if not isinstance(box, list) or len(box) != 4:
        return f"bbox is {said(box)}; expected [x, y, width, height]"
    for what, value, low in zip(
        ("x", "y", "width", "height"), box, (-FARTHEST, -FARTHEST, 0, 0), strict=True
    ):
        if not is_number(value, low, FARTHEST):
            return f"{what} of bbox is {said(value)}; expected a number from {low:.0f} to {FARTHEST:.0f}"
    return None
