"""Solids: unions of bodies that are turned and moved; where they are, and points of their surface."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from vipriors.worlds._bodies import Body, Reals

INSIDE = 1e-9
"""How far a point must lie in another body to be no point of a solid's surface."""


@dataclass(frozen=True)
class Placed:
    """A body turned and then moved to its place."""

    body: Body
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: Reals = field(default_factory=lambda: np.eye(3))
    """`(3, 3)` rotation of the body's frame."""

    def distance(self, points: Reals) -> Reals:
        """Signed distance of points `(N, 3)`."""
        # Summed by einsum, which no BLAS touches: the same numbers on every machine.
        return self.body.distance(np.einsum("nj,jk->nk", points - self.centre, self.turn))

    def surface(self, count: int, random: RandomState) -> tuple[Reals, Reals]:
        """Points and normals in the solid's frame."""
        points, normals = (np.einsum("nj,kj->nk", x, self.turn) for x in self.body.surface(count, random))
        return points + self.centre, normals


Solid = Sequence[Placed]
"""The union of its bodies."""


def distance(solid: Solid, points: Reals) -> Reals:
    """Signed distance `(N,)`: outside exact where the bodies' is, inside never larger than the distance."""
    nearest: Reals = np.min([part.distance(points) for part in solid], axis=0)
    return nearest


def occupancy(solid: Solid, points: Reals) -> NDArray[np.bool_]:
    """Whether points `(N, 3)` are inside."""
    inside: NDArray[np.bool_] = distance(solid, points) < 0
    return inside


def surface_points(solid: Solid, count: int, random: RandomState) -> tuple[Reals, Reals]:
    """Points `(count, 3)` spread evenly over the surface of the union, with unit normals `(count, 3)`."""
    shares = np.cumsum([part.body.area for part in solid])
    points, normals = np.empty((0, 3)), np.empty((0, 3))
    while len(points) < count:
        chosen = np.bincount(
            np.searchsorted(shares, random.uniform(0, shares[-1], 2 * count)), minlength=len(solid)
        )
        found, turned, hidden = [], [], []
        for number, (part, wanted) in enumerate(zip(solid, chosen.tolist(), strict=True)):
            some, their = part.surface(wanted, random)
            others = [*solid[:number], *solid[number + 1 :]]
            found.append(some)
            turned.append(their)
            hidden.append(distance(others, some) < -INSIDE if others else np.zeros(wanted, bool))
        order = random.permutation(2 * count)
        seen = order[~np.concatenate(hidden)[order]]
        points = np.concatenate([points, np.concatenate(found)[seen]])
        normals = np.concatenate([normals, np.concatenate(turned)[seen]])
    return points[:count], normals[:count]


def yaw(angle: float) -> Reals:
    """Rotation `(3, 3)` about the z axis by an angle in radians, counter-clockwise from above."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def pitch(angle: float) -> Reals:
    """Rotation `(3, 3)` about the x axis by an angle in radians: z leans towards -y."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])
