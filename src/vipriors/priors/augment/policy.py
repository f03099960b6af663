"""TrivialAugment and RandAugment: each image draws its own operation and magnitude.

The operations, their order and their ranges are torchvision's (nearest sampling, zeros outside); the batch is
grouped by operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Generator, Tensor

from vipriors.priors.augment._batch import by_group, coin, integers, require
from vipriors.priors.augment.colour import (
    autocontrast,
    brightness,
    contrast,
    equalize,
    posterize,
    saturation,
    sharpness,
    solarize,
)
from vipriors.priors.augment.geometric import rotate, shear, translate

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor] | None] = {
    "Identity": None,
    "ShearX": lambda images, m: shear(images, m, torch.zeros_like(m), about="corner"),
    "ShearY": lambda images, m: shear(images, torch.zeros_like(m), m, about="corner"),
    "TranslateX": lambda images, m: translate(images, m.trunc(), torch.zeros_like(m)),
    "TranslateY": lambda images, m: translate(images, torch.zeros_like(m), m.trunc()),
    "Rotate": rotate,
    "Brightness": lambda images, m: brightness(images, 1 + m),
    "Color": lambda images, m: saturation(images, 1 + m),
    "Contrast": lambda images, m: contrast(images, 1 + m),
    "Sharpness": lambda images, m: sharpness(images, 1 + m),
    "Posterize": posterize,
    "Solarize": solarize,
    "AutoContrast": lambda images, _: autocontrast(images),
    "Equalize": lambda images, _: equalize(images),
}
"""By their published names; each maps images `(n, C, H, W)` and magnitudes `(n,)` to images."""

SIGNED = 10
"""The operations before this index take either sign of the magnitude."""


def apply_operations(images: Tensor, operation: Tensor, magnitude: Tensor) -> Tensor:
    """Apply to each image its own operation.

    Args:
        images: `(B, C, H, W)`.
        operation: index into `OPERATIONS`, `(B,)`.
        magnitude: `(B,)`, on the device of `operation`: slope, pixels, degrees, change of the factor, bits or
            threshold; of no effect where the operation has none.
    """
    return by_group(images, operation, tuple(OPERATIONS.values()), magnitude)


@cache
def _magnitudes(
    bins: int, slope: float, right: float, down: float, degrees: float, factor: float, bits: float
) -> Tensor:
    """The magnitude of each operation at each of `bins` steps from none to the one given, `(14, bins)`."""
    none = torch.zeros(bins)
    strongest = (slope, slope, right, down, degrees, factor, factor, factor, factor)
    rising = [torch.linspace(0, most, bins) for most in strongest]
    kept_bits = (8 - torch.arange(bins) / ((bins - 1) / bits)).round()
    return torch.stack((none, *rising, kept_bits, torch.linspace(1, 0, bins), none, none))


def _apply_drawn(images: Tensor, table: Tensor, step: Tensor, generator: Generator) -> Tensor:
    """Apply to each image an operation drawn evenly, at its `step` `(B,)` in `table` `(14, bins)`."""
    operation = integers(len(images), 0, len(OPERATIONS) - 1, generator)
    magnitude = table.to(generator.device)[operation, step]
    negative = coin(len(images), 0.5, generator) & (operation < SIGNED)
    return apply_operations(images, operation, magnitude.where(~negative, -magnitude))


@dataclass(frozen=True)
class TrivialAugment:
    """One operation for each image at an even random magnitude (Müller & Hutter 2021, arXiv 2103.10158).

    The wide ranges of the paper. Shifts reach 32 pixels whatever the image's size.
    """

    bins: int = 31
    """Steps of the magnitude."""

    def __post_init__(self) -> None:
        require("TrivialAugment", (self.bins >= 2, f"bins is {self.bins}; expected 2 or more"))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        table = _magnitudes(self.bins, slope=0.99, right=32, down=32, degrees=135, factor=0.99, bits=6)
        return _apply_drawn(images, table, integers(len(images), 0, self.bins - 1, generator), generator)


@dataclass(frozen=True)
class RandAugment:
    """`n` operations for each image in turn, all at magnitude `m` (Cubuk et al. 2020, arXiv 1909.13719)."""

    n: int = 2
    m: int = 9
    """Magnitude: a step from 0 to `bins - 1`."""
    bins: int = 31

    def __post_init__(self) -> None:
        require(
            "RandAugment",
            (self.n >= 0, f"n is {self.n}; expected 0 or more"),
            (self.bins >= 2, f"bins is {self.bins}; expected 2 or more"),
            (0 <= self.m < self.bins, f"m is {self.m}; expected 0 to {self.bins - 1}"),
        )

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        rows, columns = images.shape[2:]
        right, down = 150 / 331 * columns, 150 / 331 * rows
        table = _magnitudes(self.bins, slope=0.3, right=right, down=down, degrees=30, factor=0.9, bits=4)
        step = torch.full((len(images),), self.m, device=generator.device)
        for _ in range(self.n):
            images = _apply_drawn(images, table, step, generator)
        return images
