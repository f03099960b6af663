"""A Gaussian fitted to the pixels, with its main axes as codes: the floor of knowing pairs of pixels.

Source: none; principal component analysis, without any idea of form.

Shapes: images `(N, H, W, C)` to codes `(N, components)` and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.problems import BadInput


@dataclass(frozen=True)
class PixelGaussian:
    """Hyper-parameters of the Gaussian."""

    components: int = 16
    """Axes that images are described by; new ones are drawn along all axes."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def __post_init__(self) -> None:
        if self.components < 1:
            raise BadInput.single("components", f"is {self.components}; expected 1 or more")

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Finds mean and axes."""
        x = data.train.images.reshape(len(data.train.images), -1).astype(np.float64)
        _, lengths, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
        scaled = lengths[:, None] * axes / max(1, len(x) - 1) ** 0.5
        return Fitted(Gaussian(x.mean(0), scaled, self.components, context.seed, data.train.images.shape[1:]))

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Gaussian:
        """Reads what `save` wrote."""
        channels, *sides = image_shape
        with np.load(folder / "floor.npz", allow_pickle=False) as stored:
            return Gaussian(
                stored["mean"], stored["axes"], self.components, int(stored["seed"]), (*sides, channels)
            )


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian of pixels."""

    mean: NDArray[np.float64]
    """`(P,)`."""
    axes: NDArray[np.float64]
    """`(A, P)`, the longest first; each as long as the standard deviation along it."""
    components: int
    seed: int
    shape: tuple[int, ...]
    """`(H, W, C)`."""

    def generate(self, count: int) -> NDArray[np.uint8]:
        """New images `(count, H, W, C)`."""
        drawn = np.random.default_rng(self.seed).normal(size=(count, len(self.axes)))
        return self._images(self.mean + drawn @ self.axes)

    def reconstruct(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Images, projected onto the first axes."""
        return self._images(self._projected(images))

    def interpolate(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], steps: int
    ) -> NDArray[np.uint8]:
        """Steps between projections, `(N, steps, H, W, C)`."""
        start, end = (self._projected(images)[:, None] for images in (first, second))
        shares = np.linspace(0, 1, steps)[:, None]
        found = self._images((start * (1 - shares) + end * shares).reshape(-1, len(self.mean)))
        return found.reshape(len(first), steps, *self.shape)

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez_compressed(folder / "floor.npz", mean=self.mean, axes=self.axes, seed=self.seed)

    def _projected(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        main = self.axes[: self.components]
        unit = main / np.maximum(np.linalg.norm(main, axis=1, keepdims=True), 1e-12)
        x = images.reshape(len(images), -1) - self.mean
        found: NDArray[np.float64] = self.mean + x @ unit.T @ unit
        return found

    def _images(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        return values.round().clip(0, 255).astype(np.uint8).reshape(-1, *self.shape)
