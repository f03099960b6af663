"""Images and their label maps changed together: what moves a pixel moves its label.

Each is a small frozen dataclass, called with float images `(B, C, H, W)` in [0, 1], maps `(B, H, W)` of whole
numbers from 0 to 255 and an explicit `torch.Generator`; it gives both back. The same seed gives the same
pair. What comes in from outside of an image is black and labelled `IGNORED`.
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
        maps: `(B, H, W)`.
        matrix: `(B, 2, 3)`, from output to input position; see `geometric.warp`.
        bends: Pixels, in x and y, by which the input lies further off at points of a grid that spans the
            output, `(B, 2, h, w)`; smooth between them.
    """
    require_maps(maps, images)
    height, width = images.shape[2:]
    dtype = coordinate_dtype(images)
    x = torch.arange(width, device=images.device, dtype=dtype) - (width - 1) / 2
    y = (torch.arange(height, device=images.device, dtype=dtype) - (height - 1) / 2)[:, None]
    m = matrix.to(images.device, dtype)[..., None, None]
    source = m[:, :, 0] * x + m[:, :, 1] * y + m[:, :, 2]
    if bends is not None:
        bends = bends.to(images.device, dtype)
        source = source + F.interpolate(bends, (height, width), mode="bicubic", align_corners=True)
    half = torch.tensor((width / 2, height / 2), device=images.device, dtype=dtype)
    grid = source.movedim(1, -1) / half
    shown = F.grid_sample(images.to(dtype), grid, "bilinear", "zeros", align_corners=False)
    # Outside is zero, so that this must be what `IGNORED` becomes.
    labels = F.grid_sample(
        (maps[:, None] - float(IGNORED)).to(dtype), grid, "nearest", "zeros", align_corners=False
    )
    labels = (labels[:, 0] + IGNORED).round().to(maps.dtype)
    return like_layout(shown.to(images.dtype), images), labels


def crop_both(
    images: Tensor, maps: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Cut a window out of each image and its map.

    Args:
        images: `(B, C, H, W)`.
        maps: `(B, H, W)`.
        top: First row of each window, `(B,)`.
        left: First column, likewise.
        size: `(h, w)` of the window, which lies within the image.
    """
    require_maps(maps, images)
    height, width = size
    corners = list(zip(top.tolist(), left.tolist(), strict=True))
    windows = [(slice(row, row + height), slice(column, column + width)) for row, column in corners]
    cut = torch.stack(
        [image[:, rows, columns] for image, (rows, columns) in zip(images, windows, strict=True)]
    )
    labels = torch.stack([map_[window] for map_, window in zip(maps, windows, strict=True)])
    return like_layout(cut, images), labels


def paste(images: Tensor, maps: Tensor, partner: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Show in each image, where `mask` is true, its partner's pixels; their labels come with them.

    Args:
        images: `(B, C, H, W)`.
        maps: `(B, H, W)`.
        partner: Index of the image that is pasted into each, `(B,)`.
        mask: `(B, H, W)`.
    """
    require_maps(maps, images)
    partner = partner.to(images.device)
    shown = torch.where(mask[:, None], images[partner], images)
    return like_layout(shown, images), torch.where(mask, maps[partner], maps)


def require_maps(maps: Tensor, images: Tensor) -> None:
    """Raise `BadInput` unless `maps` are whole numbers `(B, H, W)` as large as the images."""
    require_images(images)
    wanted = (len(images), *images.shape[2:])
    found = f"found {maps.dtype} {tuple(maps.shape)}"
    ok = maps.shape == wanted and not maps.is_floating_point()
    require("maps", (ok, f"{found}; expected whole numbers {wanted}"))


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
        box = box_mask(top - height // 2, left - width // 2, height, width, images)
        return paste(images, maps, partner, box[:, 0])


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
