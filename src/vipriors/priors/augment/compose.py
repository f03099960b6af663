"""Augmentations one after the other, or only for some images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor

from vipriors.priors.augment._batch import require_probability, sometimes

Augmentation = Callable[[Tensor, Generator], Tensor]
"""Maps images `(B, C, H, W)` in [0, 1] and a generator to images."""


@dataclass(frozen=True)
class Compose:
    """Apply `steps` in order."""

    steps: Sequence[Augmentation]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to whatever shape the last step gives."""
        for step in self.steps:
            images = step(images, generator)
        return images


@dataclass(frozen=True)
class Sometimes:
    """Apply `step`, which keeps the shape, to each image with probability `p`."""

    step: Augmentation
    p: float = 0.5

    def __post_init__(self) -> None:
        require_probability("Sometimes", self.p)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return sometimes(self.step(images, generator), images, self.p, generator)
