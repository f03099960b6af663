"""Euclidean distance of the pixels themselves: the plainest floor.

Source: none; what is compared before anything is thought of.

Shapes: images `(N, H, W, C)` uint8 to points `(N, h * w * C)`, each pixel divided by its standard deviation
over the training images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Context, Embedder, Fitted, TrainingSet
from vipriors.methods.reid import _floor

SIDES = (4, 8, 16, 32, 64)


@dataclass(frozen=True)
class PixelDistance:
    """Hyper-parameters of the distance of pixels."""

    side: int = 0
    """Pixels of the longer side that images are averaged down to; 0 is searched on validation, or else 32."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def tuned(self, data: TrainingSet) -> PixelDistance:
        """With the side that did best on `data.held_out`, the first of equals."""
        if self.side:
            return self
        candidates = [dataclasses.replace(self, side=side) for side in SIDES]
        return max(candidates, key=lambda one: _floor.validation_score(one.features, data))

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels in [0, 1] of images `(N, H, W, C)`, averaged down, as vectors `(N, D)`."""
        _, height, width, _ = images.shape
        shrink = max(1.0, max(height, width) / (self.side or 32))
        rows, columns = (max(1, round(side / shrink)) for side in (height, width))
        means = _floor.cell_means(images.astype(np.float32) / np.float32(255), rows, columns)
        return means.reshape(len(images), -1)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Measures the spread of each pixel."""
        return _floor.fit(self.features, data)

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Embedder:
        """Reads the spread of each pixel."""
        return _floor.load(self.features, folder)
