"""Gives every pixel the most frequent class: a floor.

Source: none; it is what any method must beat.

Shapes: images `(N, H, W, C)` to maps `(h, w)` of one class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Context, Fitted, TrainingSet


@dataclass(frozen=True)
class OneClass:
    """Knows one class."""

    position: int

    def maps(
        self, images: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[NDArray[np.uint8]]:
        """The class everywhere, at each size `(h, w)`."""
        for _, size in zip(images, sizes, strict=True):
            yield np.full(size, self.position, np.uint8)

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez(folder / "floor.npz", position=self.position)


@dataclass(frozen=True)
class MajorityClass:
    """The floor that looks at no image. It has no hyper-parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Counts the training pixels of each class; of equals the first is taken."""
        counts = np.bincount(data.train.labels.ravel(), minlength=256)[: len(data.classes)]
        return Fitted(OneClass(int(counts.argmax())))

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> OneClass:
        """Reads what `save` wrote."""
        with np.load(folder / "floor.npz", allow_pickle=False) as stored:
            return OneClass(int(stored["position"]))
