"""Shortest way over likely links: symbolic planning on the map as it is given.

Source: Dijkstra, "A note on two problems in connexion with graphs", 1959; as a baseline for uncertain maps in
Beeching, Dibangoye, Simonin, Wolf, ECCV 2020.

Mechanism: the cost of a link is its distance d, and more the less likely it is: d - weight * log p, or with
`cost=threshold` far more if p is below the weight. The first step of the cheapest way to the goal is tried. A
link that proved false is left out, and the way is planned anew.

Shapes: maps `(B, N, 4 + N + F)` and nodes `(B,)` to the next nodes `(B,)`. Features are not looked at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vipriors.data.maps import Maps
from vipriors.methods.planning._planning import ShortestWays, best_on_held_out
from vipriors.methods.protocol import Context, Fitted, TrainingSet

CANDIDATES = {
    "penalty": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
    "threshold": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
}
FAR = 1000.0
"""Metres that a link below the threshold costs besides."""


def link_costs(
    distances: NDArray[np.float64], probabilities: NDArray[Any], cost: str, weight: float
) -> NDArray[np.float64]:
    """Costs of links by their distances and probabilities, of any one shape."""
    if cost == "threshold":
        return distances + FAR * (probabilities < weight)
    unlikely: NDArray[np.float64] = -np.log(np.maximum(probabilities, 1e-12).astype(np.float64))
    return distances + weight * unlikely


@dataclass(frozen=True)
class ShortestPath:
    """Hyper-parameters of the shortest way."""

    cost: Literal["penalty", "threshold"] = "penalty"
    """Unlikely links cost more by the logarithm of their probability, or are avoided below a threshold."""
    weight: float = -1.0
    """Of the logarithm, in metres; or the threshold. -1 searches it."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def tuned(self, data: TrainingSet) -> ShortestPath:
        """With the weight that did best on `data.held_out`."""
        if self.weight >= 0:
            return self
        return best_on_held_out([dataclasses.replace(self, weight=w) for w in CANDIDATES[self.cost]], data)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """There is nothing to learn."""
        return Fitted(self._planner())

    def load(self, folder: Any, image_shape: tuple[int, ...], classes: int, execution: Any) -> ShortestWays:
        """The planner that these hyper-parameters make."""
        return self._planner()

    def _planner(self) -> ShortestWays:
        weight = self.weight if self.weight >= 0 else 0.5 if self.cost == "threshold" else 4.0

        def costs(maps: Maps) -> NDArray[np.float64]:
            return link_costs(maps.distances, maps.probabilities, self.cost, weight)

        return ShortestWays(costs)
