"""Queries with what was found for them, the nearest first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT = 96
"""Of the images in a picture, in pixels."""
FRAME, GAP = 4, 6
MATCH, OTHER, QUERY, PAGE = (26, 140, 60), (205, 40, 40), (90, 90, 90), (255, 255, 255)
"""Colours of frames, and of the page between them."""


def strip(
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], matches: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """The query and the first of its ranking side by side; matches have the thicker frames, too.

    Args:
        images: of the query and of those found for it, each `(H, W, C)`.
        matches: which of these show the query's person; None does not tell.
    """
    query = _framed(images[0], QUERY, FRAME // 2)
    if matches is None:
        ranked = [_framed(image, PAGE, 0) for image in images[1:]]
    else:
        ranked = [
            _framed(image, MATCH, FRAME) if match else _framed(image, OTHER, FRAME // 2)
            for image, match in zip(images[1:], matches, strict=True)
        ]
    gap = np.full((len(query), GAP, 3), PAGE, np.uint8)
    parts = [query, gap, gap]
    for image in ranked:
        parts += [gap, image]
    return np.concatenate(parts, axis=1)


def _framed(image: NDArray[np.uint8], colour: tuple[int, int, int], width: int) -> NDArray[np.uint8]:
    """An image `(H, W, C)` at the height of the strip, in a frame, on the page."""
    visible = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1].repeat(3, axis=2)
    scaled = Image.fromarray(np.ascontiguousarray(visible)).resize(
        (max(1, round(HEIGHT * image.shape[1] / image.shape[0])), HEIGHT)
    )
    rows, columns = HEIGHT + 2 * FRAME, scaled.width + 2 * FRAME
    framed = np.full((rows, columns, 3), PAGE, np.uint8)
    inset = FRAME - width
    framed[inset : rows - inset, inset : columns - inset] = colour
    framed[FRAME:-FRAME, FRAME:-FRAME] = np.asarray(scaled)
    return framed
