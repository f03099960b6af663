"""Matching of found objects with annotated ones, for all images, thresholds and ranges of area at once.

In each image and category the found objects are taken by falling score. Each takes, of the annotated objects
that are still free, the one with the largest overlap at or above the threshold; a crowd is always free. Only
if no object that counts is left may it take an ignored one (a crowd, or an area out of range), and then it is
itself ignored. Of equal overlaps the later annotation wins.

The order matters within one image and category only. So the first found objects of all of them are matched
together, then the second ones, and so on: at most `MOST_FOUND` rounds of array operations.

Source: the definition of the metric at cocodataset.org/#detection-eval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.coco import LARGEST_AREA, Objects, Results

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""T = 10 overlaps, as intersection over union, from which on two objects match."""

AREAS = {
    "all": (0.0, LARGEST_AREA),
    "s": (0.0, 32.0**2),
    "m": (32.0**2, 96.0**2),
    "l": (96.0**2, LARGEST_AREA),
}
"""A = 4 ranges of area in square pixels, both ends included."""

MOST_FOUND = 100
"""Found objects per image and category that count, those with the largest scores."""

Overlaps = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""Maps P indices of results and P of objects to their overlaps `(P,)`."""

_PAIRS = 2**14
"""Pairs whose overlaps are computed at a time, to stay in the processor's cache."""


@dataclass(frozen=True)
class Matches:
    """Who was matched with whom.

    Attributes:
        order: `(D,)` indices of the results that count: by category, falling score, image and place in the
            file.
        ranks: `(D,)` place of each by score among those of its image and category, from 0.
        candidates: `(C,)` ascending positions in `order` of those that overlap an object enough.
        hit: `(C, A, T)` bool, matched with an object that counts.
        ignored: `(C, A, T)` bool, matched with an ignored object.
        in_range: `(D, A)` bool, the result's own area is in range.
        countable: `(G, A)` bool, the objects that are not ignored.
    """

    order: NDArray[np.int64]
    ranks: NDArray[np.int64]
    candidates: NDArray[np.int64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    in_range: NDArray[np.bool_]
    countable: NDArray[np.bool_]


def match(objects: Objects, results: Results, areas: NDArray[np.float64], overlaps: Overlaps) -> Matches:
    """Matches results with objects.

    Args:
        objects: G annotated objects.
        results: R found objects.
        areas: `(R,)` areas of the results in square pixels.
        overlaps: intersections over unions, or over the result's area where the object is a crowd.
    """
    classes = 1 + max(objects.classes.max(initial=0), results.classes.max(initial=0))
    groups = results.images * classes + results.classes
    order, ranks = _ordered(results, groups)
    of_objects = objects.images * classes + objects.classes
    pairs = overlapping(order, groups, of_objects, overlaps, THRESHOLDS[0])
    countable = _in_range(objects.areas) & ~objects.crowds[:, np.newaxis]
    candidates, of_pairs = np.unique(pairs.places, return_inverse=True)
    turns = _places_in_runs(
        np.lexsort((ranks[candidates], groups[order[candidates]])), groups[order[candidates]]
    )
    hit, ignored = _take(pairs, of_pairs, turns, countable, objects.crowds)
    return Matches(order, ranks, candidates, hit, ignored, _in_range(areas[order]), countable)


@dataclass(frozen=True)
class Pairs:
    """P pairs of a result, by its place in the order, and an object whose overlap reaches a threshold.

    Attributes:
        places: `(P,)` int64, of the results.
        objects: `(P,)` int64.
        overlaps: `(P,)` float64.
    """

    places: NDArray[np.int64]
    objects: NDArray[np.int64]
    overlaps: NDArray[np.float64]


def _ordered(results: Results, groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The results that count in the order of `Matches`, and their ranks in image and category."""
    order = _stable_order(results.images)
    order = order[np.argsort(-results.scores[order], kind="stable")]
    order = order[_stable_order(results.classes[order])]
    ranks = _places_in_runs(_stable_order(results.images[order]), groups[order])
    counted = ranks < MOST_FOUND
    return order[counted], ranks[counted]


def overlapping(
    order: NDArray[np.int64],
    groups: NDArray[np.int64],
    object_groups: NDArray[np.int64],
    overlaps: Overlaps,
    lowest: float,
) -> Pairs:
    """All pairs in the same group whose overlap reaches the lowest threshold.

    Args:
        order: `(D,)` indices of results.
        groups: `(R,)` the group of each result.
        object_groups: `(G,)` the group of each object.
        overlaps: as `match` takes it.
        lowest: the smallest overlap of a pair.
    """
    by_group = np.argsort(object_groups, kind="stable")
    wanted = groups[order]
    firsts, ends = (np.searchsorted(object_groups[by_group], wanted, side) for side in ("left", "right"))
    # In the order of images, so that what one chunk needs lies together.
    places = np.flatnonzero(ends > firsts)
    places = places[np.argsort(wanted[places], kind="stable")]
    counts = (ends - firsts)[places]
    chunks = np.searchsorted(np.cumsum(counts), np.arange(0, counts.sum(), _PAIRS), side="right")
    parts = []
    for start, end in pairwise([*chunks.tolist(), len(places)]):
        count = counts[start:end]
        place = np.repeat(places[start:end], count)
        object_ = by_group[np.repeat(firsts[places[start:end]], count) + _counted_up(count)]
        overlap = overlaps(order[place], object_)
        enough = overlap >= lowest
        parts.append(Pairs(place[enough], object_[enough], overlap[enough]))
    return Pairs(
        np.concatenate([np.zeros(0, dtype=np.int64), *(part.places for part in parts)]),
        np.concatenate([np.zeros(0, dtype=np.int64), *(part.objects for part in parts)]),
        np.concatenate([np.zeros(0), *(part.overlaps for part in parts)]),
    )


def _take(
    pairs: Pairs,
    of_pairs: NDArray[np.int64],
    turns: NDArray[np.int64],
    countable: NDArray[np.bool_],
    crowds: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Lets the C candidates take objects, turn by turn.

    Args:
        pairs: P pairs.
        of_pairs: `(P,)` the candidate of each.
        turns: `(C,)` the round in which each candidate takes.
        countable: `(G, A)`, objects that are not ignored.
        crowds: `(G,)`, objects that can be taken again and again.

    Returns:
        `(C, A, T)` each: those that took an object that counts, and those that took an ignored one.
    """
    shape = (len(turns), len(AREAS), len(THRESHOLDS))
    hit, ignored = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    taken = np.zeros((len(crowds), *shape[1:]), dtype=bool)
    order = np.lexsort((pairs.objects, pairs.overlaps, of_pairs, turns[of_pairs]))
    in_order = turns[of_pairs[order]]
    bounds = np.searchsorted(in_order, np.arange(in_order.max(initial=-1) + 2))
    for start, end in pairwise(bounds.tolist()):
        chosen = order[start:end]
        candidates, objects = of_pairs[chosen], pairs.objects[chosen]
        reaches = pairs.overlaps[chosen, np.newaxis, np.newaxis] >= THRESHOLDS
        free = reaches & ~taken[objects]
        # The best pair of a candidate is its last, but any that counts is better than all that do not.
        value = (
            np.arange(1, len(chosen) + 1, dtype=np.int32)[:, np.newaxis] + len(chosen) * countable[objects]
        )
        firsts = np.flatnonzero(_is_first(candidates))
        best = np.maximum.reduceat(np.where(free, value[:, :, np.newaxis], 0), firsts, axis=0)
        object_ = objects[(best - 1) % len(chosen)]
        took, counts = best > 0, best > len(chosen)
        hit[candidates[firsts]], ignored[candidates[firsts]] = counts, took & ~counts
        _, areas, thresholds = np.nonzero(took)
        object_ = object_[took]
        taken[object_, areas, thresholds] = ~crowds[object_]
    return hit, ignored


def _in_range(areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which ranges of area each of `areas` is in, `(…, A)`."""
    low, high = np.array(list(AREAS.values())).T
    inside: NDArray[np.bool_] = (areas[:, np.newaxis] >= low) & (areas[:, np.newaxis] <= high)
    return inside


def _stable_order(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices that sort non-negative `values`; fast (radix sort) where they fit 16 bits."""
    return np.argsort(values.astype(np.min_scalar_type(values.max(initial=0))), kind="stable")


def _places_in_runs(order: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each element in its group, from 0, where `order` sorts them by group."""
    places = np.empty_like(order)
    sizes = np.diff(np.flatnonzero(np.append(_is_first(groups[order]), True)))
    places[order] = _counted_up(sizes)
    return places


def _counted_up(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 to n - 1 for each n of `counts`, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _is_first(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each of sorted `values` differs from the one before."""
    return np.append(np.ones(min(len(values), 1), dtype=bool), values[1:] != values[:-1])
