"""Maps of floor plans to plan on: noisy link probabilities, visual features, and the true links to walk on.

A floor of 12 by 12 metres is split into rooms with doors between them. Nodes lie in it in no order; two are
linked if one sees the other within 5 metres. The map gives each pair of nodes a probability of a link that
depends on their distance and on noise alone, so that walls are invisible in it: some links are missing,
others lead through walls. What tells walls are a node's features: the colours of its room, and how far it
sees.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from vipriors.data.images import encode_npy
from vipriors.data.maps import GOAL, LINKS, START, shortest, straight
from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput
from vipriors.worlds._digits import random_of

COUNTS = {"train": 5000, "test": 500}
"""Maps."""
SIZES = (10, 16, 32)
"""Nodes of a map, by variant."""
UNIT = 128
"""Places are whole numbers of one over this of a metre: which links there are is exact on every machine."""
SIDE = 12 * UNIT
"""Of a floor."""
ROOMS = (5, 9)
"""The fewest and the most of a floor."""
NARROWEST, DOOR = 2 * UNIT, UNIT
"""Width of a room at least, and of a door."""
REACH = 5 * UNIT
"""Of a link at most."""
HOPS = 3
"""From start to goal at least, by the true links."""
SPARE = 2
"""Places that are drawn for each node; those that become nodes are connected by links."""
COLOURS, RAYS = 8, 16
"""Features of a node."""
LINK_LOGIT = (3.8, 1.08)
"""Of a link's probability: at distance 0, and how much less of it for a metre. Found by logistic regression
on the true links of training maps, see the test."""
GRAIN = 4096
"""Probabilities and features are multiples of one over this: sines differ between machines in last digits."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Floor:
    """One map with what it leaves out. Lengths are in `1 / UNIT` metres."""

    walls: Ints
    """`(W, 4)`: x and y of one end and of the other; of the outer walls too."""
    places: Ints
    """`(N, 2)`."""
    links: NDArray[np.bool_]
    """`(N, N)`, the true ones; no node is linked to itself."""
    map: NDArray[np.float32]
    """What is given, `(N, 4 + N + F)`; see `vipriors.data.maps`."""


@dataclass(frozen=True)
class MapSource:
    """The maps with their true links."""

    nodes: int = 16
    name: str = "maps"
    root: Path | None = None
    media: Literal["maps"] = "maps"
    classes: tuple[str, ...] = ("image",)
    names: tuple[str, ...] = ("goal",)

    @property
    def samples(self) -> tuple[SourceSample, ...]:
        """The maps of both splits."""
        return tuple(
            SourceSample(f"maps/{self.nodes}/{split}/{number}", 0, split)
            for split, count in COUNTS.items()
            for number in range(count)
        )

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        """The map as an array."""
        return ".npy", encode_npy(floor(sample.key).map)

    def annotations(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """`labels.json`: places, start, goal and true links of each map."""
        maps = []
        for name, sample in named:
            found = floor(sample.key)
            start, goal = (int(found.map[:, column].argmax()) for column in (START, GOAL))
            links = np.argwhere(np.triu(found.links)).tolist()
            nodes = (found.places / UNIT).tolist()
            maps.append({"id": name, "nodes": nodes, "start": start, "goal": goal, "links": links})
        yield "labels.json", (json.dumps({"maps": maps}, separators=(",", ":")) + "\n").encode()

    def test_index(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """Nothing: the maps say how many nodes they have."""
        yield from ()


def maps(task: str, variant: str = "16") -> MapSource:
    """The maps with labels for `planning`; `variant` is the number of nodes, one of `SIZES`.

    Raises:
        BadInput: The task or the variant is another.
    """
    if task != "planning":
        raise BadInput.single("world maps", f"has no labels for {task}; expected task planning")
    if variant not in map(str, SIZES):
        expected = f"expected one of {', '.join(map(str, SIZES))}"
        raise BadInput.single("world maps", f"has no variant {variant!r}; {expected}")
    return MapSource(int(variant))


@lru_cache(maxsize=8192)
def floor(key: str) -> Floor:
    """The floor of a key such as `maps/16/train/0`; the number in it is that of the nodes."""
    nodes, random = int(key.split("/")[1]), random_of(key)
    chosen: list[int] = []
    while len(chosen) < nodes:  # few floors have no way that is long enough
        rooms, walls = _plan(random)
        # Odd, where walls are at even places: no node is ever on a wall, nor in line with one.
        many = 2 * random.randint(0, SIDE // 2, (SPARE * nodes, 2)) + 1
        chosen = _connected(linked(many, walls), nodes, random)
    order = random.permutation(nodes)
    places = many[chosen][order]
    start, goal = order.argsort()[:2]
    links = linked(places, walls)
    found = np.zeros((nodes, LINKS + nodes + COLOURS + RAYS))
    found[:, :2] = places / UNIT
    found[start, START] = found[goal, GOAL] = 1
    found[:, LINKS : LINKS + nodes] = _probabilities(places, random)
    found[:, LINKS + nodes :] = np.hstack([_colours(places, rooms, random), _rays(places, walls, random)])
    found[:, LINKS:] = np.rint(found[:, LINKS:] * GRAIN) / GRAIN
    # Never 0, which says that a link is known to be false.
    found[:, LINKS : LINKS + nodes] = found[:, LINKS : LINKS + nodes].clip(1 / GRAIN, 1)
    return Floor(walls, places, links, found.astype(np.float32))


def linked(places: Ints, walls: Ints) -> NDArray[np.bool_]:
    """Which of the places `(N, 2)` are linked, `(N, N)`: within reach, no wall between; none to itself."""
    near = ((places[:, None] - places) ** 2).sum(2) <= REACH**2
    pairs = np.argwhere(np.triu(near, 1))
    one, other = places[pairs.T][..., None, :]  # (P, 1, 2) each
    crossed = np.zeros(len(pairs), bool)
    for axis in (0, 1):  # walls at one x, then walls at one y
        own = walls[walls[:, axis] == walls[:, axis + 2]]
        at, (low, high) = own[:, axis], np.sort(own[:, [1 - axis, 3 - axis]], axis=1).T
        before, step = at - one[..., axis], other[..., axis] - one[..., axis]
        between = before * (other[..., axis] - at) > 0
        # Where the way meets the line of the wall, times the length of its step, which keeps it whole.
        meets = one[..., 1 - axis] * step + before * (other[..., 1 - axis] - one[..., 1 - axis])
        meets, size = meets * np.sign(step), np.abs(step)
        crossed |= (between & (meets >= low * size) & (meets <= high * size)).any(1)
    found: NDArray[np.bool_] = np.zeros(near.shape, bool)
    first, second = pairs[~crossed].T
    found[first, second] = found[second, first] = True
    return found


def hops(links: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The fewest links from each node to each other, `(N, N)`; infinite where there is no way."""
    return shortest(np.where(links, 1.0, np.inf))


def _plan(random: RandomState) -> tuple[Ints, Ints]:
    """Rooms `(R, 4)` as left, top, right, bottom, and walls `(W, 4)`."""
    rooms = [(0, 0, SIDE, SIDE)]
    walls = [(0, 0, SIDE, 0), (0, SIDE, SIDE, SIDE), (0, 0, 0, SIDE), (SIDE, 0, SIDE, SIDE)]
    for _ in range(random.randint(ROOMS[0], ROOMS[1] + 1) - 1):
        largest = max(
            range(len(rooms)), key=lambda k: (rooms[k][2] - rooms[k][0]) * (rooms[k][3] - rooms[k][1])
        )
        room = rooms.pop(largest)
        axis = 0 if room[2] - room[0] > room[3] - room[1] else 1
        low, high = room[axis], room[axis + 2]
        at = 2 * random.randint((low + NARROWEST) // 2, (high - NARROWEST) // 2 + 1)
        first, second = list(room), list(room)
        first[axis + 2] = second[axis] = at
        rooms += [(first[0], first[1], first[2], first[3]), (second[0], second[1], second[2], second[3])]
        for start, end in _pieces(room[1 - axis], room[3 - axis], random):
            walls.append((at, start, at, end) if axis == 0 else (start, at, end, at))
    return np.array(rooms, np.int64), np.array(walls, np.int64)


def _pieces(low: int, high: int, random: RandomState) -> list[tuple[int, int]]:
    """What one or two doors leave of a wall."""
    count = random.randint(1, 3)
    width = (high - low) // (2 * count) * 2  # even, as all places of walls
    doors = [low + k * width + 2 * random.randint(0, (width - DOOR) // 2 + 1) for k in range(count)]
    ends = [low, *(end for door in doors for end in (door, door + DOOR)), high]
    return [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b]


def _connected(links: NDArray[np.bool_], count: int, random: RandomState) -> list[int]:
    """Some nodes, connected: start, goal, those of a way between them, others; too few if there is no way.

    With fewer nodes there are no other ways than before, so that it takes as many links, or more.
    """
    steps = hops(links)
    far = np.argwhere((steps >= HOPS) & (steps < count))
    if not len(far):
        return []
    start, goal = far[random.randint(len(far))].tolist()
    chosen, here = [start, goal], start
    while steps[here, goal] > 1:
        here = int(random.choice(np.flatnonzero(links[here] & (steps[:, goal] == steps[here, goal] - 1))))
        chosen.append(here)
    while len(chosen) < count:
        near: NDArray[np.bool_] = np.logical_or.reduce(links[chosen])
        near[chosen] = False
        if not near.any():
            break
        chosen.append(int(random.choice(np.flatnonzero(near))))
    return chosen


def _probabilities(places: Ints, random: RandomState) -> NDArray[np.float64]:
    at_zero, slope = LINK_LOGIT
    noise = np.triu(random.standard_normal((len(places), len(places))), 1)
    found: NDArray[np.float64] = 1 / (
        1 + np.exp(-(at_zero - slope * straight(places / UNIT) + noise + noise.T))
    )
    np.fill_diagonal(found, 1)
    return found


def _colours(places: Ints, rooms: Ints, random: RandomState) -> NDArray[np.float64]:
    """The colours of each node's room, with noise."""
    x, y = places[:, 0, None], places[:, 1, None]
    left, top, right, bottom = rooms.T
    room = ((left < x) & (x < right) & (top < y) & (y < bottom)).argmax(1)
    own = random.uniform(0, 1, (len(rooms), COLOURS))
    found: NDArray[np.float64] = own[room] + 0.1 * random.standard_normal((len(places), COLOURS))
    return found


def _rays(places: Ints, walls: Ints, random: RandomState) -> NDArray[np.float64]:
    """How far each node sees in sixteen directions, in sides of the floor, with 10 % noise."""
    angles = 2 * math.pi * (np.arange(RAYS) + 0.25) / RAYS  # none is along a wall
    nearest = np.full((len(places), RAYS), np.inf)
    for axis in (0, 1):
        own = walls[walls[:, axis] == walls[:, axis + 2]]
        along, across = (np.cos(angles), np.sin(angles))[:: 1 if axis == 0 else -1]
        far = (own[:, axis] - places[:, None, None, axis]) / along[None, :, None]
        meets = places[:, None, None, 1 - axis] + far * across[None, :, None]
        low, high = np.sort(own[:, [1 - axis, 3 - axis]], axis=1).T
        seen = (far > 0) & (low <= meets) & (meets <= high)
        nearest = np.minimum(nearest, np.where(seen, far, np.inf).min(2))
    found: NDArray[np.float64] = nearest / SIDE * (1 + 0.1 * random.standard_normal(nearest.shape))
    return found
