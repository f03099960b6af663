"""Images and their label maps changed together: what moves a pixel moves its label.

Each is a small frozen dataclass, called with float images `(B, C, H, W)` in [0, 1], maps `(B, H, W)` of whole
numbers from 0 to 255 and an explicit `torch.Generator`; it gives both back. The same seed gives the same
pair. What comes in from outside of an image is black and labelled `IGNORED`. Maps may be finer than images:
`(B, sH, sW)` for a whole number s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vipriors.priors.augment._batch import (
    box_mask,
    coin,
    coordinate_dtype,
    integers,
    like_layout,
    positions,
    require,
    require_images,
    require_probability,
    uniform,
)
from vipriors.priors.augment.compose import Augmentation
from vipriors.priors.augment.mix import beta

IGNORED = 255
"""The label of a pixel that nothing is learned from."""

DenseAugmentation = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]
"""Maps images `(B, C, H, W)` in [0, 1], their maps `(B, H, W)` and a generator to images and maps."""


def warp_both(
    images: Tensor, maps: Tensor, matrix: Tensor, bends: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Affine warp of both, bent or not; images blend four pixels, maps take the nearest.

    Args:
        images: `(B, C, H, W)`.
        maps: `(B, sH, sW)`.
        matrix: `(B, 2, 3)`, from output to input position; see `geometric.warp`.
        bends: Pixels, in x and y, by which the input lies further off at points of a grid that spans the
            output, `(B, 2, h, w)`; smooth between them.
    """
    scale = require_maps(maps, images)
    height, width = images.shape[2:]
    dtype = coordinate_dtype(images)
    m = matrix.to(images.device, dtype)[..., None, None]
    if bends is not None:
        bends = bends.to(images.device, dtype)
        bends = F.interpolate(bends, (height, width), mode="bicubic", align_corners=True)
    half = torch.tensor((width / 2, height / 2), device=images.device, dtype=dtype)

    def grid(scale: int) -> Tensor:
        """Where the pixels of an output so many times as fine lie, as `grid_sample` takes it."""
        x, y = (
            (torch.arange(scale * side, device=images.device, dtype=dtype) + 0.5) / scale - side / 2
            for side in (width, height)
        )
        source = m[:, :, 0] * x + m[:, :, 1] * y[:, None] + m[:, :, 2]
        if bends is not None:
            size = (scale * height, scale * width)
            source = source + F.interpolate(bends, size, mode="bilinear", align_corners=False)
        return source.movedim(1, -1) / half

    seen = grid(1)
    shown = F.grid_sample(images.to(dtype), seen, "bilinear", "zeros", align_corners=False)
    seen = seen if scale == 1 else grid(scale)
    # Outside is zero, so that this must be what `IGNORED` becomes.
    labels = F.grid_sample(
        (maps[:, None] - float(IGNORED)).to(dtype), seen, "nearest", "zeros", align_corners=False
    )
    labels = (labels[:, 0] + IGNORED).round().to(maps.dtype)
    return like_layout(shown.to(images.dtype), images), labels


def crop_both(
    images: Tensor, maps: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Cut a window out of each image and its map.

    Args:
        images: `(B, C, H, W)`.
        maps: `(B, sH, sW)`.
        top: First row of each window, `(B,)`.
        left: First column, likewise.
        size: `(h, w)` of the window, which lies within the image.
    """
    scale = require_maps(maps, images)
    corners = list(zip(top.tolist(), left.tolist(), strict=True))

    def window(row: int, column: int, scale: int) -> tuple[slice, slice]:
        starts = zip((row, column), size, strict=True)
        rows, columns = (slice(scale * start, scale * (start + side)) for start, side in starts)
        return rows, columns

    cut = [image[:, *window(*corner, 1)] for image, corner in zip(images, corners, strict=True)]
    labels = [map_[window(*corner, scale)] for map_, corner in zip(maps, corners, strict=True)]
    return like_layout(torch.stack(cut), images), torch.stack(labels)


def paste(images: Tensor, maps: Tensor, partner: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Show in each image, where `mask` is true, its partner's pixels; their labels come with them.

    Args:
        images: `(B, C, H, W)`.
        maps: `(B, sH, sW)`.
        partner: Index of the image that is pasted into each, `(B,)`.
        mask: `(B, sH, sW)`; of those of a pixel of the image the one at its middle, or next to it, counts.
    """
    scale = require_maps(maps, images)
    partner = partner.to(images.device)
    middle = slice(scale // 2, None, scale)
    shown = torch.where(mask[:, None, middle, middle], images[partner], images)
    return like_layout(shown, images), torch.where(mask, maps[partner], maps)


def require_maps(maps: Tensor, images: Tensor) -> int:
    """How many times as fine as the images maps are; `BadInput` unless whole numbers `(B, sH, sW)`."""
    require_images(images)
    count, _, height, width = images.shape
    scale = max(1, maps.shape[1] // height) if maps.ndim == 3 else 1
    found = f"found {maps.dtype} {tuple(maps.shape)}"
    ok = maps.shape == (count, scale * height, scale * width) and not maps.is_floating_point()
    expected = f"expected whole numbers {(count, height, width)}, or a multiple in both sides"
    require("maps", (ok, f"{found}; {expected}"))
    return scale


@dataclass(frozen=True)
class DenseCompose:
    """Apply `steps` in order."""

    steps: Sequence[DenseAugmentation]

    def __call__(self, images: Tensor, maps: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)` and maps `(B, H, W)` to what the last step gives."""
        for step in self.steps:
            images, maps = step(images, maps, generator)
        return images, maps


@dataclass(frozen=True)
class ImagesOnly:
    """Apply `step`, which moves no pixel, to the images; the maps stay as they are."""

    step: Augmentation

    def __call__(self, images: Tensor, maps: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)` and maps `(B, H, W)` to the same shapes."""
        return self.step(images, generator), maps


@dataclass(frozen=True)
class DenseMove:
    """Mirror, move, turn, scale and bend each image in one resampling."""

    flip: bool = False
    """Mirror half of the images left to right."""
    max_shift: float = 0.0
    """Pixels, in x and in y."""
    max_degrees: float = 0.0
    """Either way."""
    max_scale: float = 0.0
    """Growth, or shrinking by the same factor."""
    bend: float = 0.0
    """Standard deviation in pixels of the moves of 6 x 6 points (elastic, as Ronneberger et al. 2015)."""

    def __post_init__(self) -> None:
        require(
            "DenseMove",
            (self.max_shift >= 0, f"max_shift is {self.max_shift}; expected 0 or more"),
            (self.max_degrees >= 0, f"max_degrees is {self.max_degrees}; expected 0 or more"),
            (0 <= self.max_scale < 1, f"max_scale is {self.max_scale}; expected 0 to less than 1"),
            (self.bend >= 0, f"bend is {self.bend}; expected 0 or more"),
        )

    def __call__(self, images: Tensor, maps: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)` and maps `(B, H, W)` to the same shapes."""
        count = len(images)
        matrix = self.matrix(count, generator)
        bends = self.bend * torch.randn(count, 2, 6, 6, generator=generator) if self.bend else None
        return warp_both(images, maps, matrix, bends)

    def matrix(self, count: int, generator: Generator) -> Tensor:
        """Draw what `warp_both` takes, `(count, 2, 3)`."""
        mirror = 1 - 2 * (coin(count, 0.5, generator) & self.flip).float()
        angle = uniform(count, -self.max_degrees, self.max_degrees, generator).deg2rad()
        most = torch.tensor(1 + self.max_scale).log().item()
        shrink = uniform(count, -most, most, generator).exp()
        x, y = (uniform(count, -self.max_shift, self.max_shift, generator) for _ in range(2))
        cos, sin = angle.cos() * shrink, angle.sin() * shrink
        return torch.stack((cos * mirror, -sin, x, sin * mirror, cos, y), dim=1).view(-1, 2, 3)


@dataclass(frozen=True)
class DenseCrop:
    """Cut a window at an even random place out of each image."""

    size: tuple[int, int]
    """`(h, w)` in pixels."""

    def __call__(self, images: Tensor, maps: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)` and maps `(B, H, W)` to `(B, C, h, w)` and `(B, h, w)`."""
        require_images(images)
        room = [side - wanted for side, wanted in zip(images.shape[2:], self.size, strict=True)]
        fits = min(room) >= 0 and min(self.size) >= 1
        found = f"size is {self.size} for images {tuple(images.shape[2:])}"
        require("DenseCrop", (fits, f"{found}; expected a window within them"))
        top, left = (positions(torch.full((len(images),), one), generator) for one in room)
        return crop_both(images, maps, top, left, self.size)


@dataclass(frozen=True)
class DenseCutMix:
    """Paste a box of another image of the batch, with its labels, into some images.

    As CutMix (Yun et al. 2019) but for the labels, which need not be mixed (French et al. 2020, BMVC): the
    box has the image's aspect and a share of its area drawn evenly.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        require_probability("DenseCutMix", self.p)

    def __call__(self, images: Tensor, maps: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)` and maps `(B, H, W)` to the same shapes."""
        count, _, rows, columns = images.shape
        partner = torch.randperm(count, generator=generator)
        side = beta(count, 1.0, generator).sqrt()
        height, width = (side * rows).long(), (side * columns).long()
        height = height * coin(count, self.p, generator)
        top, left = integers(count, 0, rows - 1, generator), integers(count, 0, columns - 1, generator)
        box = box_mask(top - height // 2, left - width // 2, height, width, images)[:, 0]
        scale = require_maps(maps, images)
        box = box.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
        return paste(images, maps, partner, box)


@dataclass(frozen=True)
class ClassMix:
    """Paste the pixels of some classes of another image of the batch, with their labels, into some images.

    Each class is taken with probability a half (Olsson et al. 2021, arXiv 2007.07936; there exactly half of
    those that occur). Nothing `IGNORED` is pasted.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        require_probability("ClassMix", self.p)

    def __call__(self, images: Tensor, maps: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)` and maps `(B, H, W)` to the same shapes."""
        count = len(images)
        partner = torch.randperm(count, generator=generator)
        taken = torch.rand(count, 256, generator=generator) < 0.5
        taken &= coin(count, self.p, generator)[:, None]
        taken[:, IGNORED] = False
        other = maps[partner.to(maps.device)].long()
        mask = taken.to(maps.device).gather(1, other.flatten(1)).view(other.shape)
        return paste(images, maps, partner, mask)
