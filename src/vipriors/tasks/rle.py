"""Masks as runs: COCO's run-length encoding, and areas and intersections without ever drawing a mask.

A mask's pixels are numbered column by column, from the top left. `counts` are the lengths of the runs of
background, foreground, background … from pixel 0; the first may be 0. As text, every count (from the fourth
on, its difference to the count two before) is written in groups of five bits, the lowest first, one character
each: 48 plus the bits, plus 32 if more groups follow. The highest bit of the last group is the sign.

Source: the mask format at cocodataset.org/#format-results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 2**18
"""Characters or runs worked on at a time, to bound memory and stay near the processor."""

_LONGEST = 7  # characters for a count below 2**31


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
    runs, _ = _runs(masks, which)
    offsets = np.cumsum(np.append(0, np.diff(masks.offsets)[which]))
    return Masks(masks.starts[runs], masks.ends[runs], offsets, masks.areas[which], masks.heights[which])


def encode(masks: ArrayLike) -> list[str]:
    """The counts of masks `(M, H, W)` as text; pixels other than 0 are foreground."""
    texts = []
    for mask in np.asarray(masks, dtype=bool):
        flat = mask.ravel(order="F")
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        counts = np.diff(np.concatenate([[0], changes, [flat.size]]))
        texts.append(text_of(np.append([0], counts) if flat[0] else counts))
    return texts


def text_of(counts: NDArray[np.int64]) -> str:
    """The text form of the counts `(n,)` of one mask, each below 2**31."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    characters = np.zeros((len(values), _LONGEST), dtype=np.uint8)
    open_ = np.ones(len(values), dtype=bool)
    used = np.zeros(characters.shape, dtype=bool)
    for place in range(_LONGEST):
        used[:, place] = open_
        low, values = values & 31, values >> 5
        more = values != np.where(low & 16, -1, 0)
        characters[:, place] = 48 + low + 32 * more
        open_ = open_ & more
    return characters[used].tobytes().decode("ascii")


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
    bounds = np.cumsum([0, *map(len, texts)])
    start = 0
    while start < len(texts):
        end = max(start + 1, int(np.searchsorted(bounds, bounds[start] + _CHUNK, side="right")) - 1)
        part, found = _decode(texts[start:end], heights[start:end], (heights * widths)[start:end])
        parts.append(part)
        faults |= {start + place: fault for place, fault in found.items()}
        start = end
    return joined(parts), faults


def intersections(a: Masks, b: Masks, of_a: NDArray[np.int64], of_b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels that mask `of_a[p]` of `a` and mask `of_b[p]` of `b` share, `(P,)`."""
    shared = np.zeros(len(of_a), dtype=np.int64)
    bounds = np.cumsum(np.append(0, np.diff(a.offsets)[of_a]))
    start = 0
    while start < len(of_a):
        end = max(start + 1, int(np.searchsorted(bounds, bounds[start] + _CHUNK, side="right")) - 1)
        shared[start:end] = _intersections(a, b, of_a[start:end], of_b[start:end])
        start = end
    return shared


def boxes(masks: Masks, which: NDArray[np.int64]) -> NDArray[np.int64]:
    """Left, top, right, bottom `(4, P)` of the masks at `which` `(P,)`, the last two exclusive."""
    runs, owners = _runs(masks, which)
    height = masks.heights[which]
    starts, lasts = masks.starts[runs], masks.ends[runs] - 1
    # Dividing arrays of integers is slow; half a pixel is far more than what this rounds off.
    left, right = (((places + 0.5) * (1 / height)[owners]).astype(np.int64) for places in (starts, lasts))
    height = height[owners]
    inside = left == right  # a run over several columns touches both the top and the bottom
    top, bottom = (starts - left * height) * inside, np.where(inside, lasts - right * height, height - 1)
    found = np.zeros((4, len(which)), dtype=np.int64)
    firsts = np.flatnonzero(np.diff(owners, prepend=-1))
    if len(firsts):
        for row, sides, extreme in zip(
            found,
            (left, top, right + 1, bottom + 1),
            (np.minimum, np.minimum, np.maximum, np.maximum),
            strict=True,
        ):
            row[owners[firsts]] = extreme.reduceat(sides, firsts)
    return found


def _runs(masks: Masks, which: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The runs of the chosen masks, one mask after the other, and which of the chosen each belongs to."""
    sizes = np.diff(masks.offsets)[which]
    owners = np.repeat(np.arange(len(which)), sizes)
    return np.arange(len(owners)) + (masks.offsets[which] - np.cumsum(sizes) + sizes)[owners], owners


def _intersections(a: Masks, b: Masks, of_a: NDArray[np.int64], of_b: NDArray[np.int64]) -> NDArray[np.int64]:
    """By counting, for each run of a's mask, the pixels of b's mask before its end and before its start."""
    which, slots = np.unique(of_b, return_inverse=True)
    runs, owners = _runs(b, which)
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

    runs, owners = _runs(a, of_a)
    own = slots[owners] * shift
    counts = pixels_before(a.ends[runs] + own) - pixels_before(a.starts[runs] + own)
    return np.bincount(owners, counts, len(of_a)).astype(np.int64)


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
    note(owner(firsts[lengths > _LONGEST]), "has a number that is too long")
    values, lengths = (groups[firsts] & 31).astype(np.int64), np.minimum(lengths, _LONGEST)
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
