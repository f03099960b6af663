"""Walks on a true graph: what becomes of the nodes that are tried one after the other, and how it compares.

One stands at the start. To try a node is to go straight towards it: over a true link one arrives, and has
gone its length; without one a wall turns one back, after `2 * min(d, 1)` metres of the straight distance d. A
walk ends at the goal, or after three tries for each node of the map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vipriors.data.maps import LINKS, Maps, shortest, straight

TRIES = 3
"""For each node of a map, at most."""

Planner = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.int64]]
"""Maps `(B, N, C)` as they are known by now, and the nodes `(B,)` where one stands, to the next to try."""


@dataclass(frozen=True)
class Episode:
    """What a walk is held against."""

    places: NDArray[np.float64]
    """`(N, 2)`, in metres."""
    links: NDArray[np.bool_]
    """`(N, N)`, the true ones, the same both ways."""
    start: int
    goal: int

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """Straight, in metres, `(N, N)`."""
        return straight(self.places)

    @cached_property
    def ways(self) -> NDArray[np.float64]:
        """Lengths of the shortest ways from each node to the goal over true links, `(N,)`."""
        return shortest(np.where(self.links, self.distances, np.inf))[:, self.goal]

    def cost(self, here: int, tried: int) -> float:
        """Metres that a try takes."""
        far = float(self.distances[here, tried])
        return far if self.links[here, tried] else 2 * min(far, 1.0)


@dataclass(frozen=True)
class Walk:
    """What became of the tries."""

    nodes: tuple[int, ...]
    """Where one stood, the start first."""
    turned_back: tuple[tuple[int, int], ...]
    """Where one stood and what one tried, each time that there was no link."""
    length: float
    """In metres, of all tries up to the goal."""
    arrived: bool


def follow(episode: Episode, tries: tuple[int, ...]) -> Walk:
    """Makes the tries one after the other; what comes after the goal, or beyond the most, is left out."""
    nodes, turned_back, length = [episode.start], list[tuple[int, int]](), 0.0
    for tried in tries[: TRIES * len(episode.places)]:
        here = nodes[-1]
        if here == episode.goal:
            break
        length += episode.cost(here, tried)
        if episode.links[here, tried]:
            nodes.append(tried)
        else:
            turned_back.append((here, tried))
    return Walk(tuple(nodes), tuple(turned_back), length, nodes[-1] == episode.goal)


def success_by_length(episode: Episode, walk: Walk) -> float:
    """0 without success, else the length of the shortest way over that of the walk (SPL of one episode).

    Source: Anderson et al., On Evaluation of Embodied Navigation Agents, 2018.
    """
    shortest_way = float(episode.ways[episode.start])
    return shortest_way / max(walk.length, shortest_way) if walk.arrived else 0.0


def first_is_best(episode: Episode, tries: tuple[int, ...]) -> bool:
    """Whether the first try is a step of a shortest way."""
    if not tries or not episode.links[episode.start, tries[0]]:
        return False
    way = episode.distances[episode.start, tries[0]] + episode.ways[tries[0]]
    return bool(way <= episode.ways[episode.start] + 1e-9)


def roll_out(planner: Planner, maps: NDArray[np.float32], links: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """The tries of a planner that is asked again after each; it learns whether it was turned back, no more.

    Then the probability of that link is 0 in its map from then on. It never sees `links`.

    Args:
        planner: Asked for all maps that are under way at once.
        maps: `(B, N, C)`.
        links: `(B, N, N)`, the true ones.
    """
    known, parts = maps.copy(), Maps.of(maps)
    here, count = parts.start.copy(), maps.shape[1]
    tries: list[list[int]] = [[] for _ in maps]
    for _ in range(TRIES * count):
        under_way = np.flatnonzero(here != parts.goal)
        if not len(under_way):
            break
        answers = planner(known[under_way], here[under_way])
        for place, tried in zip(under_way.tolist(), answers.tolist(), strict=True):
            tries[place].append(tried)
            at = int(here[place])
            if links[place, at, tried]:
                here[place] = tried
            elif tried != at:
                known[place, at, LINKS + tried] = known[place, tried, LINKS + at] = 0
    return [tuple(one) for one in tries]
