"""Objects drawn over test images: the truth on the left, what was found on the right."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vipriors.data.files import read_bytes
from vipriors.data.images import read_image
from vipriors.data.packed import PreparedFiles
from vipriors.data.prepared import ANNOTATIONS
from vipriors.problems import BadInput
from vipriors.report.pictures import Picture, png, spread
from vipriors.report.pictures.segmentation import colour

Pixels = NDArray[np.uint8]

COUNT = 8
PANEL = 320
"""Width of each half in pixels."""
GAP = 6
LEAST_SCORE = 0.3
"""Objects that were found with less are not drawn, and not counted against an image."""
OVERLAP = 0.5
"""Intersection over union from which on an object counts as found."""
OPACITY = 0.45
TAG = 16
"""Height of the words on a box in pixels."""


@dataclass(frozen=True)
class Thing:
    """An object to be drawn."""

    class_: int
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the image."""
    score: float | None = None
    """None for an annotated one."""
    mask: NDArray[np.bool_] | None = None
    """`(H, W)`."""


Shade = tuple[int, int, int]

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


def panel(image: Pixels, things: Sequence[Thing], names: Sequence[str]) -> Pixels:
    """An image `(H, W, 3)`, `PANEL` wide, with its objects: masks, boxes, classes and scores."""
    picture, scale = enlarged(image)
    for thing in reversed(things):
        lay_mask(picture, thing, colour(thing.class_ + 1))
    for thing in reversed(things):
        _, top, _, bottom = outline(picture, thing, scale, colour(thing.class_ + 1))
        at_top = top - TAG if top >= TAG else min(bottom, picture.height - TAG)
        tag(picture, said(thing, names), scale * thing.box[0], at_top)
    return np.asarray(picture)


def enlarged(image: Pixels) -> tuple[Image.Image, float]:
    """An image `(H, W, 3)` made `PANEL` wide, and how many times as wide it is then."""
    scale = PANEL / image.shape[1]
    size = (PANEL, max(1, round(scale * image.shape[0])))
    # Pixels of a small image stay sharp; a large one is averaged.
    sampling = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR
    return Image.fromarray(image).resize(size, sampling), scale


def lay_mask(picture: Image.Image, thing: Thing, shade: Shade) -> None:
    """Colours the mask of a thing, if it has one."""
    if thing.mask is not None:
        alpha = Image.fromarray((thing.mask * round(255 * OPACITY)).astype(np.uint8))
        picture.paste(shade, mask=alpha.resize(picture.size, Image.Resampling.NEAREST))


def outline(
    picture: Image.Image, thing: Thing, scale: float, shade: Shade, width: int = 2
) -> tuple[float, float, float, float]:
    """Draws the box of a thing; returns its left, top, right and bottom in the picture."""
    left, top, right, bottom = (scale * side for side in thing.box)
    corners = (left, top, max(left, right - 1), max(top, bottom - 1))
    ImageDraw.Draw(picture).rectangle(corners, outline=shade, width=width)
    return left, top, right, bottom


def tag(picture: Image.Image, text: str, left: float, top: float, size: int = 13) -> None:
    """Writes words on black, from the left unless too little of them would be in the picture."""
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    at = (min(max(0, left), picture.width - 40), top)
    draw.rectangle(draw.textbbox(at, text, font=font), fill="black")
    draw.text(at, text, fill="white", font=font)


def said(thing: Thing, names: Sequence[str]) -> str:
    """The class of a thing, and its score if it was found."""
    return names[thing.class_] + (f" {thing.score:.2f}" if thing.score is not None else "")


def file_names(data: Path) -> dict[int, str]:
    """The file of each test image by its id."""
    file = data / ANNOTATIONS / "test" / "images.json"
    try:
        return {int(image["id"]): str(image["file_name"]) for image in json.loads(read_bytes(file))["images"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput.single(file, f"is no list of images as COCO has them: {error}") from None
