"""The masks in COCO's files: run lengths in results; run lengths or polygons in the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vipriors.tasks.coco import MOST_PIXELS, Entry
from vipriors.tasks.findings import Findings
from vipriors.tasks.json_values import is_whole, numbers, said
from vipriors.tasks.polygons import draw
from vipriors.tasks.rle import LONGEST, Masks, chosen, decode, joined, texts_of

FARTHEST = 1e6
"""Coordinates of polygons in pixels lie between this and its negative."""

Size = tuple[int, int]
"""Height and width in pixels."""


def found_masks(entries: Sequence[Entry], sizes: Sequence[Size | None], findings: Findings) -> Masks:
    """The masks of M results from their run lengths.

    Args:
        entries: M results.
        sizes: of the image of each, None where it is unknown.
        findings: takes the problems; if there are any, some masks are left out.
    """
    return _masks_of_runs(list(enumerate(entries)), sizes, "", findings)


def annotated_masks(
    entries: Sequence[Entry], sizes: Sequence[Size | None], findings: Findings
) -> Masks | None:
    """The masks of M annotations, each from polygons or from run lengths; None if any is wrong.

    Args:
        entries: M annotations.
        sizes: of the image of each, None where it is unknown.
        findings: takes the problems.
    """
    outlined, others, outlines = [], [], []
    for number, entry in enumerate(entries):
        if isinstance(polygons := entry.get("segmentation"), list):
            outlined.append(number)
            outlines.append(_outlines(polygons, f"annotations, entry {number}", findings))
        else:
            others.append(number)
    runs = _masks_of_runs(
        [(number, entries[number]) for number in others],
        [sizes[number] for number in others],
        "annotations, ",
        findings,
    )
    known = [size for size in (sizes[number] for number in outlined) if size]
    if findings or len(known) < len(outlined):
        return None
    heights, widths = np.array(known, dtype=np.int64).reshape(-1, 2).T
    return chosen(joined([draw(outlines, heights, widths), runs]), np.argsort([*outlined, *others]))


def _outlines(polygons: Sequence[Any], place: str, findings: Findings) -> list[Any]:
    outlines = []
    for polygon in polygons or [None]:
        corners = numbers(polygon, -FARTHEST, FARTHEST) if isinstance(polygon, list) else None
        if corners is None or len(corners) < 6 or len(corners) % 2:
            expected = (
                f"expected x, y, x, y … of three corners or more, from -{FARTHEST:.0f} to {FARTHEST:.0f}"
            )
            findings.add("polygons that are wrong", f"a polygon is {said(polygon)}; {expected}", at=place)
        outlines.append(corners)
    return outlines


def _masks_of_runs(
    entries: Sequence[tuple[int, Entry]], sizes: Sequence[Size | None], part: str, findings: Findings
) -> Masks:
    counts, shapes, kept = [], [], []
    for (number, entry), size in zip(entries, sizes, strict=True):
        if not entry:  # no object, and reported as such
            continue
        segmentation, place = entry.get("segmentation"), f"{part}entry {number}"
        fault = _fault_of_form(segmentation, size)
        if fault or not isinstance(segmentation, dict):
            findings.add("masks of a wrong form", str(fault), at=place)
            continue
        counts.append(segmentation["counts"])
        shapes.append(segmentation["size"])
        kept.append(place)
    written = iter(texts_of([runs for runs in counts if isinstance(runs, list)]))
    texts = [next(written) if isinstance(runs, list) else runs for runs in counts]
    heights, widths = np.array(shapes, dtype=np.int64).reshape(-1, 2).T
    masks, faults = decode(texts, heights, widths)
    for mask, fault in sorted(faults.items()):
        findings.add("masks with wrong counts", f"counts {fault}", at=kept[mask])
    return masks


def _fault_of_form(segmentation: object, size: Size | None) -> str | None:
    """What is wrong with run lengths before they are decoded; without `size` any size will do."""
    if not isinstance(segmentation, dict):
        return f"segmentation is {said(segmentation)}; expected an object with size and counts"
    stated, counts = segmentation.get("size"), segmentation.get("counts")
    expected = f"expected [{size[0]}, {size[1]}], height and width" if size else "expected [height, width]"
    if not isinstance(stated, list) or len(stated) != 2:
        return f"size is {said(stated)}; {expected}"
    height, width = stated
    fits = is_whole(height) and is_whole(width) and 0 < height <= MOST_PIXELS and 0 < width <= MOST_PIXELS
    if not fits or height * width > MOST_PIXELS or (size and size != (height, width)):
        return f"size is [{said(height)}, {said(width)}]; {expected}"
    if not isinstance(counts, str | list):
        return f"counts is {said(counts)}; expected run lengths as text or as a list"
    most = (height * width + 1) * (LONGEST if isinstance(counts, str) else 1)
    if len(counts) > most:
        return f"counts has the length {len(counts):,}; expected at most {most:,}"
    if isinstance(counts, list) and not (
        set(map(type, counts)) <= {int}
        and min(counts, default=0) >= 0
        and max(counts, default=0) <= MOST_PIXELS
    ):
        return f"counts is a list of {len(counts):,}, not all of them whole numbers of pixels"
    return None
