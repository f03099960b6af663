"""Gives each pixel the class whose colours and places it fits best: a floor.

Each class is a Gaussian over a pixel's colour and place in the image (quadratic discriminant analysis). It
sees no shapes: what a method scores above it comes from more than colour.

Source: quadratic discriminant analysis, as textbooks have it.

Shapes: images `(N, H, W, C)` to maps `(h, w)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.methods.segmentation._iou import mean_iou

RIDGE = 1e-4
"""Added to variances, of features from 0 to 1: a class of one colour would have no density."""

PRIORS = (1.0, 0.75, 0.5, 0.25, 0.0)


@dataclass(frozen=True)
class Gaussians:
    """A Gaussian over D features for each of K classes."""

    mean: NDArray[np.float64]
    """`(K, D)`"""
    whitening: NDArray[np.float64]
    """`(K, D, D)`: a feature's difference from the mean, times this, has unit variance in every direction."""
    peak: NDArray[np.float64]
    """`(K,)`: the log-density at the mean, but for a constant."""
    log_frequency: NDArray[np.float64]
    """`(K,)`: of the class among the training pixels; minus infinity where it has none."""
    prior: float = 1.0
    """Power of the frequency."""

    def maps(
        self, images: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[NDArray[np.uint8]]:
        """The likeliest class of each pixel, brought to each size `(h, w)` by the nearest."""
        absent = np.isneginf(self.log_frequency)
        offsets = self.peak + self.prior * np.where(absent, 0, self.log_frequency)
        offsets[absent] = -np.inf
        for image, (height, width) in zip(images, sizes, strict=True):
            pixels = features(image)
            scores = [
                offset - 0.5 * (((pixels - mean) @ whitening) ** 2).sum(1)
                for mean, whitening, offset in zip(self.mean, self.whitening, offsets, strict=True)
            ]
            map_ = np.argmax(scores, axis=0).astype(np.uint8).reshape(image.shape[:2])
            yield np.asarray(Image.fromarray(map_).resize((width, height), Image.Resampling.NEAREST))

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez(folder / "floor.npz", **dataclasses.asdict(self))


def features(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Colour, row and column of each pixel from 0 to 1: `(H, W, C)` to `(H * W, C + 2)`."""
    height, width, channels = image.shape
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([rows / height, columns / width], axis=-1)
    return np.concatenate([image / 255, places], axis=-1).reshape(-1, channels + 2)


def fit_gaussians(images: NDArray[np.uint8], maps: NDArray[np.uint8], classes: int) -> Gaussians:
    """The Gaussian of each class: its mean and covariance over all training pixels.

    Args:
        images: `(N, H, W, C)`.
        maps: `(N, sH, sW)`, with `IGNORED`; of finer ones the label next to the middle of each pixel counts.
        classes: K.
    """
    scale = maps.shape[1] // images.shape[1]
    maps = maps[:, scale // 2 :: scale, scale // 2 :: scale]
    size = images.shape[3] + 2
    counts, sums = np.zeros(classes), np.zeros((classes, size))
    products = np.zeros((classes, size, size))
    for image, map_ in zip(images, maps, strict=True):
        pixels, labels = features(image), map_.ravel()
        for class_ in np.unique(labels[labels < classes]).tolist():
            own = pixels[labels == class_]
            counts[class_] += len(own)
            sums[class_] += own.sum(0)
            products[class_] += own.T @ own
    some = np.maximum(counts, 1)
    mean = sums / some[:, None]
    covariance = products / some[:, None, None] - mean[:, :, None] * mean[:, None, :] + RIDGE * np.eye(size)
    # With L L' the inverse of the covariance, (x - m)' L L' (x - m) is the squared length of (x - m)' L.
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    peak = -0.5 * np.linalg.slogdet(covariance)[1]
    with np.errstate(divide="ignore"):
        log_frequency = np.log(counts / max(1, counts.sum()))
    return Gaussians(mean, whitening, peak, log_frequency)


@dataclass(frozen=True)
class MeanColour:
    """The floor that looks at single pixels."""

    prior: float = -1.0
    """Power of a class's frequency, 0 for all alike; below 0 is searched on validation, or 1 without any."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def tuned(self, data: TrainingSet) -> MeanColour:
        """With the prior chosen on `data.held_out`: the first of the best of five."""
        if self.prior >= 0:
            return self
        assert data.held_out is not None
        images, truth = data.held_out.images, data.held_out.labels
        gaussians = fit_gaussians(data.train.images, data.train.labels, len(data.classes))
        sizes = [map_.shape for map_ in truth]

        def score(prior: float) -> float:
            found = dataclasses.replace(gaussians, prior=prior).maps(images, sizes)
            return mean_iou(zip(truth, found, strict=True), data.classes)

        return MeanColour(max(PRIORS, key=score))

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Fits the Gaussian of each class."""
        gaussians = fit_gaussians(data.train.images, data.train.labels, len(data.classes))
        return Fitted(dataclasses.replace(gaussians, prior=self.prior if self.prior >= 0 else 1.0))

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Gaussians:
        """Reads what `save` wrote."""
        with np.load(folder / "floor.npz", allow_pickle=False) as stored:
            return Gaussians(**{name: stored[name] for name in stored.files})
