"""Overlaps of masks from their runs, without ever drawing a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.rle import Masks, chunks, runs_of


def mask_overlaps(
    found: Masks,
    annotated: Masks,
    of_found: NDArray[np.int64],
    of_annotated: NDArray[np.int64],
    crowds: NDArray[np.bool_],
    lowest: float,
) -> NDArray[np.float64]:
    """Intersections over unions of P pairs of masks, or over the found mask where the other is a crowd.

    Args:
        found: the one kind of masks.
        annotated: the other.
        of_found: `(P,)` places of the pairs' masks in `found`.
        of_annotated: `(P,)` places in `annotated`.
        crowds: `(P,)`, whether the annotated mask is a crowd.
        lowest: overlaps that cannot reach this are not computed, and given as 0.
    """
    area, other = found.areas[of_found], annotated.areas[of_annotated]
    most = np.minimum(_shared_box(found, annotated, of_found, of_annotated), np.minimum(area, other))
    possible = np.flatnonzero(most >= lowest * np.where(crowds, area, area + other - most))
    shared = np.zeros(len(of_found), dtype=np.int64)
    shared[possible] = intersections(found, annotated, of_found[possible], of_annotated[possible])
    overlaps: NDArray[np.float64] = shared / np.maximum(np.where(crowds, area, area + other - shared), 1)
    return overlaps


def intersections(a: Masks, b: Masks, of_a: NDArray[np.int64], of_b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels that mask `of_a[p]` of `a` and mask `of_b[p]` of `b` share, `(P,)`."""
    shared = np.zeros(len(of_a), dtype=np.int64)
    for start, end in chunks(np.diff(a.offsets)[of_a]):
        shared[start:end] = _intersections(a, b, of_a[start:end], of_b[start:end])
    return shared


def _shared_box(a: Masks, b: Masks, of_a: NDArray[np.int64], of_b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels that the boxes around the masks of each pair share, `(P,)`."""
    around = a.boxes[:, of_a], b.boxes[:, of_b]
    low, high = np.maximum(*around)[:2], np.minimum(*around)[2:]
    shared: NDArray[np.int64] = np.maximum(high - low, 0).prod(axis=0)
    return shared


def _intersections(a: Masks, b: Masks, of_a: NDArray[np.int64], of_b: NDArray[np.int64]) -> NDArray[np.int64]:
    """By counting, for each run of a's mask, the pixels of b's mask before its end and before its start."""
    which, slots = np.unique(of_b, return_inverse=True)
    runs, owners = runs_of(b, which)
    shift = np.int64(2**32)
    # Starts and ends of b's runs take turns, and masks lie apart: one sorted list to search.
    edges = np.stack([b.starts[runs], b.ends[runs]], axis=1) + (owners * shift)[:, np.newaxis]
    covered = np.append(0, np.cumsum(edges[:, 1] - edges[:, 0]))
    edges = np.append(edges.ravel(), len(which) * shift)

    def pixels_before(places: NDArray[np.int64]) -> NDArray[np.int64]:
        passed = np.searchsorted(edges, places, side="right")
        inside = passed % 2 * (places - edges[passed - 1])
        before: NDArray[np.int64] = covered[passed // 2] + inside
        return before

    runs, owners = runs_of(a, of_a)
    own = slots[owners] * shift
    counts = pixels_before(a.ends[runs] + own) - pixels_before(a.starts[runs] + own)
    return np.bincount(owners, counts, len(of_a)).astype(np.int64)
