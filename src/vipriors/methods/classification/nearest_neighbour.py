"""1-nearest-neighbour on raw pixels: the plainest classical floor.

Source: Cover, Hart, "Nearest neighbor pattern classification", IEEE Transactions on Information Theory 1967;
scikit-learn's implementation.

Shapes: images `(N, H, W, C)` uint8, flattened and scaled to [0, 1], to one-hot predictions `(N, K)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from vipriors.methods.classification import _floor
from vipriors.methods.protocol import Classifier, Context, Fitted, TrainingSet

DISTANCES: tuple[Literal["euclidean", "manhattan", "cosine"], ...] = ("euclidean", "manhattan", "cosine")


@dataclass(frozen=True)
class NearestNeighbour:
    """Hyper-parameters of 1-nearest-neighbour."""

    distance: Literal["searched", "euclidean", "manhattan", "cosine"] = "searched"
    """Between two images' pixels; `searched` chooses on validation."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def tuned(self, data: TrainingSet) -> NearestNeighbour:
        """With the distance that did best on `data.held_out`, the first of equals."""
        if self.distance != "searched":
            return self
        candidates = [dataclasses.replace(self, distance=distance) for distance in DISTANCES]
        return max(candidates, key=lambda one: _floor.validation_accuracy(one.estimator, data))

    def estimator(self, _features: Any) -> Any:
        """The scikit-learn estimator."""
        from sklearn.neighbors import KNeighborsClassifier

        distance = "euclidean" if self.distance == "searched" else self.distance
        return KNeighborsClassifier(1, metric=distance)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Remembers the training images."""
        return _floor.fit(self.estimator, data)

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Classifier:
        """Reads the remembered images."""
        return _floor.load(self.estimator, folder, classes)
