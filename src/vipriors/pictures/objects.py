"""Objects drawn over images: boxes, masks, classes and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vipriors.pictures.maps import colour
from vipriors.tasks.rle import Masks

Pixels = NDArray[np.uint8]

PANEL = 320
"""Width of a picture in pixels."""
LEAST_SCORE = 0.3
"""Objects that were found with less are not drawn."""
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


def mask_of(masks: Masks, place: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """One of many masks as pixels `(H, W)`."""
    flat = np.zeros(size[0] * size[1], bool)
    for run in range(masks.offsets[place], masks.offsets[place + 1]):
        flat[masks.starts[run] : masks.ends[run]] = True
    return flat.reshape(size[1], size[0]).T


def box_of(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a mask; all 0 of an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def corners(box: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of left, top, width and height."""
    left, top, width, height = box.tolist()
    return left, top, left + width, top + height
