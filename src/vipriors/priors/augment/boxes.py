"""Images, and the boxes and masks of the objects in them, moved together.

An augmentation here maps images `(B, C, H, W)`, their `Annotated` objects and a generator to both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vipriors.priors.augment._batch import coin, integers, require, require_probability, uniform
from vipriors.priors.augment.geometric import warp

NO_OBJECT = -1
"""In place of a class: nothing, to fill up the rows of images with fewer objects."""
IGNORED = -2
"""In place of a class: a region that is neither to be found nor background."""


@dataclass(frozen=True)
class Annotated:
    """The objects of a batch of images, in M places each."""

    classes: Tensor
    """`(B, M)` int64 from 0 up, or `NO_OBJECT`, or `IGNORED`."""
    boxes: Tensor
    """`(B, M, 4)` float32: left, top, right, bottom in pixels, pixel x reaching from x to x + 1."""
    masks: Tensor | None = None
    """`(B, M, H, W)` bool, of the parts that are seen."""


def boxes_of_masks(masks: Tensor) -> Tensor:
    """The tight boxes `(…, 4)` of masks `(…, H, W)`; all zeros where a mask is empty."""
    edges = []
    for occupied in (masks.any(-2), masks.any(-1)):  # columns, rows
        places = torch.arange(occupied.shape[-1], device=masks.device)
        first = places.where(occupied, occupied.shape[-1]).amin(-1)
        edges.append((first, (places + 1).where(occupied, 0).amax(-1)))
    (left, right), (top, bottom) = edges
    boxes = torch.stack((left, top, right, bottom), dim=-1).float()
    return boxes * (right > 0).unsqueeze(-1)


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes `(…, 4)` without what lies outside an image of a height and width."""
    height, width = size
    return torch.stack((boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)), -1).flatten(-2)


def areas(boxes: Tensor) -> Tensor:
    """Areas `(…,)` of boxes `(…, 4)`."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def move_boxes(boxes: Tensor, matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Where boxes come to lie when images are warped; nothing is clipped.

    A turned box is the tight box of the turned ellipse that fills the box (Kalra et al., ICCV 2021): the
    tight box of the turned corners would be far larger than the object. Without a turn it is exact.

    Args:
        boxes: `(B, M, 4)`.
        matrix: `(B, 2, 3)` as `warp` takes it: from output to input, from the centre.
        size: Height and width of the images.
    """
    centre = boxes.new_tensor((size[1] / 2, size[0] / 2))
    linear = torch.linalg.inv(matrix[:, :, :2]).unsqueeze(1)  # (B, 1, 2, 2), from input to output
    low, high = boxes[..., :2], boxes[..., 2:]
    middle = (low + high) / 2 - centre - matrix[:, None, :, 2]
    middle = (linear * middle.unsqueeze(-2)).sum(-1) + centre
    half = (linear * ((high - low) / 2).unsqueeze(-2)).square().sum(-1).sqrt()
    return torch.cat((middle - half, middle + half), dim=-1)


@dataclass(frozen=True)
class MoveObjects:
    """Mirror, shift, turn and scale each image with its objects, all in one resampling.

    What comes in from outside has the mean colour of the image. An object of which less than `least_seen` is
    left in the picture is `IGNORED` from then on.
    """

    flip: float = 0.0
    """Probability of mirroring left to right."""
    max_pixels: int = 0
    """Shift in x and in y, by whole pixels."""
    max_degrees: float = 0.0
    max_scale: float = 0.0
    """Growth or shrinkage by up to this share, even in the logarithm."""
    least_seen: float = 0.3

    def __post_init__(self) -> None:
        require_probability("MoveObjects", self.flip)
        require(
            "MoveObjects",
            (self.max_pixels >= 0, f"max_pixels is {self.max_pixels}; expected 0 or more"),
            (self.max_degrees >= 0, f"max_degrees is {self.max_degrees}; expected 0 or more"),
            (0 <= self.max_scale < 1, f"max_scale is {self.max_scale}; expected 0 to less than 1"),
            (0 <= self.least_seen <= 1, f"least_seen is {self.least_seen}; expected 0 to 1"),
        )

    def __call__(self, images: Tensor, objects: Annotated, generator: Generator) -> tuple[Tensor, Annotated]:
        """Images `(B, C, H, W)` and their objects to the same shapes."""
        matrix = self.draw(len(images), generator).to(images.device)
        mean = images.mean((2, 3), keepdim=True)
        moved = warp(images - mean, matrix, "bilinear") + mean
        return moved, move_objects(objects, matrix, (images.shape[2], images.shape[3]), self.least_seen)

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Matrices `(count, 2, 3)` as `warp` takes them."""
        angle = uniform(count, -self.max_degrees, self.max_degrees, generator).deg2rad()
        most = math.log(1 + self.max_scale)
        shrink = uniform(count, -most, most, generator).exp()
        mirror = 1 - 2 * coin(count, self.flip, generator).float()
        cos, sin = angle.cos() * shrink, angle.sin() * shrink
        linear = torch.stack((mirror * cos, -mirror * sin, sin, cos), dim=1).view(-1, 2, 2)
        pixels = integers(2 * count, -self.max_pixels, self.max_pixels, generator).view(-1, 2, 1).float()
        return torch.cat((linear, -linear @ pixels), dim=2)


def move_objects(objects: Annotated, matrix: Tensor, size: tuple[int, int], least_seen: float) -> Annotated:
    """The objects of images that are warped: moved, clipped, and `IGNORED` where too little is left.

    Args:
        objects: Of B images.
        matrix: `(B, 2, 3)` as `warp` takes it.
        size: Height and width of the images.
        least_seen: Share of the object's box, or of its mask, that must be left.
    """
    boxes = move_boxes(objects.boxes, matrix, size)
    clipped = clip_boxes(boxes, size)
    seen = areas(clipped) / areas(boxes).clamp(min=1e-6)
    masks = None
    if objects.masks is not None:
        masks = warp(objects.masks.float(), matrix, "nearest") > 0.5
        growth = 1 / torch.linalg.det(matrix[:, :, :2]).abs().unsqueeze(1)
        before = objects.masks.sum((2, 3)) * growth
        seen, clipped = masks.sum((2, 3)) / before.clamp(min=1), boxes_of_masks(masks)
    return Annotated(classes_left(objects.classes, seen, areas(clipped), least_seen), clipped, masks)


def classes_left(classes: Tensor, seen: Tensor, area: Tensor, least_seen: float) -> Tensor:
    """Classes `(B, M)`, now `IGNORED` where too small a share is seen and `NO_OBJECT` where nothing is."""
    faint = (classes >= 0) & (seen < least_seen)
    return classes.where(~faint, IGNORED).where(area > 0, NO_OBJECT)


@dataclass(frozen=True)
class Mosaic:
    """Puts images together of the quarters of four, which meet at a point anywhere in the middle half.

    Objects are cut with the pictures; nothing is scaled. Source of the idea: Bochkovskiy et al.,
    "YOLOv4", 2020, which scales; CutMix (Yun et al. 2019) pastes as here.
    """

    p: float = 0.5
    """Probability that an image is put together."""
    least_seen: float = 0.3

    def __post_init__(self) -> None:
        require_probability("Mosaic", self.p)
        require("Mosaic", (0 <= self.least_seen <= 1, f"least_seen is {self.least_seen}; expected 0 to 1"))

    def __call__(self, images: Tensor, objects: Annotated, generator: Generator) -> tuple[Tensor, Annotated]:
        """Images `(B, C, H, W)` to the same shape; their objects to four times as many places."""
        count, _, height, width = images.shape
        mixed = coin(count, self.p, generator)
        draw = uniform(2 * count, 0.25, 0.75, generator).view(2, count)
        partners = torch.stack([torch.randperm(count, generator=generator) for _ in range(3)], dim=1)
        whole = torch.arange(count).unsqueeze(1)
        column = (draw[0] * width).round().where(mixed, width)
        row = (draw[1] * height).round().where(mixed, height)
        sources = torch.cat((whole, partners.where(mixed[:, None], whole)), dim=1)
        return mosaic(images, objects, sources, column, row, self.least_seen)


def mosaic(
    images: Tensor, objects: Annotated, sources: Tensor, column: Tensor, row: Tensor, least_seen: float
) -> tuple[Tensor, Annotated]:
    """Images put together of the upper left, upper right, lower left and lower right parts of others.

    Args:
        images: `(B, C, H, W)`.
        objects: Theirs.
        sources: `(B, 4)`, which image each part is of.
        column: `(B,)`, the first column of the right parts; the width for no right parts.
        row: `(B,)`, the first row of the lower parts.
        least_seen: Share of the object's box, or of its mask, that must be left.
    """
    height, width = images.shape[2:]
    column, row, sources = (value.to(images.device) for value in (column, row, sources))
    zero, right, bottom = (
        torch.zeros_like(column),
        torch.full_like(column, width),
        torch.full_like(row, height),
    )
    parts = torch.stack(
        [
            torch.stack(part, dim=1)
            for part in (
                (zero, zero, column, row),
                (column, zero, right, row),
                (zero, row, column, bottom),
                (column, row, right, bottom),
            )
        ],
        dim=1,
    ).unsqueeze(2)  # (B, 4, 1, 4), left, top, right, bottom
    x, y = torch.arange(width, device=images.device), torch.arange(height, device=images.device)
    across = (x >= parts[..., 0]) & (x < parts[..., 2])
    down = (y >= parts[..., 1]) & (y < parts[..., 3])
    inside = down.unsqueeze(-1) & across.unsqueeze(-2)  # (B, 4, H, W)
    mixed = images.clone()
    for part in range(4):
        mixed = torch.where(inside[:, part].unsqueeze(1), images[sources[:, part]], mixed)

    boxes = objects.boxes[sources]  # (B, 4, M, 4)
    clipped = torch.cat(
        (boxes[..., :2].maximum(parts[..., :2]), boxes[..., 2:].minimum(parts[..., 2:])), dim=-1
    )
    clipped = torch.cat((clipped[..., :2], clipped[..., 2:].maximum(clipped[..., :2])), dim=-1)
    seen = areas(clipped) / areas(boxes).clamp(min=1e-6)
    masks = None
    if objects.masks is not None:
        whole = objects.masks[sources]
        cut = whole & inside.unsqueeze(2)
        seen, clipped = cut.sum((3, 4)) / whole.sum((3, 4)).clamp(min=1), boxes_of_masks(cut)
        masks = cut.flatten(1, 2)
    classes = classes_left(objects.classes[sources], seen, areas(clipped), least_seen)
    return mixed, Annotated(classes.flatten(1), clipped.flatten(1, 2), masks)
