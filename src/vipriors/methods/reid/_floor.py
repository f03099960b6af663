"""What the floors share: features without learning, each scaled by its spread over the training images.

Floors learn without a network. What they leave open is chosen on the same validation images as the methods',
so that a method's lead over them is a lead on equal terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Fitted, TrainingSet
from vipriors.methods.reid._validation import retrieval

Features = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images `(N, H, W, C)` to features `(N, D)`."""

CHUNK = 256
"""Images that are turned to floats at once: all of them may be more than memory holds."""


def cell_means(values: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Means over the cells of a grid of about equal cells: `(N, H, W, C)` to `(N, rows, columns, C)`.

    Args:
        values: Images.
        rows: Of the grid, at most H.
        columns: Of the grid, at most W.
    """
    means = values
    for axis, parts in ((1, rows), (2, columns)):
        edges = np.arange(parts + 1) * values.shape[axis] // parts
        sums = np.add.reduceat(means, edges[:-1], axis=axis)
        widths = np.diff(edges).astype(np.float32)
        means = sums / widths.reshape((-1, 1, 1) if axis == 1 else (-1, 1))
    return means


def fit(features: Features, data: TrainingSet) -> Fitted:
    """A floor that scales by the spread over the training images."""
    return Fitted(_scaled(features, data))


def validation_score(features: Features, data: TrainingSet) -> float:
    """Mean average precision on the held-out images."""
    assert data.held_out is not None
    points = _scaled(features, data).embeddings(data.held_out.images)
    return retrieval(points, data.held_out.labels)["mAP"]


@dataclass(frozen=True)
class FloorEmbedder:
    """Features, divided by their standard deviation over the training images."""

    features: Features
    deviation: NDArray[np.float32]
    """`(D,)`, never 0."""

    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Points `(N, D)` of images `(N, H, W, C)`."""
        return _in_chunks(self.features, images) / self.deviation

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez_compressed(folder / "floor.npz", deviation=self.deviation)


def load(features: Features, folder: Path) -> FloorEmbedder:
    """Reads what `save` wrote."""
    with np.load(folder / "floor.npz", allow_pickle=False) as stored:
        return FloorEmbedder(features, stored["deviation"])


def _scaled(features: Features, data: TrainingSet) -> FloorEmbedder:
    deviation = _in_chunks(features, data.train.images).std(axis=0)
    return FloorEmbedder(features, np.where(deviation > 1e-6, deviation, np.float32(1)))


def _in_chunks(features: Features, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([features(images[k : k + CHUNK]) for k in range(0, len(images), CHUNK)])
