"""Polygons drawn as masks, pixel for pixel as COCO's own tools draw them.

Corners are rounded to fifths of a pixel, and edges drawn between them as lines of such small steps. Where a
line passes the middle of a pixel column, it toggles all pixels of the column below it. Pixels are numbered
column by column, so toggles in ascending order are the starts and ends of runs.

Only the two steps of a line beside each column's middle are computed, not the whole line.

Source: the polygons of cocodataset.org/#format-data and their rounding, as observed in pycocotools 2.0.11.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.rle import Masks, from_runs, joined

_STEPS = 5  # per pixel
_BATCH = 2048  # masks drawn at a time, to bound memory
_SHIFT = 2**32


def draw(
    outlines: Sequence[Sequence[NDArray[np.float64]]], heights: NDArray[np.int64], widths: NDArray[np.int64]
) -> Masks:
    """Draws M masks, each the union of its polygons.

    Args:
        outlines: for each mask its polygons, `(2 n,)` with x, y, x, y … of n ≥ 3 corners in pixels.
        heights: `(M,)` of the images.
        widths: `(M,)`.
    """
    starts = range(0, len(outlines), _BATCH)
    parts = [slice(start, start + _BATCH) for start in starts]
    return joined([_draw(outlines[part], heights[part], widths[part]) for part in parts])


def _draw(
    outlines: Sequence[Sequence[NDArray[np.float64]]], heights: NDArray[np.int64], widths: NDArray[np.int64]
) -> Masks:
    owners = np.repeat(np.arange(len(outlines)), [len(polygons) for polygons in outlines])
    polygons = [polygon for mask in outlines for polygon in mask]
    sizes = np.array([len(polygon) // 2 for polygon in polygons], dtype=np.int64)
    corners = np.concatenate([np.zeros(0), *polygons]).reshape(-1, 2)
    corners = (_STEPS * corners + 0.5).astype(np.int64)
    following = np.arange(1, len(corners) + 1)
    ends = np.cumsum(sizes)
    following[ends - 1] = ends - sizes
    of_edges = np.repeat(np.arange(len(polygons)), sizes)
    size_of = [sides[owners][of_edges] for sides in (heights, widths)]
    edges, toggles = _toggles(corners, corners[following], *size_of)
    first, last = _runs(of_edges[edges], toggles, (heights * widths)[owners])
    run_starts, run_ends, of_runs = _union(first, last, owners)
    return from_runs(run_starts, run_ends, of_runs, heights)


def _toggles(
    starts: NDArray[np.int64], ends: NDArray[np.int64], heights: NDArray[np.int64], widths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where E edges, `(E, 2)` in steps, cross the middles of columns: edges and pixels, `(T,)` each."""
    low, high = np.minimum(starts[:, 0], ends[:, 0]), np.maximum(starts[:, 0], ends[:, 0])
    # The middle of column c lies between the steps 5 c + 2 and 5 c + 3.
    first, last = np.maximum((low + 2) // _STEPS, 0), np.minimum((high - 3) // _STEPS, widths - 1)
    counts = np.maximum(last - first + 1, 0)
    edge = np.repeat(np.arange(len(starts)), counts)
    column = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = np.abs(ends - starts)
    flat = along[:, 0] >= along[:, 1]
    major = np.where(flat, 0, 1)
    rows = np.arange(len(starts))
    reversed_ = starts[rows, major] > ends[rows, major]
    a = np.where(reversed_[:, np.newaxis], ends, starts)
    b = np.where(reversed_[:, np.newaxis], starts, ends)
    length = along[rows, major]
    slope = (b - a)[rows, 1 - major] / np.maximum(length, 1)
    origin, slope, flat = a[edge], slope[edge], flat[edge]
    x, y = origin[:, 0], origin[:, 1]
    before = _STEPS * column + 2
    # A flat edge has one step in each small column, so its height is known on both sides of the middle.
    step = before - x
    beside = [(y + slope * t + 0.5).astype(np.int64) for t in (step, step + 1)]
    height_of_flat = np.minimum(*beside)
    # A steep edge has one step in each small row: search for the step that passes the middle.
    with np.errstate(divide="ignore", invalid="ignore"):
        guess = np.where(flat, 0.0, np.ceil((before + 0.5 - x) / slope)).astype(np.int64)
    rising = slope > 0

    def passed(t: NDArray[np.int64]) -> NDArray[np.bool_]:
        at = (x + slope * t + 0.5).astype(np.int64)
        past: NDArray[np.bool_] = np.where(rising, at > before, at <= before)
        return past

    guess -= passed(guess - 1)
    guess += ~passed(guess)
    height = np.where(flat, height_of_flat, y + guess - 1)
    row = np.clip((height + 2) // _STEPS, 0, heights[edge])
    return edge, column * heights[edge] + row


def _runs(
    polygons: NDArray[np.int64], toggles: NDArray[np.int64], pixels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of runs from toggles, each with its polygon in the high bits; the last may be open."""
    odd = np.flatnonzero(np.bincount(polygons, minlength=len(pixels)) % 2)
    keys = np.sort(np.concatenate([polygons * _SHIFT + toggles, odd * _SHIFT + pixels[odd]]))
    return keys[::2], keys[1::2]


def _union(
    starts: NDArray[np.int64], ends: NDArray[np.int64], owners: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Runs of masks from runs of their polygons, and the mask of each run."""
    events = [2 * (owners[keys // _SHIFT] * _SHIFT + keys % _SHIFT) for keys in (starts, ends)]
    merged = np.sort(np.concatenate([events[0], events[1] + 1]))  # at the same pixel, starts come first
    is_end = merged % 2
    covered = np.cumsum(1 - 2 * is_end)
    opening, closing = merged[(is_end == 0) & (covered == 1)] // 2, merged[covered == 0] // 2
    return opening % _SHIFT, closing % _SHIFT, opening // _SHIFT
