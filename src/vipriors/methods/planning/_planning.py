"""What the planners of this family share: what they learn from, shortest ways by any costs, and tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vipriors.data.maps import Maps, shortest
from vipriors.methods.protocol import Context, Labelled, Method, Planner, TrainingSet
from vipriors.tasks.walks import Episode, follow, roll_out, success_by_length

Costs = Callable[[Maps], NDArray[np.float64]]
"""Maps to the costs of their links `(B, N, N)`, above 0."""
M = TypeVar("M", bound=Method)


@dataclass(frozen=True)
class ShortestWays:
    """Takes the first step of the cheapest way by costs, where only links known to be false are left out."""

    costs: Costs

    def next_nodes(self, maps: NDArray[np.float32], here: NDArray[np.int64]) -> NDArray[np.int64]:
        """The nodes `(B,)` to try next on maps `(B, N, C)`, standing at `here`."""
        parts, rows = Maps.of(maps), np.arange(len(maps))
        costs = np.where(parts.probabilities > 0, self.costs(parts), np.inf)
        costs[:, range(costs.shape[1]), range(costs.shape[1])] = np.inf
        whole = costs[rows, here] + shortest(costs)[rows, :, parts.goal]
        found: NDArray[np.int64] = whole.argmin(1)
        return found

    def save(self, folder: Path) -> None:
        """Writes an empty `folder/floor.npz`: the costs are made of hyper-parameters."""
        np.savez_compressed(folder / "floor.npz")


def next_hops(maps: NDArray[np.float32], links: NDArray[Any]) -> NDArray[np.int8 | np.int16]:
    """The node after i on the shortest way to t over true links, `(B, N, N)` by i and t; i where i is t.

    Args:
        maps: `(B, N, C)`.
        links: `(B, N, N)`, the true ones.
    """
    nodes = maps.shape[1]
    found = np.empty(links.shape, np.int8 if nodes < 128 else np.int16)
    for start in range(0, len(maps), 256):
        some = slice(start, start + 256)
        lengths = np.where(links[some] > 0, Maps.of(maps[some]).distances, np.inf)
        ways = shortest(lengths)
        for node in range(nodes):
            # (B, j, t): over the link from the node to j, then on to t.
            found[some, node] = (lengths[:, node, :, None] + ways).argmin(1)
        found[some, range(nodes), range(nodes)] = np.arange(nodes)
    return found


def weighted_success(planner: Planner, data: Labelled) -> float:
    """The planner's mean success weighted by length on maps with their true links."""
    parts = Maps.of(data.images)
    tries = roll_out(planner.next_nodes, data.images, data.labels > 0)
    found = []
    for number, one in enumerate(tries):
        ends = int(parts.start[number]), int(parts.goal[number])
        episode = Episode(parts.places[number].astype(np.float64), data.labels[number] > 0, *ends)
        found.append(success_by_length(episode, follow(episode, one)))
    return float(np.mean(found))


def best_on_held_out(
    candidates: Iterable[M], data: TrainingSet, planner: Callable[[M], Planner] | None = None
) -> M:
    """The method whose planner does best on `data.held_out`, the first of equals.

    Args:
        candidates: To choose from.
        data: With maps held out.
        planner: From a method to its planner; by default it is fitted.
    """
    assert data.held_out is not None
    held_out = data.held_out
    make = planner or (lambda method: method.fit(data, Context()).model)
    return max(candidates, key=lambda method: weighted_success(make(method), held_out))
