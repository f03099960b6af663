"""Label maps laid over images, and the legend below."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

PANEL = 240
"""Width of a picture in pixels."""
GAP = 6
OPACITY = 0.6
TEXT = 18
"""Height of a line of the legend in pixels."""


def half(image: Pixels, map_: Pixels, colours: dict[int, tuple[int, int, int]]) -> Pixels:
    """An image `(H, W, 3)` in grey, `PANEL` wide, under the colours of its map `(H, W)`; others are bare."""
    height = max(1, round(PANEL * image.shape[0] / image.shape[1]))
    # Pixels of a small image stay sharp; a large one is averaged.
    sampling = Image.Resampling.NEAREST if image.shape[1] < PANEL else Image.Resampling.BILINEAR
    grey = Image.fromarray(image).convert("L").resize((PANEL, height), sampling)
    ids = np.asarray(Image.fromarray(map_).resize((PANEL, height), Image.Resampling.NEAREST))
    table, opacity = np.zeros((256, 3)), np.zeros((256, 1))
    for id_, shade in colours.items():
        table[id_], opacity[id_] = shade, OPACITY
    laid: NDArray[np.float64] = np.asarray(grey)[:, :, None] * (1 - opacity[ids]) + table[ids] * opacity[ids]
    return laid.round().astype(np.uint8)


def colour(position: int) -> tuple[int, int, int]:
    """The colour of the class at a position: the first is dark, the others go around the circle of hues."""
    if position == 0:
        return (60, 80, 125)  # not grey, which is the bare image
    # Found by a search for the step and order that keep the first 20 furthest apart to the eye, laid on grey.
    hue = 0.5803 * (position - 1) % 1
    saturation, value = ((1.0, 1.0), (1.0, 0.55), (0.5, 1.0))[(position - 1) // 6 % 3]
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return (red, green, blue)


def legend(entries: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> Pixels:
    """Names with their colours, as many in a line as fit: `(h, width, 3)`."""
    font = ImageFont.load_default(TEXT - 2)
    places, x, y = [], GAP, GAP
    for name, shade in entries:
        length = TEXT + GAP + round(font.getlength(name))
        if x > GAP and x + length > width - GAP:
            x, y = GAP, y + TEXT + GAP
        places.append((x, y, name, shade))
        x += length + 2 * GAP
    strip = Image.new("RGB", (width, y + TEXT + GAP), "white")
    draw = ImageDraw.Draw(strip)
    for x, y, name, shade in places:
        draw.rectangle((x, y, x + TEXT - 2, y + TEXT - 2), fill=shade, outline="black")
        draw.text((x + TEXT + GAP // 2, y + TEXT // 2 - 1), name, fill="black", font=font, anchor="lm")
    return np.asarray(strip)
