"""Second stage of two: which class is in a proposed region, if any, and what its box is.

Source: Girshick, "Fast R-CNN", ICCV 2015; He, Gkioxari, Dollár, Girshick, "Mask R-CNN", ICCV 2017 (RoIAlign).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from vipriors.methods.detection._boxes import best, decode, encode
from vipriors.methods.detection._network import MOST_FOUND, Found
from vipriors.methods.detection._proposals import BETA, draw, level_of, match
from vipriors.priors.augment.boxes import NO_OBJECT, Annotated, clip_boxes

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""What deltas are multiplied by, so that their spread is near 1."""


@dataclass(frozen=True)
class Regions:
    """R regions that are learned from, of all images of a batch."""

    images: Tensor
    """`(R,)`, which image each is of."""
    boxes: Tensor
    """`(R, 4)`."""
    places: Tensor
    """`(R,)`, the object's place in its image, or `NO_OBJECT`."""


def pool(
    features: Sequence[Tensor], strides: Sequence[int], images: Tensor, boxes: Tensor, side: int
) -> Tensor:
    """Features of R regions, each resampled to `side` cells a side: `(R, C, side, side)`.

    Args:
        features: Of each level, `(B, C, H / stride, W / stride)`.
        strides: Of each level.
        images: `(R,)`, which image each region is of.
        boxes: `(R, 4)` in pixels.
        side: Cells.
    """
    levels = level_of(boxes, strides)
    places, parts = [], []
    for level, (x, stride) in enumerate(zip(features, strides, strict=True)):
        here = (levels == level).nonzero().flatten()
        regions = torch.cat((images[here, None].to(boxes.dtype), boxes[here]), dim=1)
        parts.append(roi_align(x.float(), regions, side, 1 / stride, sampling_ratio=2, aligned=True))
        places.append(here)
    return torch.cat(parts)[torch.cat(places).argsort()]


class BoxHead(nn.Module):
    """Two fully connected layers, then classes and boxes.

    Args:
        channels: Of the features.
        side: Cells of a region.
        hidden: Units of each layer.
        classes: K.
    """

    def __init__(self, channels: int, side: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * side**2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.logits, self.deltas = nn.Linear(hidden, classes + 1), nn.Linear(hidden, 4 * classes)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.normal_(self.deltas.weight, std=0.001)
        for module in (self.logits, self.deltas):
            nn.init.zeros_(module.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Regions `(R, C, side, side)` to logits `(R, K + 1)`, nothing last, and deltas `(R, K, 4)`."""
        hidden = self.hidden(pooled)
        return self.logits(hidden).float(), self.deltas(hidden).unflatten(1, (-1, 4)).float()


@torch.no_grad()
def draw_regions(
    proposals: Sequence[Tensor], objects: Annotated, count: int, share: float, generator: torch.Generator
) -> Regions:
    """Regions to learn from: proposals and the objects' own boxes, some with an object and some without.

    Args:
        proposals: Boxes of each of B images.
        objects: Of the same images.
        count: Regions of each image.
        share: Of them that have an object, at most.
        generator: Where the draws come from.
    """
    images, kept, places = [], [], []
    for image, (boxes, classes) in enumerate(zip(objects.boxes, objects.classes, strict=True)):
        candidates = torch.cat((proposals[image], boxes[classes >= 0]))
        found = match(boxes, classes, candidates, low=0.5, high=0.5)
        drawn = torch.cat(draw(found, count, share, generator))
        images.append(torch.full_like(drawn, image))
        kept.append(candidates[drawn])
        places.append(found[drawn])
    return Regions(torch.cat(images), torch.cat(kept), torch.cat(places))


def region_loss(logits: Tensor, deltas: Tensor, regions: Regions, objects: Annotated) -> Tensor:
    """Cross-entropy of the classes, and smooth L1 of the deltas of regions with an object.

    Args:
        logits: `(R, K + 1)`.
        deltas: `(R, K, 4)`.
        regions: R.
        objects: Of the images.
    """
    if not len(regions.places):
        return logits.sum() + deltas.sum()  # nothing to learn from, but a gradient for every parameter
    classes = torch.full_like(regions.places, logits.shape[1] - 1)
    here = (regions.places != NO_OBJECT).nonzero().flatten()
    objects_here = regions.images[here], regions.places[here]
    classes[here] = objects.classes[objects_here]
    target = encode(objects.boxes[objects_here], regions.boxes[here], WEIGHTS)
    distance = functional.smooth_l1_loss(deltas[here, classes[here]], target, beta=BETA, reduction="sum")
    loss: Tensor = functional.cross_entropy(logits, classes) + distance / len(classes)
    return loss


def find_in_regions(
    logits: Tensor,
    deltas: Tensor,
    proposals: Sequence[Tensor],
    size: tuple[int, int],
    score_threshold: float,
    overlap: float,
    most: int = MOST_FOUND,
) -> list[Found]:
    """The objects of each of B images.

    Args:
        logits: `(R, K + 1)`, of the proposals of all images one after the other.
        deltas: `(R, K, 4)`.
        proposals: Boxes of each image.
        size: Height and width of the images.
        score_threshold: Lowest probability of a class.
        overlap: Intersection over union beyond which the worse of two of a class is left out.
        most: Objects an image at most.
    """
    counts = [len(boxes) for boxes in proposals]
    found = []
    for probabilities, moved, boxes in zip(
        torch.split(logits.softmax(1)[:, :-1], counts), torch.split(deltas, counts), proposals, strict=True
    ):
        region, class_ = (probabilities >= score_threshold).nonzero(as_tuple=True)
        scores = probabilities[region, class_]
        placed = clip_boxes(decode(moved[region, class_], boxes[region], WEIGHTS), size)
        kept = best(placed, scores, class_, overlap, most)
        found.append(Found(class_[kept], placed[kept], scores[kept]))
    return found
