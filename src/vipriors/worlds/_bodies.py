"""Bodies in closed form: signed distance, area, and points of the surface with their normals.

A body lies in its own frame, with its axis along z and its middle at the origin. Signed distances are
negative inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Reals = NDArray[np.float64]


class Body(Protocol):
    """A closed surface."""

    @property
    def area(self) -> float:
        """Of the surface."""

    def distance(self, points: Reals) -> Reals:
        """Signed distance `(N,)` of points `(N, 3)`: exact, but of an ellipsoid."""

    def surface(self, count: int, random: RandomState) -> tuple[Reals, Reals]:
        """Points spread evenly over the surface, and the unit normals there that point outwards."""


@dataclass(frozen=True)
class Box:
    """A box by half its length along each axis."""

    half: tuple[float, float, float]

    @property
    def area(self) -> float:
        """Of the six faces."""
        x, y, z = self.half
        return 8 * (x * y + y * z + z * x)

    def distance(self, points: Reals) -> Reals:
        """Exact."""
        beyond = np.abs(points) - self.half
        outside: Reals = np.linalg.norm(beyond.clip(0), axis=1) + beyond.max(1).clip(max=0)
        return outside

    def surface(self, count: int, random: RandomState) -> tuple[Reals, Reals]:
        """A face by its area, then anywhere on it."""
        x, y, z = self.half
        shares = np.cumsum([y * z, z * x, x * y]) / (x * y + y * z + z * x)
        axis = np.searchsorted(shares, random.uniform(size=count)).clip(max=2)
        sign = random.randint(0, 2, count) * 2.0 - 1
        unit = random.uniform(-1, 1, (count, 3))
        normals = np.zeros((count, 3))
        normals[np.arange(count), axis] = sign
        unit[np.arange(count), axis] = sign
        return unit * self.half, normals


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid by its three radii; a sphere where they are equal."""

    radii: tuple[float, float, float]

    @cached_property
    def area(self) -> float:
        """By quadrature over 4,096 directions; exact for a sphere."""
        k = np.arange(4096) + 0.5
        z, turn = 1 - k / 2048, k * math.pi * (3 - math.sqrt(5))
        around = np.sqrt(1 - z * z)
        directions = np.stack([around * np.cos(turn), around * np.sin(turn), z], 1)
        return float(4 * math.pi * self._stretch(directions).mean())

    def distance(self, points: Reals) -> Reals:
        """Exact for a sphere; else never larger than the distance, with the right sign."""
        radii = np.array(self.radii)
        bound: Reals = (np.linalg.norm(points / radii, axis=1) - 1) * radii.min()
        return bound

    def surface(self, count: int, random: RandomState) -> tuple[Reals, Reals]:
        """Directions, kept as often as the surface is stretched there."""
        radii = np.array(self.radii)
        most = radii.prod() / radii.min()
        directions = _sphere(4 * count, random)
        kept = directions[random.uniform(0, most, len(directions)) < self._stretch(directions)]
        while len(kept) < count:
            more = _sphere(4 * count, random)
            kept = np.concatenate([kept, more[random.uniform(0, most, len(more)) < self._stretch(more)]])
        return kept[:count] * radii, _unit(kept[:count] / radii)

    def _stretch(self, directions: Reals) -> Reals:
        """Area of the surface for each area of the unit sphere."""
        radii = np.array(self.radii)
        stretch: Reals = radii.prod() * np.linalg.norm(directions / radii, axis=1)
        return stretch


@dataclass(frozen=True)
class Frustum:
    """A round column, perhaps narrower at one end: a cylinder if the radii are equal, a cone if one is 0."""

    bottom: float
    top: float
    half: float
    """Half the height."""

    @property
    def _slant(self) -> float:
        return math.hypot(2 * self.half, self.bottom - self.top)

    @property
    def area(self) -> float:
        """Of the side and both ends."""
        ends = self.bottom**2 + self.top**2
        return math.pi * (ends + (self.bottom + self.top) * self._slant)

    def distance(self, points: Reals) -> Reals:
        """Exact."""
        across, z = np.hypot(points[:, 0], points[:, 1]), points[:, 2]
        to_end = np.stack(
            [across - np.minimum(across, np.where(z < 0, self.bottom, self.top)), np.abs(z) - self.half], 1
        )
        side = np.array([self.top - self.bottom, 2 * self.half])
        from_top = np.stack([across - self.top, z - self.half], 1)
        along = (-(from_top * side).sum(1) / (side * side).sum()).clip(0, 1)
        to_side = from_top + along[:, None] * side
        inside = (to_side[:, 0] < 0) & (to_end[:, 1] < 0)
        nearest = np.sqrt(np.minimum((to_end**2).sum(1), (to_side**2).sum(1)))
        signed: Reals = np.where(inside, -nearest, nearest)
        return signed

    def surface(self, count: int, random: RandomState) -> tuple[Reals, Reals]:
        """One of the two ends or the side, by their areas."""
        place, u, turn = (
            random.uniform(0, self.area, count),
            random.uniform(size=count),
            _turns(count, random),
        )
        low, high = math.pi * self.bottom**2, math.pi * (self.bottom**2 + self.top**2)
        at_bottom, at_top = place < low, (place >= low) & (place < high)
        on_side = ~(at_bottom | at_top)
        # On the side a circle is met as often as it is long.
        radius = np.sqrt(self.bottom**2 + u * (self.top**2 - self.bottom**2))
        change = self.top - self.bottom
        rise = (radius - self.bottom) / change if abs(change) > 1e-9 else u
        radius = np.where(
            at_bottom, self.bottom * np.sqrt(u), np.where(at_top, self.top * np.sqrt(u), radius)
        )
        z = np.where(at_bottom, -self.half, np.where(at_top, self.half, self.half * (2 * rise - 1)))
        lean, out = -change / self._slant, 2 * self.half / self._slant
        up = np.where(on_side, lean, np.where(at_bottom, -1.0, 1.0))
        ahead = np.where(on_side, out, 0.0)
        return _around(radius, z, turn), _around(ahead, up, turn)


@dataclass(frozen=True)
class Capsule:
    """A cylinder with half a sphere at each end."""

    radius: float
    half: float
    """Half the length of the cylinder."""

    @property
    def area(self) -> float:
        """Of the sphere and the cylinder."""
        return 4 * math.pi * self.radius * (self.radius + self.half)

    def distance(self, points: Reals) -> Reals:
        """Exact."""
        away: Reals = np.linalg.norm(points - self._nearest(points), axis=1) - self.radius
        return away

    def surface(self, count: int, random: RandomState) -> tuple[Reals, Reals]:
        """The sphere, cut in two, or the cylinder."""
        normals, along = _sphere(count, random), random.uniform(-self.half, self.half, count)
        on_side = random.uniform(0, self.radius + self.half, count) < self.half
        flat = np.stack([normals[:, 0], normals[:, 1], np.zeros(count)], 1)
        middle = np.where(on_side, along, np.where(normals[:, 2] < 0, -self.half, self.half))
        normals = np.where(on_side[:, None], _unit(flat), normals)
        return normals * self.radius + middle[:, None] * [0.0, 0.0, 1.0], normals

    def _nearest(self, points: Reals) -> Reals:
        return points[:, 2:].clip(-self.half, self.half) * [0.0, 0.0, 1.0]


@dataclass(frozen=True)
class Torus:
    """A ring around the z axis."""

    ring: float
    """Radius of the circle in its middle."""
    tube: float
    """Radius of its own thickness, less than `ring`."""

    @property
    def area(self) -> float:
        """Pappus' theorem."""
        return 4 * math.pi**2 * self.ring * self.tube

    def distance(self, points: Reals) -> Reals:
        """Exact."""
        across = np.hypot(points[:, 0], points[:, 1]) - self.ring
        away: Reals = np.hypot(across, points[:, 2]) - self.tube
        return away

    def surface(self, count: int, random: RandomState) -> tuple[Reals, Reals]:
        """Around the ring, and around the tube as often as the circle there is long."""
        around = np.empty(0)
        while len(around) < count:
            angles = _turns(2 * count, random)
            kept = random.uniform(0, self.ring + self.tube, len(angles)) < self.ring + self.tube * np.cos(
                angles
            )
            around = np.concatenate([around, angles[kept]])
        cosine, sine, turn = np.cos(around[:count]), np.sin(around[:count]), _turns(count, random)
        points = _around(self.ring + self.tube * cosine, self.tube * sine, turn)
        return points, _around(cosine, sine, turn)


def _turns(count: int, random: RandomState) -> Reals:
    return random.uniform(0, 2 * math.pi, count)


def _around(radius: Reals, z: Reals, turn: Reals) -> Reals:
    """Cylindrical coordinates to points."""
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], 1)


def _sphere(count: int, random: RandomState) -> Reals:
    """Directions spread evenly."""
    z = random.uniform(-1, 1, count)
    return _around(np.sqrt(1 - z * z), z, _turns(count, random))


def _unit(vectors: Reals) -> Reals:
    """Vectors `(N, 3)` at length one."""
    units: Reals = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units
