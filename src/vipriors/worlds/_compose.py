"""What the worlds' pictures are composed of beside digits: backgrounds, strokes, colours, light, noise.

Pictures are whole numbers `(H, W, C)` from 0 to 255 until they are done.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from vipriors.worlds._digits import OPAQUE, Ints


def background(random: RandomState, side: int, channels: int) -> Ints:
    """A square of one colour with clouds of others, and often stripes or checks, `(side, side, channels)`."""
    colour = random.randint(30, 226, channels)
    picture = colour + clouds(random, side, channels, random.randint(10, 60))
    if random.randint(3):
        a, b, c, d = random.randint(-24, 25, 4)
        x, y = np.arange(side), np.arange(side)[:, np.newaxis]
        stripes = ((a * x + b * y) >> 7) & 1
        if random.randint(2):
            stripes ^= ((c * x + d * y) >> 7) & 1
        picture += stripes[:, :, np.newaxis] * random.randint(-30, 31, channels)
    return picture.clip(0, 255)


def clouds(random: RandomState, side: int, channels: int, strength: int) -> Ints:
    """Smooth random differences of up to `strength` either way, `(side, side, channels)`."""
    cells = random.randint(1, 9)
    grid = random.randint(-strength, strength + 1, (cells + 1, cells + 1, channels))
    at = np.arange(side) * cells * 256 // (side - 1)
    cell = np.minimum(at >> 8, cells - 1)
    part = at - (cell << 8)
    wide = grid[:, cell] * (256 - part)[:, np.newaxis] + grid[:, cell + 1] * part[:, np.newaxis]
    part = part[:, np.newaxis, np.newaxis]
    found: Ints = (wide[cell] * (256 - part) + wide[cell + 1] * part) >> 16
    return found


def stroke(random: RandomState, side: int, width: tuple[int, int], length: tuple[int, int]) -> Ints:
    """Alpha of one straight stroke anywhere, `(side, side)`; width and length in pixels, from and below."""
    x, y = (np.arange(side) - middle for middle in random.randint(0, side, 2))
    turn = math.radians(random.randint(0, 180))
    cos, sin = round(math.cos(turn) * OPAQUE), round(math.sin(turn) * OPAQUE)
    half_width = random.randint(*width) * OPAQUE // 2
    half_length = random.randint(*length) * OPAQUE // 2
    across = np.abs(np.add.outer(cos * y, -sin * x))
    along = np.abs(np.add.outer(sin * y, cos * x))
    cover = np.minimum(half_width - across, half_length - along) + OPAQUE // 2
    alpha: Ints = cover.clip(0, OPAQUE)
    return alpha


def contrasting(random: RandomState, beneath: Ints, strength: int) -> Ints:
    """A colour that differs from what is beneath by about `strength` in one channel or more.

    Args:
        random: draws the direction.
        beneath: colour `(C,)`.
        strength: of 255.
    """
    direction = random.randint(-100, 101, len(beneath))
    direction[random.randint(len(beneath))] = random.choice((-100, 100))
    colour = beneath + direction * strength // 100
    if np.abs(colour.clip(0, 255) - beneath).max() * 4 < strength * 3:
        colour = beneath - direction * strength // 100
    return colour.clip(0, 255)


def lighter(random: RandomState, beneath: Ints, strength: int) -> Ints:
    """A colour `(C,)` lighter by `strength` of 255 in one channel, and by 40 % of that or more in all."""
    share = random.randint(40, 101, len(beneath))
    share[random.randint(len(beneath))] = 100
    return (beneath + share * strength // 100).clip(0, 255)


def paint(picture: Ints, alpha: Ints, colour: Ints) -> None:
    """Lay a colour `(C,)` or colours `(H, W, C)` over a picture where alpha `(H, W)` says, in place."""
    picture += ((colour - picture) * alpha[:, :, np.newaxis]) // OPAQUE


def light(random: RandomState, picture: Ints, strength: int) -> Ints:
    """The picture under a light that grows evenly from one side to the other, by `strength` percent."""
    side = picture.shape[0]
    steps = 2 * np.arange(side) - side + 1
    across, down = random.randint(-strength, strength + 1, 2)
    share = 100 * side + np.add.outer(down * steps, across * steps) // 2
    lit: Ints = (picture * share[:, :, np.newaxis] // (100 * side)).clip(0, 255)
    return lit


def noise(random: RandomState, picture: Ints, strength: int) -> NDArray[np.uint8]:
    """The finished picture, with noise of up to twice `strength` either way."""
    shape = (2, *picture.shape)
    grains = random.randint(-strength, strength + 1, shape, np.int16).sum(axis=0)
    return np.asarray((picture + grains).clip(0, 255), np.uint8)


def box_of(alpha: Ints, middle: tuple[int, int], side: int) -> tuple[tuple[slice, slice], Ints]:
    """Where on a square picture an alpha `(n, n)` lies with its middle at `(row, column)`, and what is left.

    Returns:
        Rows and columns of the picture, and the part of the alpha that is not outside.
    """
    n = len(alpha)
    starts = [place - n // 2 for place in middle]
    on = [slice(*(min(max(edge, 0), side) for edge in (start, start + n))) for start in starts]
    part = tuple(slice(cut.start - start, cut.stop - start) for cut, start in zip(on, starts, strict=True))
    return (on[0], on[1]), alpha[part]
