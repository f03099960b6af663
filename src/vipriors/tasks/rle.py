"""Masks as runs: COCO's run-length encoding, read and written for many masks at once.

A mask's pixels are numbered column by column, from the top left. `counts` are the lengths of the runs of
background, foreground, background … from pixel 0; the first may be 0. As text, every count (from the fourth
on, its difference to the count two before) is written in groups of five bits, the lowest first, one character
each: 48 plus the bits, plus 32 if more groups follow. The highest bit of the last group is the sign.

Source: the mask format at cocodataset.org/#format-results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 2**18
"""Characters or runs worked on at a time, to bound memory and stay near the processor."""

LONGEST = 7
"""Characters for a count below 2**31."""


@dataclass(frozen=True)
class Masks:
    """M masks as the foreground runs of all of them, one after the other.

    Attributes:
        starts: `(I,)` int32, the first pixel of each run.
        ends: `(I,)` int32, the pixel after its last.
        offsets: `(M + 1,)`; the runs of mask m are those from `offsets[m]` to `offsets[m + 1]`.
        areas: `(M,)`, foreground pixels.
        heights: `(M,)`, of the images in pixels.
    """

    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    offsets: NDArray[np.int64]
    areas: NDArray[np.int64]
    heights: NDArray[np.int64]

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """Left, top, right, bottom of the masks, `(4, M)`, the last two exclusive; 0 for empty masks."""
        parts = [_boxes(self, *part) for part in chunks(np.diff(self.offsets))]
        return np.concatenate([np.zeros((4, 0), dtype=np.int64), *parts], axis=1)


def from_runs(
    starts: NDArray[np.int64], ends: NDArray[np.int64], owners: NDArray[np.int64], heights: ArrayLike
) -> Masks:
    """Masks from runs `(I,)` each, sorted, with the mask that owns each; runs of no pixel are left out."""
    kept, heights = ends > starts, np.asarray(heights, dtype=np.int64)
    starts, ends, owners = starts[kept], ends[kept], owners[kept]
    areas = np.bincount(owners, ends - starts, len(heights)).astype(np.int64)
    offsets = np.searchsorted(owners, np.arange(len(heights) + 1))
    return Masks(starts.astype(np.int32), ends.astype(np.int32), offsets, areas, heights)


def joined(parts: Sequence[Masks]) -> Masks:
    """The masks of all parts in one."""
    shifts = np.cumsum([0, *(len(part.starts) for part in parts)])
    offsets = [part.offsets[:-1] + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
    return Masks(
        np.concatenate([np.zeros(0, dtype=np.int32), *(part.starts for part in parts)]),
        np.concatenate([np.zeros(0, dtype=np.int32), *(part.ends for part in parts)]),
        np.concatenate([*offsets, shifts[-1:]]),
        np.concatenate([np.zeros(0, dtype=np.int64), *(part.areas for part in parts)]),
        np.concatenate([np.zeros(0, dtype=np.int64), *(part.heights for part in parts)]),
    )


def chosen(masks: Masks, which: NDArray[np.int64]) -> Masks:
    """Some of the masks, or all in another order: those at `which` `(P,)`."""
    runs, _ = runs_of(masks, which)
    offsets = np.cumsum(np.append(0, np.diff(masks.offsets)[which]))
    return Masks(masks.starts[runs], masks.ends[runs], offsets, masks.areas[which], masks.heights[which])


def encode(masks: ArrayLike) -> list[str]:
    """The counts of masks `(M, H, W)` as text; pixels other than 0 are foreground."""
    counts = []
    for mask in np.asarray(masks, dtype=bool):
        flat = mask.ravel(order="F")
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
        counts.append(np.append([0], runs) if flat[0] else runs)
    return texts_of(counts)


def texts_of(counts: Sequence[Sequence[int] | NDArray[np.int64]]) -> list[str]:
    """The text form of the counts of M masks, each count below 2**31."""
    texts: list[str] = []
    for start, end in chunks(np.array([len(runs) for runs in counts], dtype=np.int64)):
        texts += _texts_of(counts[start:end])
    return texts


def decode(texts: Sequence[str], heights: ArrayLike, widths: ArrayLike) -> tuple[Masks, dict[int, str]]:
    """Masks from their counts as text.

    Args:
        texts: M texts.
        heights: `(M,)` of the images in pixels.
        widths: `(M,)`.

    Returns:
        The masks, and what is wrong with each text that has a fault by its place; its mask is empty.
    """
    heights, widths = np.asarray(heights, dtype=np.int64), np.asarray(widths, dtype=np.int64)
    parts: list[Masks] = []
    faults: dict[int, str] = {}
    for start, end in chunks(np.array([len(text) for text in texts], dtype=np.int64)):
        part, found = _decode(texts[start:end], heights[start:end], (heights * widths)[start:end])
        parts.append(part)
        faults |= {start + place: fault for place, fault in found.items()}
    return joined(parts), faults


def chunks(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Starts and ends of chunks of things of these sizes that are together about `_CHUNK`, or one thing."""
    bounds = np.cumsum(np.append(0, sizes))
    start = 0
    while start < len(sizes):
        end = max(start + 1, int(np.searchsorted(bounds, bounds[start] + _CHUNK, side="right")) - 1)
        yield start, end
        start = end


def _texts_of(counts: Sequence[Sequence[int] | NDArray[np.int64]]) -> list[str]:
    flat = np.concatenate([np.asarray(runs, dtype=np.int64) for runs in counts])
    sizes = np.array([len(runs) for runs in counts], dtype=np.int64)
    bounds = np.cumsum(np.append(0, sizes))
    later = np.flatnonzero(np.arange(len(flat)) - np.repeat(bounds[:-1], sizes) >= 3)
    values = flat.copy()
    values[later] -= flat[later - 2]
    characters = np.zeros((len(values), LONGEST), dtype=np.uint8)
    used = np.zeros(characters.shape, dtype=bool)
    more = np.ones(len(values), dtype=bool)
    for place in range(LONGEST):
        used[:, place] = more
        low, values = values & 31, values >> 5
        following = values != np.where(low & 16, -1, 0)
        characters[:, place] = 48 + low + 32 * following
        more = more & following
    text = characters[used].tobytes().decode("ascii")
    ends = np.append(0, np.cumsum(used.sum(axis=1)))[bounds].tolist()
    return [text[start:end] for start, end in pairwise(ends)]


def runs_of(masks: Masks, which: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The runs of the chosen masks, one mask after the other, and which of the chosen each belongs to."""
    sizes = np.diff(masks.offsets)[which]
    owners = np.repeat(np.arange(len(which)), sizes)
    return np.arange(len(owners)) + (masks.offsets[which] - np.cumsum(sizes) + sizes)[owners], owners


def _boxes(masks: Masks, first: int, end: int) -> NDArray[np.int64]:
    """Left, top, right, bottom `(4, end - first)` of the masks from `first` on."""
    bounds = masks.offsets[first : end + 1]
    sizes, firsts = np.diff(bounds), bounds[:-1] - bounds[0]
    starts = masks.starts[bounds[0] : bounds[-1]]
    lasts = masks.ends[bounds[0] : bounds[-1]] - 1
    # Dividing arrays of integers is slow; half a pixel is far more than what this rounds off.
    inverse = np.repeat(1 / masks.heights[first:end], sizes)
    left, right = (((places + 0.5) * inverse).astype(np.int32) for places in (starts, lasts))
    heights = np.repeat(masks.heights[first:end].astype(np.int32), sizes)
    inside = left == right  # a run over several columns touches both the top and the bottom
    top, bottom = (starts - left * heights) * inside, np.where(inside, lasts - right * heights, heights - 1)
    found = np.zeros((4, end - first), dtype=np.int64)
    filled = sizes > 0
    if filled.any():
        firsts = firsts[filled]
        found[0, filled] = left[firsts]  # runs are sorted by columns
        found[1, filled] = np.minimum.reduceat(top, firsts)
        found[2, filled] = right[np.append(firsts[1:], len(right)) - 1] + 1
        found[3, filled] = np.maximum.reduceat(bottom, firsts) + 1
    return found


def _decode(
    texts: Sequence[str], heights: NDArray[np.int64], pixels: NDArray[np.int64]
) -> tuple[Masks, dict[int, str]]:
    faults: dict[int, str] = {}
    faulty = np.zeros(len(texts), dtype=bool)

    def note(masks: NDArray[np.int64], fault: str) -> None:
        for mask in np.unique(masks).tolist():
            faults.setdefault(mask, fault)
        faulty[masks] = True

    together = "".join(texts)
    if not together.isascii():
        together = "".join(character if character.isascii() else " " for character in together)
    groups = np.frombuffer(together.encode("ascii"), dtype=np.uint8) - np.uint8(48)
    bounds = np.cumsum([0, *map(len, texts)])
    filled = np.flatnonzero(bounds[1:] > bounds[:-1])

    def owner(places: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(bounds, places, side="right") - 1

    note(owner(np.flatnonzero(groups > 63)), "has a character that is none of run-length text")
    is_last = groups & 32 == 0
    note(filled[~is_last[bounds[filled + 1] - 1]], "ends within a number; is it cut off?")
    is_last[bounds[filled + 1] - 1] = True
    ends = np.flatnonzero(is_last) + 1
    firsts = np.append(0, ends)[: len(ends)]
    lengths = ends - firsts
    note(owner(firsts[lengths > LONGEST]), "has a number that is too long")
    values, lengths = (groups[firsts] & 31).astype(np.int64), np.minimum(lengths, LONGEST)
    for group in range(1, lengths.max(initial=0)):
        longer = np.flatnonzero(lengths > group)
        values[longer] += (groups[firsts[longer] + group] & 31).astype(np.int64) << 5 * group
    values -= np.where(groups[ends - 1] & 16, np.int64(1) << 5 * lengths, 0)

    edges = np.searchsorted(ends, bounds, side="right")  # each text ends with a number
    sizes = np.diff(edges)
    owners = np.repeat(np.arange(len(texts)), sizes)
    order = np.arange(len(values)) - edges[owners]
    values[faulty[owners]] = 0
    counts = _counts(values, order, edges[:-1], owners)
    note(owners[(counts < 0) | (counts > pixels[owners])], "has a run that is negative or too long")
    counts[faulty[owners]] = 0
    sums = np.append(0, np.cumsum(counts))
    totals = np.diff(sums[edges])
    for mask in np.flatnonzero((totals != pixels) & ~faulty).tolist():
        expected = f"expected {pixels[mask]:,}, height times width"
        faults[mask] = f"has runs of {totals[mask]:,} pixels in all; {expected}"
    faulty |= totals != pixels
    starts, ends = sums[:-1] - sums[edges[owners]], sums[1:] - sums[edges[owners]]
    foreground = (order % 2 == 1) & ~faulty[owners]
    return from_runs(starts[foreground], ends[foreground], owners[foreground], heights), faults


def _counts(
    values: NDArray[np.int64], order: NDArray[np.int64], firsts: NDArray[np.int64], owners: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Undoes the differences: the counts of many masks, each value's place in its mask being `order`."""
    # Each count from the fourth on adds to the one two before, so sum every other value, whatever its mask;
    # two zeros in front stand for what is before the first mask.
    sums = np.append([0, 0], np.where(order > 0, values, 0))
    for parity in (0, 1):
        np.cumsum(sums[parity::2], out=sums[parity::2])
    before = np.where(order % 2, sums[firsts + 1][owners], sums[firsts][owners])
    return np.where(order > 0, sums[2:] - before, values)
