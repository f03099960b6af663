"""What each location of a one-stage detector is to find, what that costs, and what it says.

Source: Tian, Shen, Chen, He, "FCOS: fully convolutional one-stage object detection", ICCV 2019, with the
centre sampling, GIoU loss and centre-ness beside the boxes of its journal version (arXiv 2006.09214).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from vipriors.methods.detection._boxes import best
from vipriors.methods.detection._network import MOST_FOUND, Found
from vipriors.priors.augment.boxes import IGNORED, NO_OBJECT, Annotated, areas, clip_boxes

MOST_CANDIDATES = 1000
"""Pairs of a location and a class that are looked at in an image, the best ones."""


@dataclass(frozen=True)
class Output:
    """What the network says of L locations, level by level, each row by row."""

    logits: Tensor
    """`(B, L, K)` of the classes."""
    sides: Tensor
    """`(B, L, 4)`: pixels from the location to the box's left, top, right and bottom, above 0."""
    centre: Tensor
    """`(B, L)`, logits of the centre-ness."""
    points: Tensor
    """`(L, 2)`: x and y in pixels."""
    strides: Tensor
    """`(L,)` of the level that a location is of."""

    @property
    def boxes(self) -> Tensor:
        """`(B, L, 4)`: left, top, right, bottom in pixels."""
        return torch.cat((self.points - self.sides[..., :2], self.points + self.sides[..., 2:]), dim=-1)


def locations(rows: int, columns: int, stride: int, device: torch.device) -> Tensor:
    """Where the features of a level stand, `(rows * columns, 2)`: x and y of the middles of its cells."""
    y, x = ((torch.arange(n, device=device) + 0.5) * stride for n in (rows, columns))
    return torch.stack((x.repeat(rows), y.repeat_interleave(columns)), dim=1)


def assign(points: Tensor, strides: Tensor, objects: Annotated, reach: float, radius: float) -> Tensor:
    """Which object each location is to find: its place, or `NO_OBJECT`, or `IGNORED`, `(B, L)`.

    A location finds an object if it lies in its box, nearer to the middle than `radius` strides, and the
    furthest side of the box is in the range of its level: from `reach` / 2 to `reach` strides, without lower
    bound at the finest level and without upper bound at the coarsest. Of several objects, the smallest.

    Args:
        points: `(L, 2)`.
        strides: `(L,)`.
        objects: Of B images.
        reach: In strides.
        radius: In strides.
    """
    boxes = objects.boxes.unsqueeze(1)  # (B, 1, M, 4)
    at, stride = points[:, None], strides[:, None]  # (L, 1, 2), (L, 1)
    sides = torch.cat((at - boxes[..., :2], boxes[..., 2:] - at), dim=-1)  # (B, L, M, 4)
    inside = sides.amin(-1) > 0
    off_centre = (at - (boxes[..., :2] + boxes[..., 2:]) / 2).abs().amax(-1)
    furthest = sides.amax(-1)
    low = torch.where(stride == strides.min(), 0.0, stride * reach / 2)
    high = torch.where(stride == strides.max(), math.inf, stride * reach)
    is_object = (objects.classes >= 0).unsqueeze(1)
    candidate = is_object & inside & (off_centre < radius * stride) & (furthest > low) & (furthest <= high)
    area, place = areas(boxes).where(candidate, math.inf).min(-1)
    ignored = (inside & (objects.classes == IGNORED).unsqueeze(1)).any(-1)
    return place.where(area < math.inf, torch.where(ignored, IGNORED, NO_OBJECT))


def centreness(sides: Tensor) -> Tensor:
    """How central locations at these distances from the sides `(…, 4)` are: 1 in the middle, 0 at a side."""
    across, down = sides[..., 0::2], sides[..., 1::2]
    ratio = across.amin(-1) / across.amax(-1) * down.amin(-1) / down.amax(-1)
    return ratio.clamp(min=0).sqrt()


def detection_loss(output: Output, objects: Annotated, reach: float, radius: float) -> Tensor:
    """Focal loss of the classes, GIoU loss of the boxes weighted by centre-ness, cross-entropy of that.

    Args:
        output: Of B images.
        objects: Of the same images.
        reach: As `assign` takes it.
        radius: As `assign` takes it.
    """
    found = assign(output.points, output.strides, objects, reach, radius)
    image, location = (found >= 0).nonzero(as_tuple=True)
    place = found[image, location]
    count = max(1, len(place))
    wanted = torch.zeros_like(output.logits)
    wanted[image, location, objects.classes[image, place]] = 1
    counted = found != IGNORED
    classes = sigmoid_focal_loss(output.logits[counted], wanted[counted], reduction="sum") / count

    boxes, points = objects.boxes[image, place], output.points[location]
    centre = centreness(torch.cat((points - boxes[:, :2], boxes[:, 2:] - points), dim=1))
    overlap = generalized_box_iou_loss(output.boxes[image, location], boxes)
    regression = (overlap * centre).sum() / centre.sum().clamp(min=1e-6)
    near = functional.binary_cross_entropy_with_logits(
        output.centre[image, location], centre, reduction="sum"
    )
    loss: Tensor = classes + regression + near / count
    return loss


def decode(
    output: Output, size: tuple[int, int], score_threshold: float, overlap: float, most: int = MOST_FOUND
) -> list[Found]:
    """The objects that the network finds in each of B images.

    A score is the product of the probabilities of the class and of the centre-ness.

    Args:
        output: Of B images.
        size: Height and width of the images in pixels.
        score_threshold: Lowest score.
        overlap: Intersection over union from which on the worse of two boxes of a class is left out.
        most: Objects an image at most.
    """
    scores = output.logits.sigmoid() * output.centre.sigmoid().unsqueeze(-1)
    found = []
    for score, boxes in zip(scores, clip_boxes(output.boxes, size), strict=True):
        candidates = score.flatten()
        top = candidates.argsort(descending=True, stable=True)[:MOST_CANDIDATES]
        top = top[candidates[top] >= score_threshold]
        location, class_ = top // score.shape[1], top % score.shape[1]
        kept = best(boxes[location], candidates[top], class_, overlap, most)
        found.append(Found(class_[kept], boxes[location][kept], candidates[top][kept]))
    return found
