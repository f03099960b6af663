"""Training images with a little noise, and for any image the nearest of them: the floor of copying.

Source: none. It shows what copies are worth: near the best distances, and a novelty near none.

Shapes: images `(N, H, W, C)` to images of the same shape.
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

CHUNK = 256
"""Images whose distances to all training images are computed at once."""


@dataclass(frozen=True)
class NoisyCopies:
    """Hyper-parameters of copying."""

    noise: float = 8.0
    """Standard deviation of the noise, in pixels from 0 to 255."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def __post_init__(self) -> None:
        if not 0 <= self.noise < 256:
            raise BadInput.single("noise", f"is {self.noise}; expected 0 to less than 256")

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Keeps the training images."""
        return Fitted(Copies(np.array(data.train.images), self.noise, context.seed))

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Copies:
        """Reads what `save` wrote."""
        with np.load(folder / "floor.npz", allow_pickle=False) as stored:
            return Copies(stored["images"], self.noise, int(stored["seed"]))


@dataclass(frozen=True)
class Copies:
    """The training images."""

    images: NDArray[np.uint8]
    """`(T, H, W, C)`."""
    noise: float
    seed: int

    def generate(self, count: int) -> NDArray[np.uint8]:
        """Training images with noise `(count, H, W, C)`."""
        random = np.random.default_rng(self.seed)
        chosen = self.images[random.integers(len(self.images), size=count)]
        return _pixels(chosen + self.noise * random.normal(size=chosen.shape))

    def reconstruct(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The nearest training image of each, by squared difference."""
        known = self.images.reshape(len(self.images), -1).astype(np.float64)
        places: list[int] = []
        for start in range(0, len(images), CHUNK):
            x = images[start : start + CHUNK].reshape(-1, known.shape[1]).astype(np.float64)
            places += ((known**2).sum(1) - 2 * x @ known.T).argmin(1).tolist()
        return self.images[places]

    def interpolate(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], steps: int
    ) -> NDArray[np.uint8]:
        """Blends of the nearest training images, `(N, steps, H, W, C)`."""
        start, end = (self.reconstruct(images)[:, None].astype(np.float64) for images in (first, second))
        shares = np.linspace(0, 1, steps).reshape(-1, 1, 1, 1)
        return _pixels(start * (1 - shares) + end * shares)

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        np.savez_compressed(folder / "floor.npz", images=self.images, seed=self.seed)


def _pixels(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return values.round().clip(0, 255).astype(np.uint8)
