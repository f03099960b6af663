"""Blank out a box of each image: cutout and random erasing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from vipriors.priors.augment._batch import (
    box_mask,
    first_valid,
    integers,
    positions,
    require,
    require_probability,
    require_range,
    shapes,
    sometimes,
)


def erase_box(
    images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor, fill: float | Tensor = 0.0
) -> Tensor:
    """Replace each image's box by `fill`.

    Args:
        images: `(B, C, H, W)`.
        top: first row of each box, `(B,)`, in pixels; a box may reach beyond the border.
        left: first column, likewise.
        height: rows in each box, `(B,)`.
        width: columns in each box, `(B,)`.
        fill: one value, or other images to show there, broadcastable to `(B, C, H, W)`.
    """
    filler = torch.as_tensor(fill, dtype=images.dtype, device=images.device)
    return torch.where(box_mask(top, left, height, width, images), filler, images)


def cutout(images: Tensor, row: Tensor, column: Tensor, size: int, fill: float = 0.0) -> Tensor:
    """Replace a square about `(row, column)` by `fill`, cut off at the border.

    The square covers rows `row - size // 2` to `row - size // 2 + size - 1`. (The published code makes an odd
    size one pixel smaller.)

    Args:
        images: `(B, C, H, W)`.
        row: centre of each square, `(B,)`.
        column: likewise.
        size: side of the square in pixels.
        fill: the value put there.
    """
    side = torch.full_like(row, size)
    return erase_box(images, row - size // 2, column - size // 2, side, side, fill)


@dataclass(frozen=True)
class Cutout:
    """A square at an even random centre (DeVries & Taylor 2017, arXiv 1708.04552)."""

    size: int = 16
    fill: float = 0.0

    def __post_init__(self) -> None:
        require("Cutout", (self.size >= 0, f"size is {self.size}; expected 0 or more pixels"))

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        row = integers(len(images), 0, images.shape[2] - 1, generator)
        column = integers(len(images), 0, images.shape[3] - 1, generator)
        return cutout(images, row, column, self.size, self.fill)


@dataclass(frozen=True)
class RandomErasing:
    """A box within the image, of random area and aspect ratio (Zhong et al. 2020, arXiv 1708.04896).

    As torchvision's: of ten boxes the first that fits, else none.
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    """Least and most share of the image's area."""
    ratio: tuple[float, float] = (0.3, 3.3)
    """Least and most ratio of height to width, drawn evenly on a log scale."""
    fill: float | Literal["noise"] = 0.0
    """One value, or noise drawn evenly from 0 to 1 for each pixel and channel."""

    def __post_init__(self) -> None:
        require_probability("RandomErasing", self.p)
        require_range("RandomErasing", "scale", self.scale, 0, 1)
        require_range("RandomErasing", "ratio", self.ratio, 1e-3, 1e3)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images `(B, C, H, W)` to the same shape."""
        count, _, rows, columns = images.shape
        top, left, height, width = self.boxes(count, rows, columns, generator)
        fill = (
            torch.rand(images.shape, generator=generator, device=generator.device)
            if self.fill == "noise"
            else self.fill
        )
        return sometimes(erase_box(images, top, left, height, width, fill), images, self.p, generator)

    def boxes(self, count: int, rows: int, columns: int, generator: Generator) -> tuple[Tensor, ...]:
        """Draw `(top, left, height, width)`, `(count,)` each; height 0 where no box fits."""
        height, width = shapes(count, rows * columns, self.scale, self.ratio, generator)
        fits = (height < rows) & (width < columns)
        height, width = first_valid(fits, height, width)
        height, width = (side.where(fits.any(1), 0) for side in (height, width))
        return positions(rows - height, generator), positions(columns - width, generator), height, width
