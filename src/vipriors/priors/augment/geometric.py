"""Flips, whole-pixel shifts and affine warps of a batch, with separate parameters for each image.

The small functions take one parameter for each image, `(B,)`, and draw nothing; the frozen dataclasses
draw them. Images are float `(B, C, H, W)` in [0, 1] with any number of channels, on any device; dtype and
memory format stay as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vipriors.priors.augment._batch import (
    choose,
    coin,
    coordinate_dtype,
    integers,
    like_layout,
    per_image,
    require,
    require_images,
    require_probability,
    uniform,
)

Sampling = Literal["nearest", "bilinear"]
Padding = Literal["zeros", "reflect"]


def flip(images: Tensor, mask: Tensor, vertical: bool = False) -> Tensor:
    """Mirror the images where `mask` `(B,)` is true: left to right, or top to bottom if `vertical`."""
    require_images(images)
    return choose(images.flip(2 if vertical else 3), images, mask)


def shift(images: Tensor, dx: Tensor, dy: Tensor, padding: Padding = "zeros") -> Tensor:
    """Move each image by whole pixels; what comes in from outside is zero, or the image reflected.

    With `dx = pad - left` and `dy = pad - top` this is a crop at `(top, left)` from the image padded by
    `pad`. Offsets on the CPU avoid a wait for the device.

    Args:
        images: `(B, C, H, W)`.
        dx: pixels to the right, whole numbers `(B,)`.
        dy: pixels down, whole numbers `(B,)`.
        padding: "zeros", or "reflect" without repeating the border pixel.

    Raises:
        BadInput: a reflected offset is as large as the image.
    """
    height, width = images.shape[2:]
    if padding == "zeros":
        dx, dy = dx.clamp(-width, width), dy.clamp(-height, height)
    reach_x, reach_y = int(dx.abs().amax()), int(dy.abs().amax())
    require(
        "shift",
        (
            padding == "zeros" or (reach_x < width and reach_y < height),
            f"offsets up to ({reach_x}, {reach_y}); to reflect, expected less than ({width}, {height})",
        ),
    )
    mode = "constant" if padding == "zeros" else "reflect"
    padded = F.pad(images, (reach_x, reach_x, reach_y, reach_y), mode=mode)
    # Every crop as a view (B, C, 2 reach_y + 1, 2 reach_x + 1, H, W); one row copy for each row taken.
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)
    top, left = (
        per_image(reach - d, images, torch.int64).flatten() for reach, d in ((reach_y, dy), (reach_x, dx))
    )
    return like_layout(crops[torch.arange(len(images), device=images.device), :, top, left], images)


def warp(images: Tensor, matrix: Tensor, sampling: Sampling = "nearest", fill: float = 0.0) -> Tensor:
    """Affine warp: output pixel `p` shows the input at `matrix @ (p, 1)`, positions counted from the centre.

    Args:
        images: `(B, C, H, W)`.
        matrix: `(B, 2, 3)`, from output to input position `(x, y)` in pixels, y downwards.
        sampling: "nearest" copies pixels; "bilinear" blends four.
        fill: the value outside the image. (torchvision blends a bilinear border with it twice; here once.)
    """
    require_images(images)
    _, channels, height, width = images.shape
    dtype = coordinate_dtype(images)
    m = matrix.to(images.device, dtype)[..., None, None]
    x = torch.arange(width, device=images.device, dtype=dtype) - (width - 1) / 2
    y = (torch.arange(height, device=images.device, dtype=dtype) - (height - 1) / 2)[:, None]
    source_x = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]
    source_y = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]

    if sampling == "nearest":
        column = (source_x + (width - 1) / 2).round_().long()
        row = (source_y + (height - 1) / 2).round_().long()
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(1)
        taken = images.flatten(2).gather(2, pixel[:, None].expand(-1, channels, -1)).view(images.shape)
        return like_layout(taken.where(inside[:, None], fill), images)

    grid = torch.stack((source_x / (width / 2), source_y / (height / 2)), dim=-1)
    centred = images.to(dtype) - fill if fill else images.to(dtype)
    warped = F.grid_sample(centred, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return like_layout((warped + fill if fill else warped).to(images.dtype), images)


def rotate(images: Tensor, degrees: Tensor, sampling: Sampling = "nearest", fill: float = 0.0) -> Tensor:
    """Turn each image about its centre by `degrees` `(B,)`, counter-clockwise; the size stays."""
    angle = per_image(degrees, images, coordinate_dtype(images)).flatten().deg2rad()
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return warp(images, _matrix(cos, -sin, zero, sin, cos, zero), sampling, fill)


def shear(
    images: Tensor,
    x: Tensor,
    y: Tensor,
    sampling: Sampling = "nearest",
    fill: float = 0.0,
    about: Literal["centre", "corner"] = "centre",
) -> Tensor:
    """Slant each image: rows slide left by `x` pixels for each pixel down, then columns up by `y`.

    Args:
        images: `(B, C, H, W)`.
        x: slope (the tangent of the angle), `(B,)`.
        y: likewise for the columns.
        sampling: see `warp`.
        fill: see `warp`.
        about: what stays in place: the centre, or the top left corner as in AutoAugment's operations.
    """
    x, y = (per_image(slope, images, coordinate_dtype(images)).flatten() for slope in (x, y))
    one, xy = torch.ones_like(x), 1 + x * y
    corner_x, corner_y = (-images.shape[3] / 2, -images.shape[2] / 2) if about == "corner" else (0.0, 0.0)
    fixed_x = corner_x - xy * corner_x - x * corner_y
    fixed_y = corner_y - y * corner_x - one * corner_y
    return warp(images, _matrix(xy, x, fixed_x, y, one, fixed_y), sampling, fill)


def translate(
    images: Tensor, dx: Tensor, dy: Tensor, sampling: Sampling = "nearest", fill: float = 0.0
) -> Tensor:
    """Move each image `dx` pixels to the right and `dy` down, `(B,)` each; fractions need "bilinear"."""
    dx, dy = (per_image(offset, images, coordinate_dtype(images)).flatten() for offset in (dx, dy))
    one, zero = torch.ones_like(dx), torch.zeros_like(dx)
    return warp(images, _matrix(one, zero, -dx, zero, one, -dy), sampling, fill)


def _matrix(*entries: Tensor) -> Tensor:
    """Six numbers for each image, row by row, as `(B, 2, 3)`."""
    return torch.stack(entries, dim=1).view(-1, 2, 3)


@dataclass(frozen=True)
class Flip:
    """Mirror each image with probability `p`."""

    p: float = 0.5
    vertical: bool = False

    def __post_init__(self) -> None:
        require_probability("Flip", self.p)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        return flip(images, coin(len(images), self.p, generator), self.vertical)


@dataclass(frozen=True)
class Shift:
    """Move each image by a whole number of pixels, at most `max_pixels` in x and in y (pad and crop)."""

    max_pixels: int = 4
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        require("Shift", (self.max_pixels >= 0, f"max_pixels is {self.max_pixels}; expected 0 or more"))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        dx = integers(len(images), -self.max_pixels, self.max_pixels, generator)
        dy = integers(len(images), -self.max_pixels, self.max_pixels, generator)
        return shift(images, dx, dy, self.padding)


@dataclass(frozen=True)
class Rotate:
    """Turn each image by an angle drawn evenly from `-max_degrees` to `max_degrees`."""

    max_degrees: float = 15.0
    sampling: Sampling = "bilinear"
    fill: float = 0.0

    def __post_init__(self) -> None:
        require("Rotate", (self.max_degrees >= 0, f"max_degrees is {self.max_degrees}; expected 0 or more"))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        degrees = uniform(len(images), -self.max_degrees, self.max_degrees, generator)
        return rotate(images, degrees, self.sampling, self.fill)


@dataclass(frozen=True)
class Shear:
    """Slant each image about its centre, in x and in y by up to `max_degrees`."""

    max_degrees: float = 10.0
    sampling: Sampling = "bilinear"
    fill: float = 0.0

    def __post_init__(self) -> None:
        ok = 0 <= self.max_degrees < 90
        require("Shear", (ok, f"max_degrees is {self.max_degrees}; expected 0 to less than 90"))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        most = math.radians(self.max_degrees)
        x, y = (uniform(len(images), -most, most, generator).tan() for _ in range(2))
        return shear(images, x, y, self.sampling, self.fill)


@dataclass(frozen=True)
class Translate:
    """Move each image by up to `max_fraction` of its width and height, not only by whole pixels."""

    max_fraction: float = 0.1
    sampling: Sampling = "bilinear"
    fill: float = 0.0

    def __post_init__(self) -> None:
        require(
            "Translate",
            (0 <= self.max_fraction <= 1, f"max_fraction is {self.max_fraction}; expected 0 to 1"),
        )

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        dx, dy = (
            uniform(len(images), -self.max_fraction * side, self.max_fraction * side, generator)
            for side in (images.shape[3], images.shape[2])
        )
        return translate(images, dx, dy, self.sampling, self.fill)
