"""Objects drawn over test images: the truth on the left, what was found on the right."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vipriors.data.files import read_bytes
from vipriors.data.images import read_image
from vipriors.data.packed import PreparedFiles
from vipriors.data.prepared import ANNOTATIONS
from vipriors.pictures import Picture, png
from vipriors.pictures.objects import LEAST_SCORE, Thing, panel
from vipriors.problems import BadInput
from vipriors.report.pictures import spread

COUNT = 8
GAP = 6
OVERLAP = 0.5
"""Intersection over union from which on an object counts as found."""


Overlap = Callable[[Thing, Thing], float]


@dataclass(frozen=True)
class Tally:
    """How an image was done: objects that were found, and what was found besides."""

    objects: int
    right: int
    wrong: int

    @property
    def score(self) -> float:
        """Share of right among all objects and all that was found (F1); 1 where there is neither."""
        both = self.objects + self.right + self.wrong
        return 2 * self.right / both if both else 1.0


def tally(truth: Sequence[Thing], found: Sequence[Thing], overlap: Overlap) -> Tally:
    """Matches what was found, the surest first, with annotated objects of its class."""
    free = list(truth)
    right = 0
    for thing in sorted(found, key=lambda one: -(one.score or 0)):
        shared = [overlap(thing, one) if one.class_ == thing.class_ else 0.0 for one in free]
        if shared and max(shared) >= OVERLAP:
            free.pop(int(np.argmax(shared)))
            right += 1
    return Tally(len(truth), right, len(found) - right)


def box_overlap(first: Thing, second: Thing) -> float:
    """Intersection over union of two boxes."""
    (a, b, c, d), (e, f, g, h) = first.box, second.box
    shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    union = (c - a) * (d - b) + (g - e) * (h - f) - shared
    return shared / union if union > 0 else 0.0


def mask_overlap(first: Thing, second: Thing) -> float:
    """Intersection over union of two masks."""
    assert first.mask is not None and second.mask is not None
    union = np.count_nonzero(first.mask | second.mask)
    return np.count_nonzero(first.mask & second.mask) / union if union else 0.0


def pictures_of(
    data: Path,
    ids: Sequence[int],
    truths: Sequence[Sequence[Thing]],
    founds: Sequence[Sequence[Thing]],
    names: Sequence[str],
    overlap: Overlap,
) -> list[Picture]:
    """Images from the worst to the best by how much of them was found, and only that.

    Args:
        data: the prepared folder.
        ids: COCO's ids of N test images.
        truths: their annotated objects.
        founds: what was found in them.
        names: of the classes.
        overlap: tells how far two objects are the same.
    """
    files, names_of = PreparedFiles(data), file_names(data)
    tallies = [tally(truth, found, overlap) for truth, found in zip(truths, founds, strict=True)]
    shown = spread(np.array([one.score for one in tallies]), COUNT)
    pictures = []
    for place in shown:
        file = f"images/test/{names_of[ids[place]]}"
        image = read_image(files.locate(file), channels=3, name=str(data / file))
        halves = [panel(image, things, names) for things in (truths[place], founds[place])]
        gap = np.full((len(halves[0]), GAP, 3), 255, np.uint8)
        one = tallies[place]
        caption = (
            f"{names_of[ids[place]]}: {one.right} of {one.objects} objects found, {one.wrong} wrongly. "
            f"Left: truth, right: found with a score of {LEAST_SCORE} or more."
        )
        pictures.append(Picture(png(np.concatenate([halves[0], gap, halves[1]], axis=1)), caption))
    return pictures


def file_names(data: Path) -> dict[int, str]:
    """The file of each test image by its id."""
    file = data / ANNOTATIONS / "test" / "images.json"
    try:
        return {int(image["id"]): str(image["file_name"]) for image in json.loads(read_bytes(file))["images"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput.single(file, f"is no list of images as COCO has them: {error}") from None
