"""Distance of mean colours and their spread in horizontal stripes: what clothes tell without learning.

Source: the colours of horizontal stripes of Gray, Tao, "Viewpoint invariant pedestrian recognition with an
ensemble of localized features", ECCV 2008, without what is learned there.

Shapes: images `(N, H, W, C)` uint8 to points `(N, stripes * 2 * C)`, each divided by its standard deviation
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

STRIPES = (1, 2, 3, 6, 12)


@dataclass(frozen=True)
class MeanColourDistance:
    """Hyper-parameters of the distance of mean colours."""

    stripes: int = 0
    """Horizontal stripes; 0 is searched on validation, or else 6."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def tuned(self, data: TrainingSet) -> MeanColourDistance:
        """With the number of stripes that did best on `data.held_out`, the first of equals."""
        if self.stripes:
            return self
        candidates = [dataclasses.replace(self, stripes=stripes) for stripes in STRIPES]
        return max(candidates, key=lambda one: _floor.validation_score(one.features, data))

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean and standard deviation of each channel in each stripe of images `(N, H, W, C)`, `(N, D)`."""
        values = images.astype(np.float32) / np.float32(255)
        rows = min(self.stripes or 6, images.shape[1])
        mean = _floor.cell_means(values, rows, 1)
        variance = _floor.cell_means(values**2, rows, 1) - mean**2
        return np.concatenate([mean, np.sqrt(variance.clip(0))], axis=3).reshape(len(images), -1)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Measures the spread of each colour."""
        return _floor.fit(self.features, data)

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Embedder:
        """Reads the spread of each colour."""
        return _floor.load(self.features, folder)
