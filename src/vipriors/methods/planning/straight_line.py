"""Always on to the likely neighbour that lies nearest to the goal: the floor of not planning.

Source: none; it is what any planner must beat.

Shapes: maps `(B, N, 4 + N + F)` and nodes `(B,)` to the next nodes `(B,)`: of the nodes with a probable link
(0.5 or more), the one nearest to the goal as the crow flies; the likeliest where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vipriors.data.maps import Maps
from vipriors.methods.protocol import Context, Fitted, TrainingSet


@dataclass(frozen=True)
class Straight:
    """Goes where it looks nearest."""

    def next_nodes(self, maps: NDArray[np.float32], here: NDArray[np.int64]) -> NDArray[np.int64]:
        """The nodes `(B,)` to try next on maps `(B, N, C)`, standing at `here`."""
        parts, rows = Maps.of(maps), np.arange(len(maps))
        likely = parts.probabilities[rows, here].astype(np.float64)
        likely[rows, here] = -1
        # Beyond the longest distance, so that only the likeliest counts among unlikely ones.
        far = np.where(likely >= 0.5, parts.distances[rows, parts.goal], 1e9 - likely)
        found: NDArray[np.int64] = far.argmin(1)
        return found

    def save(self, folder: Path) -> None:
        """Writes an empty `folder/floor.npz`: it has learned nothing."""
        np.savez_compressed(folder / "floor.npz")


@dataclass(frozen=True)
class StraightLine:
    """It has no hyper-parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """There is nothing to learn."""
        return Fitted(Straight())

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Straight:
        """The same for all."""
        return Straight()
