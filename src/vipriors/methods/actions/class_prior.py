"""The most frequent actions, whatever the clip shows: the floor of knowing nothing.

Source: none; it is what any method must beat.

Shapes: clips `(N, T, H, W, C)` uint8 to the same class probabilities for all, `(N, K)`: each class's share of
the training clips. Of classes as frequent, the first comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Context, Fitted, TrainingSet


@dataclass(frozen=True)
class Prior:
    """Says how frequent each class is."""

    shares: NDArray[np.float32]
    """`(K,)`, of the training clips."""

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(N, K)`, all rows the same, for clips `(N, T, H, W, C)`."""
        return np.tile(self.shares, (len(images), 1))

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez_compressed(folder / "floor.npz", shares=self.shares)


@dataclass(frozen=True)
class ClassPrior:
    """It has no hyper-parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Counts the training clips of each class."""
        counts = np.bincount(data.train.labels, minlength=len(data.classes))
        return Fitted(Prior((counts / counts.sum()).astype(np.float32)))

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Prior:
        """Reads the shares."""
        with np.load(folder / "floor.npz", allow_pickle=False) as stored:
            return Prior(stored["shares"])
