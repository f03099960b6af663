"""Solids of ten kinds with proportions of their own, as clouds of points on their surface.

A solid is a union of boxes, columns, balls and rings (`_shapes`), and what it is is its layout: four legs and
a board make a table, with a back a chair. Every solid has its own proportions and stands turned about the
vertical by any angle. `solid(key)` gives it in closed form, with occupancy, signed distance and normals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from vipriors.data.images import encode_npy
from vipriors.data.sources.base import SourceSample
from vipriors.problems import BadInput
from vipriors.worlds._bodies import Body, Box, Capsule, Ellipsoid, Frustum, Reals, Torus
from vipriors.worlds._digits import random_of
from vipriors.worlds._shapes import Placed, Solid, pitch, surface_points, yaw

POINTS = 256
"""Of a cloud, before any are dropped."""
COUNTS = {"train": 75, "test": 50}
"""Solids of each class."""
STRANGE = (2, 4)
"""Parts of a solid that have nothing to do with its class: the fewest and the most."""
GRAIN = 4096
"""Coordinates are multiples of one over this: sines differ between machines in their last digits."""

Draw = Callable[[float, float], float]
"""Draws a number between two."""


def _legs(x: float, y: float, height: float, radius: float, square: bool) -> list[Placed]:
    body = Box((radius, radius, height / 2)) if square else Frustum(radius, radius, height / 2)
    return [Placed(body, (i * x, j * y, height / 2)) for i in (-1, 1) for j in (-1, 1)]


def _table(u: Draw) -> Solid:
    x, y, height, board = u(0.6, 1.2), u(0.4, 0.8), u(0.6, 1.3), u(0.03, 0.08)
    if u(0, 1) < 0.3:  # one foot in the middle
        foot = Frustum(0.6 * y, u(0.1, 0.6) * y, u(0.02, 0.05))
        column = Frustum(u(0.06, 0.12), u(0.05, 0.1), height / 2)
        return [
            Placed(Frustum(y, y, board), (0, 0, height)),
            Placed(column, (0, 0, height / 2)),
            Placed(foot),
        ]
    leg = u(0.03, 0.09)
    legs = _legs(x - 1.5 * leg, y - 1.5 * leg, height, leg, u(0, 1) < 0.5)
    return [Placed(Box((x, y, board)), (0, 0, height)), *legs]


def _chair(u: Draw) -> Solid:
    x, y, height, seat = u(0.4, 0.6), u(0.4, 0.6), u(0.6, 1.0), u(0.03, 0.1)
    leg, back, lean = u(0.03, 0.07), u(0.35, 0.7), u(-0.25, 0.0)
    legs = _legs(x - 1.5 * leg, y - 1.5 * leg, height, leg, u(0, 1) < 0.5)
    parts = [Placed(Box((x, y, seat)), (0, 0, height)), *legs]
    parts.append(Placed(Box((x, u(0.03, 0.07), back)), (0, y, height + back), pitch(lean)))
    if u(0, 1) < 0.4:
        rest = Box((0.05, 0.9 * y, 0.04))
        parts += [Placed(rest, (side * x, 0, height + u(0.3, 0.5))) for side in (-1, 1)]
    return parts


def _bed(u: Draw) -> Solid:
    x, y, height, mattress = u(0.5, 0.9), u(1.0, 1.4), u(0.2, 0.5), u(0.1, 0.2)
    leg, head, foot = u(0.04, 0.08), u(0.2, 0.5), u(0.0, 0.25)
    parts = [Placed(Box((x, y, mattress)), (0, 0, height)), *_legs(x - leg, y - leg, height, leg, True)]
    parts.append(Placed(Box((x, 0.05, head)), (0, y, height + head)))
    if foot > 0.08:
        parts.append(Placed(Box((x, 0.05, foot)), (0, -y, height + foot)))
    return parts


def _lamp(u: Draw) -> Solid:
    height, base, shade, tall = u(1.0, 2.0), u(0.25, 0.5), u(0.3, 0.6), u(0.15, 0.35)
    stem = Capsule(u(0.03, 0.07), height / 2)
    return [
        Placed(Frustum(base, u(0.3, 1.0) * base, u(0.03, 0.1))),
        Placed(stem, (0, 0, height / 2)),
        Placed(Frustum(shade, u(0.3, 0.9) * shade, tall), (0, 0, height)),
    ]


def _mug(u: Draw) -> Solid:
    radius, half = u(0.4, 0.6), u(0.4, 0.8)
    tube, ring = u(0.05, 0.1), u(0.4, 0.6) * half
    handle = Placed(Torus(ring, tube), (radius + 0.3 * ring, 0, u(-0.15, 0.15)), pitch(math.pi / 2))
    return [Placed(Frustum(u(0.75, 1.0) * radius, radius, half)), handle]


def _bottle(u: Draw) -> Solid:
    radius, half, neck, long = u(0.25, 0.45), u(0.4, 0.8), u(0.25, 0.45), u(0.15, 0.35)
    shoulder = u(0.1, 0.3)
    return [
        Placed(Frustum(radius, radius, half)),
        Placed(Frustum(radius, neck * radius, shoulder), (0, 0, half + shoulder)),
        Placed(Frustum(neck * radius, neck * radius, long), (0, 0, half + 2 * shoulder + long)),
    ]


def _car(u: Draw) -> Solid:
    x, y, z, wheel = u(0.9, 1.3), u(0.4, 0.55), u(0.15, 0.25), u(0.16, 0.28)
    cabin, tall = u(0.4, 0.7), u(0.14, 0.25)
    disc = Frustum(wheel, wheel, u(0.06, 0.1))
    wheels = [
        Placed(disc, (i * x * u(0.55, 0.7), j * y, -z), pitch(math.pi / 2)) for i in (-1, 1) for j in (-1, 1)
    ]
    roof = Placed(Box((cabin * x, 0.9 * y, tall)), (u(-0.25, 0.15) * x, 0, z + tall))
    return [Placed(Box((x, y, z))), roof, *wheels]


def _plane(u: Draw) -> Solid:
    long, radius, span, chord = u(0.9, 1.3), u(0.1, 0.2), u(0.8, 1.3), u(0.12, 0.25)
    tail, fin = u(0.25, 0.45), u(0.15, 0.3)
    end = -0.9 * long
    return [
        Placed(Ellipsoid((long, radius, radius))),
        Placed(Box((chord, span, 0.03)), (u(0.0, 0.25), 0, u(-0.05, 0.08))),
        Placed(Box((0.6 * chord, tail, 0.025)), (end, 0, 0.05)),
        Placed(Box((0.6 * chord, 0.025, fin)), (end, 0, fin)),
    ]


def _tower(u: Draw) -> Solid:
    side, square, parts, z = u(0.35, 0.6), u(0, 1) < 0.5, list[Placed](), 0.0
    for _ in range(int(u(2, 5))):
        half = u(0.2, 0.45)
        body = Box((side, side, half)) if square else Frustum(side, side, half)
        parts.append(Placed(body, (0, 0, z + half)))
        z, side = z + 2 * half, side * u(0.6, 0.9)
    point = u(0.15, 0.4)
    return [*parts, Placed(Frustum(side, 0.0, point), (0, 0, z + point))]


def _dumb_bell(u: Draw) -> Solid:
    half, bar, side = u(0.5, 0.9), u(0.05, 0.12), pitch(math.pi / 2)
    weight: Ellipsoid | Frustum = Frustum(r := u(0.25, 0.45), r, u(0.08, 0.2))
    if u(0, 1) < 0.5:
        weight = Ellipsoid((r, r, u(0.7, 1.0) * r))
    ends = [Placed(weight, (0, sign * half, 0), side) for sign in (-1, 1)]
    return [Placed(Frustum(bar, bar, half), turn=side), *ends]


FAMILIES: dict[str, Callable[[Draw], Solid]] = {
    "bed": _bed,
    "bottle": _bottle,
    "car": _car,
    "chair": _chair,
    "dumb-bell": _dumb_bell,
    "lamp": _lamp,
    "mug": _mug,
    "plane": _plane,
    "table": _table,
    "tower": _tower,
}
"""From a function that draws between two numbers to a solid, in its own size and with z upwards."""
CLASSES = tuple(FAMILIES)

Shift = Literal["none", "noise", "tilt", "scale", "drop", "outliers"]
SHIFTS: tuple[Shift, ...] = ("none", "noise", "tilt", "scale", "drop", "outliers")
"""What may be done to the clouds of the test, and never to those that are learned from."""


@dataclass(frozen=True)
class SolidSource:
    """The clouds with their classes."""

    shift: Shift = "none"
    """Of the test clouds."""
    name: str = "solids"
    root: Path | None = None
    media: Literal["points"] = "points"
    classes: tuple[str, ...] = CLASSES
    samples: tuple[SourceSample, ...] = tuple(
        SourceSample(f"solids/{split}/{family}/{number}", label, split)
        for split, count in COUNTS.items()
        for label, family in enumerate(CLASSES)
        for number in range(count)
    )

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        """The cloud as an array `(256, 3)`, with fewer points where some are dropped."""
        return ".npy", encode_npy(cloud(sample.key, self.shift if sample.split == "test" else "none"))


def solids(task: str, variant: str = "none") -> SolidSource:
    """The solids with labels for `points`; `variant` is what is done to the test clouds, one of `SHIFTS`.

    Raises:
        BadInput: The task or the variant is another.
    """
    if task != "points":
        raise BadInput.single("world solids", f"has no labels for {task}; expected task points")
    for shift in SHIFTS:
        if shift == variant:
            return SolidSource(shift)
    raise BadInput.single("world solids", f"has no variant {variant!r}; expected one of {', '.join(SHIFTS)}")


@lru_cache(maxsize=4096)
def solid(key: str) -> Solid:
    """The solid of a key such as `solids/train/chair/0`, with z upwards, in its own size and not turned."""
    random = random_of(key)

    def draw(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    own = FAMILIES[key.split("/")[2]](draw)
    places, _ = surface_points(own, 64, random)
    size = float((places.max(0) - places.min(0)).max()) / 2
    return [
        *own,
        *(_strange(draw, place, size) for place in places[: random.randint(STRANGE[0], STRANGE[1] + 1)]),
    ]


def _strange(draw: Draw, place: Reals, size: float) -> Placed:
    """A part that no family has: a board, a rod or a ball somewhere on the solid, in any direction."""
    kind, sides = int(draw(0, 3)), [size * draw(0.06, 0.5) for _ in range(3)]
    bodies: tuple[Body, ...] = (Box((sides[0], sides[1], sides[2])), Capsule(0.3 * sides[0], 1.5 * sides[1]))
    body = (*bodies, Ellipsoid((sides[0], sides[0], sides[1])))[kind]
    turn = yaw(draw(0, 2 * math.pi)) @ pitch(draw(0, math.pi))
    return Placed(body, (float(place[0]), float(place[1]), float(place[2])), turn)


@lru_cache(maxsize=4096)
def cloud(key: str, shift: Shift = "none") -> NDArray[np.float32]:
    """Points `(256, 3)` of the surface of a key's solid, which fills the unit ball and is turned by any yaw.

    Args:
        key: Such as `solids/train/chair/0`.
        shift: `noise` moves each point by a normal deviate of 0.01 to 0.05; `tilt` turns by up to 30 degrees
            about a level axis; `scale` is by 0.6 to 1.6; `drop` leaves out 20 to 80 % of the points;
            `outliers` puts 5 to 20 % of them anywhere in the cube around the unit ball.
    """
    random = random_of(f"{key}/cloud")
    points, _ = surface_points(solid(key), POINTS, random)
    points -= (points.max(0) + points.min(0)) / 2
    points /= np.sqrt((points**2).sum(1).max())
    points = _turned(points, yaw(random.uniform(0, 2 * math.pi)))
    if shift != "none":
        points = _shifted(points, shift, random_of(f"{key}/{shift}"))
    return (np.rint(points * GRAIN) / GRAIN).astype(np.float32)


def _shifted(points: Reals, shift: Shift, random: RandomState) -> Reals:
    match shift:
        case "noise":
            return points + random.uniform(0.01, 0.05) * random.standard_normal(points.shape)
        case "tilt":
            axis = yaw(random.uniform(0, 2 * math.pi))
            lean = math.radians(random.uniform(0, 30))
            return _turned(points, axis @ pitch(lean) @ axis.T)
        case "scale":
            return points * random.uniform(0.6, 1.6)
        case "drop":
            return points[random.permutation(POINTS)[: round(POINTS * random.uniform(0.2, 0.8))]]
        case "outliers":
            strange = random.permutation(POINTS)[: round(POINTS * random.uniform(0.05, 0.2))]
            points[strange] = random.uniform(-1, 1, (len(strange), 3))
    return points


def _turned(points: Reals, turn: Reals) -> Reals:
    turned: Reals = np.einsum("nj,kj->nk", points, turn)
    return turned
