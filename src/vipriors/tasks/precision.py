"""COCO's twelve numbers from matches: average precisions and recalls, each with its interval.

Average precision (AP) is the mean, over 101 recalls from 0 to 1, of the best precision at that recall or
beyond it; then over thresholds of overlap and over the categories that have objects. Average recall (AR) is
the share of objects found among the 1, 10 or 100 best results per image and category, averaged likewise.

Everything is a sum over images, so to resample images is to weight them: an image drawn twice counts each of
its objects and results twice. No matching has to be done again.

Source: the definition of the metric at cocodataset.org/#detection-eval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.bootstrap import resample
from vipriors.tasks.coco import Objects, Results
from vipriors.tasks.matching import AREAS, THRESHOLDS, Matches
from vipriors.tasks.score import Estimate

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")

DRAWS = 200
"""Resamples per interval: its limits are steady to about a tenth of its width."""

_RECALLS = np.linspace(0.0, 1.0, 101)
_BOUNDS = np.append(_RECALLS, [np.inf, np.inf])
_TOPS = (1, 10)


@dataclass(frozen=True)
class Numbers:
    """The numbers of one evaluation.

    Attributes:
        values: `(12,)` in the order of `NAMES`; NaN where no category has an object in the range of areas.
        per_class: `(K, 3)`, AP, AP50 and AP75 of each category; NaN for those without objects.
    """

    values: NDArray[np.float64]
    per_class: NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """The hits (results matched with an object that counts) for one range of area and one threshold.

    The H hits are sorted by category and falling score. The results that count up to a hit are those of its
    category with their own area in range, but for the E corrections: +1 for a result out of range that is a
    hit all the same, −1 for one in range that matches an ignored object.
    """

    places: NDArray[np.int64]  # (H,), among the D results
    images: NDArray[np.int64]  # (H,)
    classes: NDArray[np.int64]  # (H,)
    ranks: NDArray[np.int64]  # (H,), among the results of the same image and category
    first_hits: NDArray[np.int64]  # (H,), the first hit of the category
    first_places: NDArray[np.int64]  # (H,), the first result of the category
    corrections: NDArray[np.int64]  # (E,), ±1
    correction_images: NDArray[np.int64]  # (E,)
    correction_spans: NDArray[np.int64]  # (2, H), the corrections from the first result to the hit


@dataclass(frozen=True)
class Curves:
    """What the numbers are computed from, for any weights of the N images.

    Attributes:
        result_images: `(D,)`, by category and falling score.
        in_range: `(A, D)`, whether a result's own area is in the range.
        rows: A · T rows, by range of area and then threshold.
        object_images: `(O,)`, of each countable object in each range of area.
        object_cells: `(O,)`, of an `(A, K)` table.
        images: N.
        classes: K.
    """

    result_images: NDArray[np.int64]
    in_range: NDArray[np.bool_]
    rows: tuple[Row, ...]
    object_images: NDArray[np.int64]
    object_cells: NDArray[np.int64]
    images: int
    classes: int


def curves(matches: Matches, objects: Objects, results: Results, images: int, classes: int) -> Curves:
    """Prepares what `numbers` needs.

    Args:
        matches: of the results with the objects.
        objects: the annotated objects.
        results: the found objects.
        images: N.
        classes: K.
    """
    object_, area = np.nonzero(matches.countable)
    of_results, in_range = results.classes[matches.order], matches.in_range[matches.candidates].T
    starts = np.searchsorted(of_results, np.arange(classes))
    rows = []
    for a, t in np.ndindex(len(AREAS), len(THRESHOLDS)):
        hit, ignored = matches.hit[:, a, t], matches.ignored[:, a, t]
        changes = (hit & ~in_range[a]).astype(np.int64) - (ignored & in_range[a])
        places, changed = matches.candidates[hit], matches.candidates[changes != 0]
        first_places = starts[of_results[places]]
        spans = [np.searchsorted(changed, first_places), np.searchsorted(changed, places, side="right")]
        rows.append(
            Row(
                places,
                results.images[matches.order[places]],
                of_results[places],
                matches.ranks[places],
                np.searchsorted(places, first_places),
                first_places,
                changes[changes != 0],
                results.images[matches.order[changed]],
                np.stack(spans),
            )
        )
    return Curves(
        results.images[matches.order],
        np.ascontiguousarray(matches.in_range.T),
        tuple(rows),
        objects.images[object_],
        area * classes + objects.classes[object_],
        images,
        classes,
    )


def numbers(curves: Curves, weights: NDArray[np.int64]) -> Numbers:
    """The twelve numbers when image n counts `weights[n]` times.

    Copies of an image tie with each other. The last copy of a hit has the best precision of them, which
    counts for the recalls that the others reach too, so one point for all of them is exact (up to the order
    of results that tie within one image).
    """
    weight, table = weights.astype(np.float64), (len(AREAS), len(THRESHOLDS), curves.classes)
    cells = np.bincount(curves.object_cells, weight[curves.object_images], len(AREAS) * curves.classes)
    objects = cells.reshape(len(AREAS), curves.classes)
    of_results = weight[curves.result_images]
    precisions, recalls, in_tops = np.zeros(table), np.zeros(table), np.zeros((len(_TOPS), *table[1:]))
    for place, row in enumerate(curves.rows):
        a, t = divmod(place, len(THRESHOLDS))
        if t == 0:
            seen = _sums(of_results * curves.in_range[a])
        hits = weight[row.images]
        precisions[a, t] = _average_precisions(row, hits, weight, seen, objects[a])
        recalls[a, t] = np.bincount(row.classes, hits, curves.classes)
        if a == 0:
            for number, top in enumerate(_TOPS):
                in_tops[number, t] = np.bincount(row.classes, hits * (row.ranks < top), curves.classes)
    with np.errstate(invalid="ignore"):
        precisions = np.where(objects[:, np.newaxis] > 0, precisions, np.nan)
        recalls, in_tops = recalls / objects[:, np.newaxis], in_tops / objects[0]
    at = [int(np.argmin(abs(THRESHOLDS - threshold))) for threshold in (0.5, 0.75)]
    parts = [precisions[0], *precisions[0, at], *precisions[1:], *in_tops, *recalls]
    per_class = np.stack([precisions[0].mean(axis=0), *precisions[0, at]], axis=1)
    return Numbers(np.array([_mean(part) for part in parts]), per_class)


def estimates(curves: Curves, draws: int = DRAWS, seed: int = 0) -> tuple[Numbers, dict[str, Estimate]]:
    """The numbers, and those that are defined with their 95 % intervals over images.

    A sample with repeated images scores a little higher than one without: fewer distinct images give a
    rougher curve, and precision is the best of all later ones. So the resamples are moved to have the value
    as their mean before the percentiles are taken.

    Args:
        curves: of a submission.
        draws: number of resamples; with 0 each interval is the value itself.
        seed: the same seed gives the same intervals.
    """
    found = numbers(curves, np.ones(curves.images, dtype=np.int64))
    weights = resample(np.ones(curves.images, dtype=np.int64), draws=draws, seed=seed)
    resampled = np.array([numbers(curves, weight).values for weight in weights] or [found.values])
    intervals = {}
    for name, value, column in zip(NAMES, found.values.tolist(), resampled.T, strict=True):
        if not np.isnan(value):
            # A resample may draw none of the few objects that a number is about.
            column = column[~np.isnan(column)]
            moved = np.clip(column - column.mean() + value, 0.0, 1.0)
            low, high = np.percentile(moved, [2.5, 97.5])
            intervals[name] = Estimate(value, min(float(low), value), max(float(high), value))
    return found, intervals


def _average_precisions(
    row: Row,
    hits: NDArray[np.float64],
    weight: NDArray[np.float64],
    seen: NDArray[np.float64],
    objects: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The average precision of each category, `(K,)`, 0 for those without objects.

    Args:
        row: H hits.
        hits: `(H,)` their weights.
        weight: `(N,)` of the images.
        seen: `(D + 1,)` sums of the weights of the results in range.
        objects: `(K,)` sums of the weights of the countable objects.
    """
    right = _sums(hits)
    right = right[1:] - right[row.first_hits]
    changed = _sums(weight[row.correction_images] * row.corrections)
    first, last = row.correction_spans
    counted = seen[row.places + 1] - seen[row.first_places] + changed[last] - changed[first]
    precision = right / np.maximum(counted, 1)
    # The largest of this and all later precisions of the category; subtracting the category keeps them apart.
    best = np.maximum.accumulate((precision - row.classes)[::-1])[::-1] + row.classes
    reached = recalls_up_to(right / np.maximum(objects, 1)[row.classes])
    before = np.append(0, reached[:-1])
    before[row.first_hits] = 0
    return np.bincount(row.classes, best * (reached - before), len(objects)) / len(_RECALLS)


def recalls_up_to(recall: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of the 101 recalls are at most `recall`; as `searchsorted` to the right, but faster."""
    guess = (recall * 100).astype(np.int64)
    guess += _BOUNDS[guess + 1] <= recall
    guess -= _BOUNDS[guess] > recall
    return guess + 1


def _sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of all values before each place, and of all at the end, `(n + 1,)`."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums


def _mean(values: NDArray[np.float64]) -> float:
    """The mean of the defined values, or NaN."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
