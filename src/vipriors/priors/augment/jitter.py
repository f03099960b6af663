"""Random colour changes: the functions of `colour`, with parameters drawn for each image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vipriors.priors.augment._batch import (
    by_group,
    integers,
    require,
    require_probability,
    require_range,
    sometimes,
    uniform,
)
from vipriors.priors.augment.colour import (
    autocontrast,
    brightness,
    contrast,
    equalize,
    grayscale,
    hue,
    invert,
    posterize,
    saturation,
    sharpness,
    solarize,
)


def colour_jitter(images: Tensor, order: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image, in that image's own order.

    Args:
        images: `(B, C, H, W)`.
        order: permutations of 0 to 3, `(B, 4)`: which of the four comes first, second, …
        factors: brightness, contrast and saturation factors and the turn of the hue, `(B, 4)`, on the device
            of `order`.
    """
    for operation in order.unbind(1):
        factor = factors.gather(1, operation[:, None]).squeeze(1)
        images = by_group(images, operation, (brightness, contrast, saturation, hue), factor)
    return images


@dataclass(frozen=True)
class ColourJitter:
    """Brightness, contrast and saturation factors from `1 - x` to `1 + x`, hue turned by up to `hue`.

    Every image draws its own factors and its own order of the four.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    """Share of the full circle, at most 0.5."""

    def __post_init__(self) -> None:
        strengths = {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}
        require(
            "ColourJitter",
            *((value >= 0, f"{name} is {value}; expected 0 or more") for name, value in strengths.items()),
            (0 <= self.hue <= 0.5, f"hue is {self.hue}; expected 0 to 0.5"),
        )

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        count = len(images)
        order = torch.rand(count, 4, generator=generator, device=generator.device).argsort(1)
        factors = [
            uniform(count, max(0.0, 1 - x), 1 + x, generator)
            for x in (self.brightness, self.contrast, self.saturation)
        ]
        turn = uniform(count, -self.hue, self.hue, generator)
        return colour_jitter(images, order, torch.stack((*factors, turn), dim=1))


@dataclass(frozen=True)
class Sharpness:
    """Sharpness factor drawn evenly from `factor` (below 1 blurs, above 1 sharpens)."""

    factor: tuple[float, float] = (0.1, 1.9)

    def __post_init__(self) -> None:
        require_range("Sharpness", "factor", self.factor, 0, float("inf"))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return sharpness(images, uniform(len(images), *self.factor, generator))


@dataclass(frozen=True)
class Posterize:
    """Bits kept, drawn evenly from `bits`, both ends included."""

    bits: tuple[int, int] = (4, 8)

    def __post_init__(self) -> None:
        require_range("Posterize", "bits", self.bits, 0, 8)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return posterize(images, integers(len(images), *self.bits, generator))


@dataclass(frozen=True)
class Solarize:
    """Threshold of inversion, drawn evenly from `threshold`."""

    threshold: tuple[float, float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        require_range("Solarize", "threshold", self.threshold, 0, 1)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return solarize(images, uniform(len(images), *self.threshold, generator))


@dataclass(frozen=True)
class Grayscale:
    """Drop the colour of each image with probability `p`."""

    p: float = 0.5

    def __post_init__(self) -> None:
        require_probability("Grayscale", self.p)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return sometimes(grayscale(images), images, self.p, generator)


@dataclass(frozen=True)
class Invert:
    """Invert each image with probability `p`."""

    p: float = 0.5

    def __post_init__(self) -> None:
        require_probability("Invert", self.p)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return sometimes(invert(images), images, self.p, generator)


@dataclass(frozen=True)
class Autocontrast:
    """Stretch the channels of each image to run from 0 to 1, with probability `p`."""

    p: float = 0.5

    def __post_init__(self) -> None:
        require_probability("Autocontrast", self.p)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return sometimes(autocontrast(images), images, self.p, generator)


@dataclass(frozen=True)
class Equalize:
    """Even out the histograms of each image with probability `p`."""

    p: float = 0.5

    def __post_init__(self) -> None:
        require_probability("Equalize", self.p)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return sometimes(equalize(images), images, self.p, generator)
