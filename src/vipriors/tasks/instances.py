"""Task: instances, masks with a category and a score for each image.

A predictions file is a COCO results file, and a labels file is a COCO ground-truth file:

    [{"image_id": 139, "category_id": 1, "segmentation": {"size": [426, 640], "counts": "…"}, "score": 0.9}]

`size` is the image's height and width, `counts` the mask's run lengths, as text or as a list. A `bbox` beside
it is ignored. An image without results is one in which nothing was found. `docs/formats/instances.md` states
it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vipriors.problems import BadInput, Problem
from vipriors.tasks.coco import UNKNOWN, Index, Objects, Results
from vipriors.tasks.coco_labels import read_ground_truth
from vipriors.tasks.coco_results import Limits, read_results, write_results
from vipriors.tasks.findings import Findings
from vipriors.tasks.instance_masks import annotated_masks, found_masks
from vipriors.tasks.mask_overlaps import mask_overlaps
from vipriors.tasks.matching import THRESHOLDS
from vipriors.tasks.object_score import DRAWS, score_objects
from vipriors.tasks.protocol import Truth
from vipriors.tasks.rle import Masks
from vipriors.tasks.score import Score

HEADLINE = "AP"


@dataclass(frozen=True)
class Labels:
    """Annotated masks of the images of an index.

    Attributes:
        index: the images and categories.
        objects: the G annotated objects.
        masks: their G masks.
    """

    index: Index
    objects: Objects
    masks: Masks


@dataclass(frozen=True)
class Predictions:
    """Found masks.

    Attributes:
        results: the R found objects.
        masks: their R masks.
    """

    results: Results
    masks: Masks


@dataclass(frozen=True)
class Found:
    """What was found in one image, as `write` takes it.

    Attributes:
        size: height and width of the image.
        categories: `(n,)` ids of categories.
        counts: n masks as `rle.encode` gives them.
        scores: `(n,)`.
    """

    size: tuple[int, int]
    categories: ArrayLike
    counts: Sequence[str]
    scores: ArrayLike


def read_labels(data: bytes | Path, name: str = "labels.json") -> Labels:
    """Reads a ground-truth file; its masks may be polygons or run lengths.

    Args:
        data: the file's path or content.
        name: what problems call it, if only the content is given.

    Raises:
        BadInput: with every problem in it (of one kind at most `findings.LISTED`).
    """
    findings = Findings(str(data) if isinstance(data, Path) else name)
    truth = read_ground_truth(data, findings)
    masks = annotated_masks(truth[2], _sizes(truth[0], truth[1].images), findings) if truth else None
    if truth is None or masks is None or findings:
        raise BadInput(findings.problems())
    index, objects, _ = truth
    return Labels(index, objects.with_areas(masks.areas.astype(np.float64)), masks)


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
        predictions: what was found in each; scores are written with nine significant digits.

    Raises:
        BadInput: `check` would refuse the file; lists all it would say. Nothing is written.
    """
    found = []
    for one in predictions:
        height, width = one.size
        # The backslash is a character of run-length text, and the only one that JSON escapes.
        texts = [counts.replace("\\", "\\\\") for counts in one.counts]
        shapes = [f'"segmentation":{{"size":[{height},{width}],"counts":"{text}"}}' for text in texts]
        found.append((one.categories, one.scores, shapes))
    write_results(path, ids, [one.size for one in predictions], found, check)


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
    if read is None:
        return None, findings.problems()
    results, entries = read
    masks = found_masks(entries, _sizes(index, results.images), findings)
    return (None, findings.problems()) if findings else (Predictions(results, masks), [])


def score(
    predictions: Predictions, labels: Labels, index: Index, class_names: Sequence[str], *, draws: int = DRAWS
) -> Score:
    """COCO's twelve numbers over the whole index, and their 95 % intervals over images.

    A number that is undefined (such as `APs` where no object is small) is None in the details' `summary`,
    and is no estimate.

    Args:
        predictions: as `check` returns them.
        labels: the annotated masks.
        index: the test images, K categories.
        class_names: K names.
        draws: resamples for the intervals; 0 for none.

    Raises:
        BadInput: labels, predictions or names do not fit the index.
    """
    crowds, own_areas = labels.objects.crowds, predictions.masks.areas

    def overlaps(found: NDArray[np.int64], annotated: NDArray[np.int64]) -> NDArray[np.float64]:
        return mask_overlaps(
            predictions.masks, labels.masks, found, annotated, crowds[annotated], THRESHOLDS[0]
        )

    return score_objects(
        "instances",
        labels.objects,
        predictions.results,
        own_areas.astype(np.float64),
        overlaps,
        index,
        class_names,
        draws,
    )


def _sizes(index: Index, images: NDArray[np.int64]) -> list[tuple[int, int] | None]:
    """Height and width of each image at a position of the index, None where that is unknown."""
    return [None if image == UNKNOWN else index.sizes[image] for image in images.tolist()]


def _limits(index: Index) -> Limits:
    """On average 500 results an image of at most 1 KiB, and room for few images; at most 512 MiB."""
    images = len(index.ids)
    return Limits(min(2**20 + 2**19 * images, 2**29), 1000 + 500 * images)
