"""First stage of two: where objects of any class may be, from anchors of a few sizes and shapes.

Source: Ren, He, Girshick, Sun, "Faster R-CNN: towards real-time object detection with region proposal
networks", NIPS 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.detection._boxes import best, decode, encode, intersections, overlaps
from vipriors.priors.augment.boxes import IGNORED, NO_OBJECT, Annotated, areas, clip_boxes

RATIOS = (0.5, 1.0, 2.0)
"""Heights over widths of the anchors."""

BETA = 1 / 9
"""Where the smooth L1 loss of deltas turns from a square to a line."""


@dataclass(frozen=True)
class Proposed:
    """What the first stage says of L anchors, level by level."""

    logits: Tensor
    """`(B, L)`, whether there is an object."""
    deltas: Tensor
    """`(B, L, 4)`, its box as `encode` has it."""
    anchors: Tensor
    """`(L, 4)`."""
    levels: Tensor
    """`(L,)`, the level of each, from 0."""


class Proposer(nn.Module):
    """The head that all levels share.

    Args:
        channels: Of the features.
        strides: Of the levels.
        scales: Sides of square anchors in strides of their level.
    """

    def __init__(self, channels: int, strides: Sequence[int], scales: Sequence[int]) -> None:
        super().__init__()
        self.strides, self.scales = tuple(strides), tuple(scales)
        count = len(scales) * len(RATIOS)
        self.hidden = nn.Conv2d(channels, channels, 3, padding=1)
        self.logits, self.deltas = nn.Conv2d(channels, count, 1), nn.Conv2d(channels, 4 * count, 1)
        for module in (self.hidden, self.logits, self.deltas):
            nn.init.normal_(module.weight, std=0.01)
            assert module.bias is not None
            nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[Tensor]) -> Proposed:
        """Features `(B, channels, H / stride, W / stride)` of each level to what is said of their anchors."""
        logits, deltas, places, levels = [], [], [], []
        for level, (x, stride) in enumerate(zip(features, self.strides, strict=True)):
            hidden = functional.relu(self.hidden(x))
            # (B, A, H, W) to (B, H * W * A), as the anchors are counted.
            logits.append(self.logits(hidden).movedim(1, -1).flatten(1).float())
            deltas.append(self.deltas(hidden).movedim(1, -1).flatten(1).unflatten(1, (-1, 4)).float())
            places.append(anchors(x.shape[2], x.shape[3], stride, self.scales, x.device))
            levels.append(torch.full((len(places[-1]),), level, device=x.device))
        return Proposed(torch.cat(logits, 1), torch.cat(deltas, 1), torch.cat(places), torch.cat(levels))


def anchors(rows: int, columns: int, stride: int, scales: Sequence[int], device: torch.device) -> Tensor:
    """The anchors of a level `(rows * columns * A, 4)`: for each cell all `RATIOS`, each in all scales."""
    root = torch.tensor(RATIOS, device=device).sqrt()
    sides = torch.tensor(scales, device=device) * stride
    half = torch.stack(((sides / root[:, None]).flatten(), (sides * root[:, None]).flatten()), dim=1) / 2
    y, x = ((torch.arange(n, device=device) + 0.5) * stride for n in (rows, columns))
    centre = torch.stack((x.repeat(rows), y.repeat_interleave(columns)), dim=1).unsqueeze(1)
    return torch.cat((centre - half, centre + half), dim=-1).flatten(0, 1)


def match(
    boxes: Tensor, classes: Tensor, candidates: Tensor, *, low: float, high: float, rescue: bool = False
) -> Tensor:
    """Which object each candidate is held against: its place, or `NO_OBJECT`, or `IGNORED`, `(L,)`.

    It is the object of the largest overlap if that is `high` or more; none if it is less than `low`; between
    the two the candidate is ignored. So is one that lies by half or more in an ignored region, if it has no
    object.

    Args:
        boxes: `(M, 4)` of one image.
        classes: `(M,)`, as in `Annotated`.
        candidates: `(L, 4)`.
        low: Overlap.
        high: Overlap.
        rescue: Give an object also those candidates that overlap it most, however little, unless they have
            an object already.
    """
    places = (classes >= 0).nonzero().flatten()
    found = torch.full((len(candidates),), NO_OBJECT, device=candidates.device)
    regions = boxes[classes == IGNORED]
    if len(regions):
        covered = intersections(candidates, regions).amax(1) / areas(candidates).clamp(min=1e-6)
        found = found.where(covered < 0.5, IGNORED)
    if not len(places):
        return found
    overlap = overlaps(boxes[places], candidates)
    most, which = overlap.max(0)
    found = found.where(most < low, IGNORED).where(most < high, places[which])
    if rescue:
        largest = overlap.amax(1, keepdim=True)
        rescued, which = overlap.where((overlap == largest) & (largest > 0), 0).max(0)
        found = found.where((rescued == 0) | (most >= high), places[which])
    return found


def draw(found: Tensor, count: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws candidates with an object, at most a share of `count`, and of those without as many as are left.

    Args:
        found: `(L,)` as `match` gives it.
        count: Candidates to draw.
        share: Of those with an object.
        generator: Where the draws come from.

    Returns:
        Indices of candidates with an object and of those without.
    """
    with_object, without = (found >= 0).nonzero().flatten(), (found == NO_OBJECT).nonzero().flatten()
    some = torch.randperm(len(with_object), generator=generator)[: int(count * share)]
    others = torch.randperm(len(without), generator=generator)[: count - len(some)]
    return with_object[some.to(found.device)], without[others.to(found.device)]


def proposal_loss(proposed: Proposed, objects: Annotated, count: int, generator: torch.Generator) -> Tensor:
    """Cross-entropy of the drawn anchors' logits, and smooth L1 of the deltas of those with an object.

    Args:
        proposed: Of B images.
        objects: Of the same images.
        count: Anchors to draw in each image, at most half of them with an object.
        generator: Where the draws come from.
    """
    scores, wanted, distance, drawn = [], [], [], 0
    for image, (boxes, classes) in enumerate(zip(objects.boxes, objects.classes, strict=True)):
        found = match(boxes, classes, proposed.anchors, low=0.3, high=0.7, rescue=True)
        positive, negative = draw(found, count, 0.5, generator)
        scores.append(proposed.logits[image, torch.cat((positive, negative))])
        wanted.append(torch.cat((torch.ones_like(positive), torch.zeros_like(negative))).float())
        target = encode(boxes[found[positive]], proposed.anchors[positive])
        distance.append(
            functional.smooth_l1_loss(proposed.deltas[image, positive], target, beta=BETA, reduction="sum")
        )
        drawn += len(positive) + len(negative)
    entropy = functional.binary_cross_entropy_with_logits(
        torch.cat(scores), torch.cat(wanted), reduction="sum"
    )
    loss: Tensor = (entropy + torch.stack(distance).sum()) / max(1, drawn)
    return loss


@torch.no_grad()
def propose(
    proposed: Proposed, size: tuple[int, int], before: int, after: int, overlap: float = 0.7
) -> list[Tensor]:
    """The best boxes of each of B images, `(n, 4)` each, by falling score.

    Args:
        proposed: Of B images.
        size: Height and width of the images.
        before: Boxes of each level that are looked at.
        after: Boxes that are left at most.
        overlap: Intersection over union beyond which the worse of two of a level is left out.
    """
    found = []
    for logits, deltas in zip(proposed.logits, proposed.deltas, strict=True):
        order = logits.argsort(descending=True, stable=True)
        levels = proposed.levels[order]
        ranks = (functional.one_hot(levels).cumsum(0) - 1).gather(1, levels[:, None]).squeeze(1)
        top = order[ranks < before]
        boxes = clip_boxes(decode(deltas[top], proposed.anchors[top]), size)
        wide = (boxes[:, 2:] - boxes[:, :2]).amin(1) > 1e-3
        top, boxes = top[wide], boxes[wide]
        found.append(boxes[best(boxes, logits[top], proposed.levels[top], overlap, after)])
    return found


def level_of(boxes: Tensor, strides: Sequence[int]) -> Tensor:
    """Which level's features a region `(n, 4)` is taken from: 14 cells or a little more across it, `(n,)`.

    Source: Lin et al., "Feature pyramid networks", CVPR 2017, equation 1.
    """
    wanted = (areas(boxes).clamp(min=1e-6).sqrt() / 14 + 1e-6).log2().floor()
    first = round(math.log2(strides[0]))
    return (wanted - first).clamp(0, len(strides) - 1).long()
