"""Cut a box out of each image and resize all to one size (Szegedy et al. 2015, arXiv 1409.4842)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vipriors.priors.augment._batch import (
    coordinate_dtype,
    first_valid,
    like_layout,
    per_image,
    positions,
    require,
    require_range,
    shapes,
)


def resized_crop(
    images: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    size: tuple[int, int],
    antialias: bool = True,
) -> Tensor:
    """Each image's box, resized bilinearly; equal to cropping and `interpolate` image by image.

    Args:
        images: `(B, C, H, W)`.
        top: first row of each box, `(B,)`, in pixels.
        left: first column, likewise.
        height: rows in each box, `(B,)`; at least 1, and the box lies within the image.
        width: columns in each box, likewise.
        size: `(h, w)` of the result.
        antialias: where an image shrinks, average over all the pixels that an output pixel covers. Without it
            an output pixel blends the four nearest pixels only. Where images grow there is no difference.

    Returns:
        `(B, C, h, w)`.
    """
    boxes = tuple(per_image(side, images, torch.int64).flatten() for side in (top, left, height, width))
    # torch's own resize is the fastest on a CPU, but takes one box at a time, and antialiasing is wrong in it
    # (2.15) where an image is one pixel wide.
    by_torch = images.device.type == "cpu" and min(size[1], int(width.min())) > 1
    resize = _one_by_one if by_torch else _all_at_once
    result = resize(images.to(coordinate_dtype(images)), boxes, size, antialias)
    return like_layout(result.to(images.dtype), images)


def _one_by_one(images: Tensor, boxes: tuple[Tensor, ...], size: tuple[int, int], antialias: bool) -> Tensor:
    crops = (
        image[None, :, top : top + height, left : left + width]
        for image, (top, left, height, width) in zip(images, torch.stack(boxes, 1).tolist(), strict=True)
    )
    return torch.cat([F.interpolate(crop, size, mode="bilinear", antialias=antialias) for crop in crops])


def _all_at_once(images: Tensor, boxes: tuple[Tensor, ...], size: tuple[int, int], antialias: bool) -> Tensor:
    top, left, height, width = boxes
    rows = _resample(images, 2, top, height, size[0], antialias)
    return _resample(rows, 3, left, width, size[1], antialias)


def _resample(images: Tensor, dim: int, start: Tensor, length: Tensor, size: int, antialias: bool) -> Tensor:
    """Resize the `length` `(B,)` pixels from `start` `(B,)` on, along dimension `dim`, to `size` pixels."""
    start, length = (per_image(value, images).flatten(1) for value in (start, length))
    pixels, weights = _taps(start, length, images.shape[dim], size, antialias)
    along = (-1, 1, size, 1) if dim == 2 else (-1, 1, 1, size)
    shape = (*images.shape[:dim], size, *images.shape[dim + 1 :])
    result = images.new_zeros(shape)
    for pixel, weight in zip(pixels.unbind(-1), weights.unbind(-1), strict=True):
        result.addcmul_(images.gather(dim, pixel.view(along).expand(shape)), weight.view(along))
    return result


def _taps(start: Tensor, length: Tensor, pixels: int, size: int, antialias: bool) -> tuple[Tensor, Tensor]:
    """Which pixels make up each output pixel, and how much each counts, `(B, size, taps)` both.

    The weights are a triangle about the output pixel's centre, one pixel wide to each side (antialiased: one
    output pixel, if that is larger), cut off at the box and rescaled to sum to 1.
    """
    scale = (length / size)[..., None]
    reach = scale.clamp(min=1) if antialias else torch.ones_like(scale)
    taps = math.ceil(2 * max(1, pixels / size)) if antialias else 2
    centre = scale * (torch.arange(size, device=scale.device, dtype=scale.dtype) + 0.5)[:, None]
    pixel = (centre - reach + 0.5).floor() + torch.arange(taps, device=scale.device)
    weight = (1 - (pixel + 0.5 - centre).abs() / reach).clamp_(min=0)
    weight = weight * ((pixel >= 0) & (pixel < length[..., None]))
    return (start[..., None] + pixel).long().clamp_(0, pixels - 1), weight / weight.sum(-1, keepdim=True)


@dataclass(frozen=True)
class ResizedCrop:
    """A random box of each image (share of the area and aspect ratio drawn), resized to `size`.

    As torchvision's: of ten boxes the first that fits, else a central one.
    """

    size: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    """Least and most share of the image's area."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Least and most ratio of width to height, drawn evenly on a log scale."""
    antialias: bool = True

    def __post_init__(self) -> None:
        require("ResizedCrop", (min(self._size()) >= 1, f"size is {self.size}; expected at least 1 pixel"))
        require_range("ResizedCrop", "scale", self.scale, 0, 1)
        require_range("ResizedCrop", "ratio", self.ratio, 1e-3, 1e3)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to `(B, C, h, w)`."""
        count, _, rows, columns = images.shape
        top, left, height, width = self.boxes(count, rows, columns, generator)
        return resized_crop(images, top, left, height, width, self._size(), self.antialias)

    def boxes(self, count: int, rows: int, columns: int, generator: Generator) -> tuple[Tensor, ...]:
        """Draw `(top, left, height, width)`, `(count,)` each, for images of `rows` by `columns` pixels."""
        width, height = shapes(count, rows * columns, self.scale, self.ratio, generator)
        fits = (width > 0) & (width <= columns) & (height > 0) & (height <= rows)
        width, height = first_valid(fits, width, height)
        found = fits.any(1)
        central_width = min(columns, round(rows * self.ratio[1]))
        central_height = min(rows, round(columns / self.ratio[0]))
        width, height = width.where(found, central_width), height.where(found, central_height)
        top = positions(rows - height, generator).where(found, (rows - central_height) // 2)
        left = positions(columns - width, generator).where(found, (columns - central_width) // 2)
        return top, left, height, width

    def _size(self) -> tuple[int, int]:
        return (self.size, self.size) if isinstance(self.size, int) else self.size
