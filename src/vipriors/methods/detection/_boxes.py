"""Boxes as tensors: left, top, right, bottom in pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from vipriors.priors.augment.boxes import areas

LARGEST_GROWTH = 4.135166556742356
"""Logarithm of 1000 / 16: no side is predicted to be further than this from its anchor's."""


def encode(boxes: Tensor, anchors: Tensor, weights: Sequence[float] = (1, 1, 1, 1)) -> Tensor:
    """Boxes `(…, 4)` relative to anchors `(…, 4)`: shift of the centre in sides, logarithm of the growth.

    Source: Girshick et al., "Rich feature hierarchies", CVPR 2014.

    Args:
        boxes: With sides above 0.
        anchors: Likewise.
        weights: What each of the four is multiplied by.
    """
    sides, grown = anchors[..., 2:] - anchors[..., :2], boxes[..., 2:] - boxes[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - anchors[..., :2] - anchors[..., 2:]) / 2 / sides
    return torch.cat((shift, (grown / sides).log()), dim=-1) * boxes.new_tensor(weights)


def decode(deltas: Tensor, anchors: Tensor, weights: Sequence[float] = (1, 1, 1, 1)) -> Tensor:
    """The boxes `(…, 4)` that `encode` makes `deltas` of."""
    deltas = deltas / deltas.new_tensor(weights)
    sides = anchors[..., 2:] - anchors[..., :2]
    centre = (anchors[..., :2] + anchors[..., 2:]) / 2 + deltas[..., :2] * sides
    half = sides * deltas[..., 2:].clamp(max=LARGEST_GROWTH).exp() / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def intersections(first: Tensor, second: Tensor) -> Tensor:
    """Areas that boxes `(n, 4)` share with boxes `(m, 4)`, `(n, m)`."""
    low = torch.maximum(first[:, None, :2], second[:, :2])
    high = torch.minimum(first[:, None, 2:], second[:, 2:])
    return (high - low).clamp(min=0).prod(-1)


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Intersections over unions of boxes `(n, 4)` with boxes `(m, 4)`, `(n, m)`; 0 where both are empty."""
    shared = intersections(first, second)
    return shared / (areas(first)[:, None] + areas(second) - shared).clamp(min=1e-6)


def best(boxes: Tensor, scores: Tensor, groups: Tensor, overlap: float, most: int) -> Tensor:
    """Indices of boxes by falling score, without those that a better one of their group covers.

    Args:
        boxes: `(n, 4)`.
        scores: `(n,)`.
        groups: `(n,)` int64, the classes or levels that do not compete with each other.
        overlap: Intersection over union beyond which the worse of two is left out.
        most: Boxes at most.
    """
    kept: Tensor = batched_nms(boxes, scores, groups, overlap)
    return kept[:most]
