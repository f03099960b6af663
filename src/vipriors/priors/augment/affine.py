"""Turn and scale in one resampling, which blurs small images less than one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vipriors.priors.augment._batch import coordinate_dtype, per_image, require, uniform
from vipriors.priors.augment.geometric import Sampling, warp


def turn_and_scale(
    images: Tensor, degrees: Tensor, scale: Tensor, sampling: Sampling = "bilinear", fill: float = 0.0
) -> Tensor:
    """Turn each image about its centre and grow it; the size in pixels stays.

    Args:
        images: `(B, C, H, W)`.
        degrees: Counter-clockwise, `(B,)`.
        scale: Above 1 grows, `(B,)`.
        sampling: See `warp`.
        fill: See `warp`.
    """
    dtype = coordinate_dtype(images)
    angle = per_image(degrees, images, dtype).flatten().deg2rad()
    shrink = 1 / per_image(scale, images, dtype).flatten()
    cos, sin, zero = angle.cos() * shrink, angle.sin() * shrink, torch.zeros_like(angle)
    matrix = torch.stack((cos, -sin, zero, sin, cos, zero), dim=1).view(-1, 2, 3)
    return warp(images, matrix, sampling, fill)


@dataclass(frozen=True)
class TurnAndScale:
    """Turn each image by up to `max_degrees` either way and scale it by up to `max_scale` either way."""

    max_degrees: float = 15.0
    max_scale: float = 0.1
    sampling: Sampling = "bilinear"
    fill: float = 0.0

    def __post_init__(self) -> None:
        require(
            "TurnAndScale",
            (self.max_degrees >= 0, f"max_degrees is {self.max_degrees}; expected 0 or more"),
            (0 <= self.max_scale < 1, f"max_scale is {self.max_scale}; expected 0 to less than 1"),
        )

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        degrees = uniform(len(images), -self.max_degrees, self.max_degrees, generator)
        # Even in the logarithm, so that growing and shrinking by the same factor are as likely.
        most = torch.tensor(1 + self.max_scale).log().item()
        scale = uniform(len(images), -most, most, generator).exp()
        return turn_and_scale(images, degrees, scale, self.sampling, self.fill)
