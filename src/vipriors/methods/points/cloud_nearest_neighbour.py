"""1-nearest-neighbour by histograms of the heights, radii and distances of points.

Source: Osada, Funkhouser, Chazelle, Dobkin, "Shape distributions", ACM Transactions on Graphics 2002 (its D2
is the distance of two random points); the nearest neighbour of Cover and Hart 1967.

Mechanism: three histograms describe a cloud: of the heights of its points over their mean, of their distances
from the vertical through it, and of the distances of all pairs. None changes when the cloud is turned about
the vertical. Clouds are compared by the city-block distance of cumulated histograms, which is how far the
values have to be moved.

Shapes: clouds `(N, P, 3)` to one-hot predictions `(N, K)`.

Deviations from the paper:
1. All pairs of at most 256 points in place of random pairs.
2. Heights and distances from the vertical are added, as objects stand upright.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vipriors.data.clips import even_frames
from vipriors.methods.protocol import Context, Fitted, TrainingSet

BINS = 32
MOST = 256
"""Points whose distances to each other are looked at."""
CANDIDATES = (0.0, 0.5, 1.0, 2.0)


def descriptors(clouds: NDArray[np.float32], unit: float, pairs: float) -> NDArray[np.float64]:
    """Cumulated histograms of clouds, `(N, 3 * BINS)`.

    Args:
        clouds: `(N, P, 3)`.
        unit: A length; histograms reach to four times it.
        pairs: Weight of the distances of pairs.
    """
    places = even_frames(clouds.shape[1], min(MOST, clouds.shape[1]))
    upper = np.triu_indices(len(places), 1)
    found = []
    for cloud in clouds:
        centred = cloud.astype(np.float64) - cloud.mean(0, dtype=np.float64)
        some = centred[places]
        square = (some**2).sum(1)
        apart = np.sqrt((square[:, None] + square - 2 * some @ some.T).clip(0))[upper]
        values = (
            (centred[:, 2] / unit + 2, 1.0),
            (np.hypot(*centred[:, :2].T) / unit, 1.0),
            (apart / unit, pairs),
        )
        found.append(np.concatenate([weight * _cumulated(value) for value, weight in values]))
    return np.stack(found)


def _cumulated(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of values up to each of `BINS` places from 0 to 4."""
    steps = (values * BINS / 4).clip(0, BINS - 1).astype(np.int64)
    shares: NDArray[np.float64] = np.bincount(steps, minlength=BINS).cumsum() / max(1, len(values))
    return shares


@dataclass(frozen=True)
class CloudNearestNeighbour:
    """Hyper-parameters of the nearest neighbour."""

    pairs: float = -1.0
    """Weight of the distances of pairs beside heights and distances from the vertical; -1 searches it."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def tuned(self, data: TrainingSet) -> CloudNearestNeighbour:
        """With the weight that did best on `data.held_out`, the first of equals."""
        if self.pairs >= 0:
            return self
        assert data.held_out is not None
        held_out = data.held_out

        def accuracy(one: CloudNearestNeighbour) -> float:
            found = one.fit(data, Context()).model.probabilities(held_out.images).argmax(1)
            return float((found == held_out.labels).mean())

        return max((dataclasses.replace(self, pairs=weight) for weight in CANDIDATES), key=accuracy)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Describes the training clouds."""
        centred = data.train.images - data.train.images.mean(1, keepdims=True)
        unit = float(np.sqrt((centred.astype(np.float64) ** 2).sum(2).mean())) or 1.0
        known = descriptors(data.train.images, unit, self._weight)
        return Fitted(NearestCloud(known, data.train.labels, unit, self._weight, len(data.classes)))

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> NearestCloud:
        """Reads the descriptors."""
        with np.load(folder / "floor.npz", allow_pickle=False) as stored:
            unit = float(stored["unit"])
            return NearestCloud(stored["known"], stored["labels"], unit, self._weight, classes)

    @property
    def _weight(self) -> float:
        return self.pairs if self.pairs >= 0 else 1.0


@dataclass(frozen=True)
class NearestCloud:
    """Remembered descriptors."""

    known: NDArray[np.float64]
    """`(M, D)`."""
    labels: NDArray[np.int64]
    unit: float
    pairs: float
    classes: int

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """One-hot `(N, K)` of clouds `(N, P, 3)`; of equally near ones the first counts."""
        found = descriptors(images, self.unit, self.pairs)
        nearest = [np.abs(self.known - one).sum(1).argmin() for one in found]
        return np.eye(self.classes, dtype=np.float32)[self.labels[nearest]]

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez_compressed(
            folder / "floor.npz", known=self.known, labels=self.labels, unit=np.array(self.unit)
        )
