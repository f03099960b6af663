"""1-nearest-neighbour on the pixels of the middle frame: what a single image tells of the action.

Source: Cover, Hart, "Nearest neighbor pattern classification", IEEE Transactions on Information Theory 1967.

Shapes: clips `(N, T, H, W, C)` uint8, of which frame `T // 2` is looked at, flattened and scaled to [0, 1],
to class probabilities `(N, K)`.

Deviation from the paper:
1. All classes are ranked, each by the nearest of its frames: the probabilities are a softmax of the negative
   distances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Context, Fitted, TrainingSet

BATCH = 64
"""Clips that are compared at a time."""


def class_distances(
    points: NDArray[np.float32], known: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Euclidean distance of each point to the nearest known one of each class.

    Args:
        points: `(N, D)`.
        known: `(M, D)`.
        labels: Classes of the known points, `(M,)`.
        classes: K.

    Returns:
        `(N, K)`; infinite for a class without a known point.
    """
    a, b = points.astype(np.float64), known.astype(np.float64)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    distances = np.sqrt(squares.clip(0))
    nearest = np.full((classes, len(points)), np.inf)
    np.minimum.at(nearest, labels, distances.T)
    return nearest.T


@dataclass(frozen=True)
class FrameNeighbours:
    """Remembers the middle frames of the training clips."""

    frames: NDArray[np.uint8]
    """`(M, H, W, C)`"""
    labels: NDArray[np.int64]
    classes: int

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities `(N, K)` of clips `(N, T, H, W, C)`."""
        known, parts = features(self.frames), []
        for start in range(0, len(images), BATCH):
            points = features(middle_frames(images[start : start + BATCH]))
            distances = class_distances(points, known, self.labels, self.classes)
            weights = np.exp(distances.min(1, keepdims=True) - distances)
            parts.append((weights / weights.sum(1, keepdims=True)).astype(np.float32))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez_compressed(folder / "floor.npz", frames=self.frames, labels=self.labels)


def middle_frames(clips: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frame `T // 2` of clips `(N, T, H, W, C)`, as `(N, H, W, C)`."""
    return np.asarray(clips[:, clips.shape[1] // 2])


def features(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels in [0, 1] as vectors: `(N, H, W, C)` uint8 to `(N, H * W * C)`."""
    return frames.reshape(len(frames), -1).astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class FrameNearestNeighbour:
    """It has no hyper-parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Remembers the middle frames."""
        frames = middle_frames(data.train.images)
        return Fitted(FrameNeighbours(frames, data.train.labels, len(data.classes)))

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> FrameNeighbours:
        """Reads the frames."""
        with np.load(folder / "floor.npz", allow_pickle=False) as stored:
            return FrameNeighbours(stored["frames"], stored["labels"], classes)
