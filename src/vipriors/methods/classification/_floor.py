"""What the classical floors share: raw pixels as features, and a choice made on validation.

Floors learn without a network. They are tuned on the same validation images as the methods and refitted on
the same training images, so that a method's lead over them is a lead on equal terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Fitted, TrainingSet


class Estimator(Protocol):
    """The part of scikit-learn's estimators that a floor uses."""

    def fit(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> Any:
        """Learns from features `(N, D)` and labels `(N,)`."""

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """Labels `(N,)` of features `(N, D)`."""


MakeEstimator = Callable[[NDArray[np.float32]], Estimator]
"""From training features `(N, D)` to an unfitted estimator: a kernel's width may depend on their spread."""


def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels in [0, 1] as vectors: `(N, H, W, C)` uint8 to `(N, H * W * C)`."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def validation_accuracy(make: MakeEstimator, data: TrainingSet) -> float:
    """Share of the held-out images that an estimator fitted on the training images gets right."""
    assert data.held_out is not None
    x = features(data.train.images)
    estimator = make(x)
    estimator.fit(x, data.train.labels)
    return float((estimator.predict(features(data.held_out.images)) == data.held_out.labels).mean())


def fit(make: MakeEstimator, data: TrainingSet) -> Fitted:
    """A floor fitted to the training images."""
    estimator = make(features(data.train.images))
    return Fitted(FloorClassifier(estimator, data.train.images, data.train.labels, len(data.classes)))


@dataclass(frozen=True)
class FloorClassifier:
    """A fitted floor. It is stored as its training pixels and fitted again when loaded: no pickle."""

    estimator: Any
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: int

    def __post_init__(self) -> None:
        self.estimator.fit(features(self.images), self.labels)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One-hot `(N, K)`: a floor says which class, not how sure it is."""
        one_hot = np.eye(self.classes, dtype=np.float32)
        predicted: NDArray[np.int64] = self.estimator.predict(features(images))
        return one_hot[predicted]

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez_compressed(folder / "floor.npz", images=self.images, labels=self.labels)


def load(make: MakeEstimator, folder: Path, classes: int) -> FloorClassifier:
    """Fits anew what `save` wrote."""
    with np.load(folder / "floor.npz", allow_pickle=False) as stored:
        return FloorClassifier(make(features(stored["images"])), stored["images"], stored["labels"], classes)
