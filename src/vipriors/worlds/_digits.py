"""The handwriting that other worlds compose: real digits, drawn at any size and in any pose.

Everything is whole numbers, so that an image is the same to the byte on every machine. The only floating
point is Python's own sine and cosine, which are rounded to 1/65536.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vipriors.worlds.digits import digits

Ints = NDArray[np.int64]

FINE = 4
"""Fine pixels to a pixel of the original."""
SIDE = 10 * FINE
"""Of a fine image: 8 original pixels and one of margin all around."""
TRAINING = 65
"""Percent of the handwriting of each class that is for training and validation; the rest is for the test."""
OPAQUE = 256
"""Alpha of full cover."""


@cache
def handwriting() -> tuple[Ints, Ints]:
    """All 1,797 digits, interpolated: ink from 0 to 255 `(1797, SIDE, SIDE)`; and their classes `(1797,)`."""
    part = digits().parts[0]
    original = np.pad(part.images[:, :, :, 0].astype(np.int64), ((0, 0), (1, 1), (1, 1)))
    weights = _cubic_weights()
    # Summed by einsum over whole numbers, which no BLAS touches.
    rows = np.einsum("ij,njk->nik", weights, original)
    fine = np.einsum("nik,lk->nil", rows, weights) // (2 * 512) ** 2
    return fine.clip(0, 255), part.labels


@cache
def pool(test: bool) -> tuple[tuple[int, ...], ...]:
    """Which digits of each class may be in test images, or in others; no digit may be in both."""
    classes = handwriting()[1]
    found = []
    for class_ in range(10):
        members = np.flatnonzero(classes == class_).tolist()
        members.sort(key=lambda digit: hashlib.sha256(f"handwriting/{digit}".encode()).digest())
        cut = len(members) * TRAINING // 100
        found.append(tuple(members[cut:] if test else members[:cut]))
    return tuple(found)


def random_of(key: str) -> np.random.RandomState:
    """Random numbers that depend on a key alone.

    `RandomState` because numpy promises never to change its numbers; it may change those of `Generator`.
    """
    return np.random.RandomState(np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4"))


def draw(
    ink: Ints,
    size: float,
    *,
    turn: float = 0,
    shear: float = 0,
    aspect: float = 1,
    threshold: int = 110,
    nudge: tuple[float, float] = (0, 0),
) -> Ints:
    """Draw a digit.

    Args:
        ink: `(SIDE, SIDE)`, 0 to 255, nothing at its border.
        size: height of the original 8 pixels, in pixels.
        turn: degrees counter-clockwise.
        shear: shift to the right for each step up.
        aspect: width over height, beside that of the original.
        threshold: ink that is half covered; a lower one makes thicker strokes.
        nudge: moves the digit down and to the right by parts of a pixel.

    Returns:
        Alpha from 0 to `OPAQUE`, `(n, n)` with the digit's middle in the middle.
    """
    n = math.ceil(size * 1.1 * (1 + abs(shear)) * max(1, aspect)) + 8
    steps = np.arange(1 - n, n, 2)  # twice the distance from the middle
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    scale = 8 * FINE / size * 65536 / 2
    # From a pixel's place back to the ink's: turn it back, then shear it back.
    across = ((cos + shear * sin) / aspect, (shear * cos - sin) / aspect)
    columns = _places(steps, across[0] * scale, across[1] * scale, nudge)
    rows = _places(steps, sin * scale, cos * scale, nudge)
    sampled = _bilinear(ink, rows, columns)
    # Edges are some 1.5 pixels wide at any size, but never so wide that there is cover where there is no ink.
    sharpness = max(-(-OPAQUE // 2 * 16 // threshold), round(size * 16 / 12))
    return ((sampled - threshold) * sharpness // 16 + OPAQUE // 2).clip(0, OPAQUE)


def _places(steps: Ints, by_column: float, by_row: float, nudge: tuple[float, float]) -> Ints:
    """Rows or columns of the ink, in 1/65536, that are seen at each pixel; inside, where it is bare."""
    middle = (SIDE - 1) * 65536 // 2 - round(2 * (by_row * nudge[0] + by_column * nudge[1]))
    places = np.add.outer(round(by_row) * steps, round(by_column) * steps) + middle
    return places.clip(0, (SIDE - 1) * 65536 - 1)


def _cubic_weights() -> Ints:
    """Catmull and Rom's interpolation from 10 pixels to `SIDE`, times 2 * 512, `(SIDE, 10)`."""
    weights = np.zeros((SIDE, 10), np.int64)
    for fine in range(SIDE):
        left, t = divmod(2 * fine + 1 - FINE, 2 * FINE)  # t in eighths
        taps = (
            -64 * t + 16 * t**2 - t**3,
            1024 - 40 * t**2 + 3 * t**3,
            64 * t + 32 * t**2 - 3 * t**3,
            -8 * t**2 + t**3,
        )
        for tap, weight in enumerate(taps, start=left - 1):
            if 0 <= tap < 10:
                weights[fine, tap] = weight
    return weights


def _bilinear(image: Ints, rows: Ints, columns: Ints) -> Ints:
    """The values between the pixels of an image at places in 1/65536 pixel."""
    row, column = rows >> 16, columns >> 16
    below, right = (rows >> 8) & 255, (columns >> 8) & 255
    flat, at = image.ravel(), row * image.shape[1] + column
    upper = flat[at] * (256 - right) + flat[at + 1] * right
    lower = flat[at + image.shape[1]] * (256 - right) + flat[at + image.shape[1] + 1] * right
    found: Ints = (upper * (256 - below) + lower * below) >> 16
    return found
