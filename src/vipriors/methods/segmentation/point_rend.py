"""PointRend: coarse logits are mended where least certain, by a head that labels single points.

Source: Kirillov, Wu, He, Girshick, "PointRend: image segmentation as rendering", CVPR 2020, and its published
code for semantic segmentation.

Mechanism: an encoder gives coarse logits and, from an early layer, fine features. A small perceptron labels a
point from the fine features and the coarse logits there, both between pixels. It learns from points that lie
mostly where the coarse logits are unsure. To predict, the coarse logits are enlarged to twice their size,
again and again, and each time the least certain pixels are labelled by the perceptron: at any resolution.
With `points=0` there is no perceptron, and the coarse logits are enlarged bilinearly: the baseline.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K, h, w)` of any size.

Deviations from the paper:
1. From random weights: a small residual encoder. Coarse logits have an eighth of the image's resolution, and
   the fine features, after one residual block, a half.
2. Images whose sides are no multiples of 8 are resized to the next, so that all maps cover the image exactly;
   there they are padded.
3. Features further out than the middle of the outermost pixels are those of these; there they fade to zero.
4. To end at any size, the steps are halves of that size, rounded up, from the last to the first; there the
   size is the coarse one times a power of 2.
5. Of equally uncertain pixels the first in the order of rows is labelled, on every machine.
6. The learning rate falls on a cosine; rare classes may count more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vipriors.card import Card, Claim
from vipriors.methods.segmentation._loss import pixel_cross_entropy, resized
from vipriors.methods.segmentation._network import SegmentationNetwork
from vipriors.methods.segmentation._segmenter import NetworkSegmenter, RenderingSegmenter
from vipriors.methods.segmentation.deep_lab import Block, convolution
from vipriors.priors.layers.point_rendering import PointHead, biased_points, nearest, render, sampled
from vipriors.problems import BadInput
from vipriors.train import Execution, forward_flops, require

CARD = Card(
    system="D1",
    name="PointRend",
    source="PointRend: image segmentation as rendering, CVPR 2020",
    claims=(
        Claim(
            "boundary IoU up over bilinear upsampling of the same backbone",
            "digits-boundaries",
            "boundary_iou",
            baseline="point-rend,points=0",
        ),
        Claim(
            "mean IoU up over bilinear upsampling of the same backbone",
            "digits-boundaries",
            "iou_class",
            baseline="point-rend,points=0",
            published="Cityscapes, SemanticFPN, ResNet-101: 77.7 (recalled, not checked) to 78.9",
        ),
        Claim(
            "boundary IoU up over bilinear upsampling of a backbone of as many FLOPs",
            "digits-boundaries",
            "boundary_iou",
            baseline="point-rend,points=0,convolutions=5",
            equal={"steps": 1.0, "flops_per_image": 1.0},
        ),
    ),
)

STRIDE = 8
"""Pixels of an image to one of the coarse logits."""

Choose = Callable[[Tensor], Tensor]
"""From coarse logits `(B, K, h, w)` to points `(B, N, 2)`."""


class PointRendNetwork(nn.Module):
    """Encoder, coarse head and point head.

    Args:
        channels: Of the images.
        classes: Number of logits, 2 or more.
        width: Channels of the fine features; the later stages have 2, 4 and 4 times as many.
        convolutions: 3x3 convolutions of the coarse head.
        head_width: Of the point head; 0 for none.
        render_points: Pixels that the point head labels in each step.
    """

    def __init__(
        self, channels: int, classes: int, width: int, convolutions: int, head_width: int, render_points: int
    ) -> None:
        super().__init__()
        self.fine = nn.Sequential(convolution(channels, width, 3, 2), Block(width, width))
        last = 4 * width
        self.deep = nn.Sequential(
            Block(width, 2 * width, 2), Block(2 * width, last, 2), Block(last, last, dilation=2)
        )
        layers = [convolution(last, last, 3) for _ in range(convolutions)]
        self.coarse = nn.Sequential(*layers, nn.Conv2d(last, classes, 1))
        self.head = PointHead(width, classes, head_width) if head_width else None
        self.render_points = render_points

    def forward(
        self, images: Tensor, choose: Choose | None = None, size: tuple[int, int] | None = None
    ) -> Any:
        """Logits of images `(B, C, H, W)`, or what the loss needs.

        Args:
            images: Of any size.
            choose: To learn: which points.
            size: To predict: `(h, w)` of the logits; by default that of the images.

        Returns:
            Logits `(B, K, h, w)`. With `choose` the coarse logits, points `(B, N, 2)` and their logits
            `(B, K, N)`.
        """
        height, width = (-(-side // STRIDE) * STRIDE for side in images.shape[2:])
        fine = self.fine(resized(images, (height, width)))
        coarse = self.coarse(self.deep(fine)).float()
        size = size or (images.shape[2], images.shape[3])
        if self.head is None:
            return resized(coarse, size)
        label = partial(self._label, fine, coarse)
        if choose is None:
            return render(coarse, label, size, self.render_points)
        points = choose(coarse)
        return coarse, points, label(points)

    def _label(self, fine: Tensor, coarse: Tensor, points: Tensor) -> Tensor:
        assert self.head is not None
        logits: Tensor = self.head(sampled(fine, points), sampled(coarse, points))
        return logits


@dataclass(frozen=True)
class PointRend(SegmentationNetwork):
    """Hyper-parameters of PointRend."""

    width: int = 16
    """Channels of the fine features; the later stages have 2, 4 and 4 times as many."""
    convolutions: int = 1
    """3x3 convolutions of the coarse head."""
    points: int = 1024
    """Points of each image that are learned from; 0 leaves out the point head."""
    oversampling: float = 3.0
    """How many times as many points are drawn, of which the least certain are taken."""
    biased: float = 0.75
    """Share of the points that is taken so; the others lie anywhere."""
    head_width: int = 64
    """Of the three hidden layers of the point head."""
    render_points: int = 2048
    """Pixels that the point head labels in each doubling of the size."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Not searched.
        "tiny": {
            "steps": 800,
            "batch_size": 4,
            "optimizer": "adamw",
            "lr": 2e-3,
            "points": 512,
            "head_width": 32,
        },
        "small": {
            "steps": 4000,
            "batch_size": 8,
            "optimizer": "adamw",
            "lr": 2e-3,
            "width": 32,
            "jitter": 0.3,
        },
        "full": {
            "steps": 20_000,
            "batch_size": 8,
            "width": 64,
            "convolutions": 2,
            "points": 2048,
            "head_width": 256,
            "render_points": 8192,
            "lr": 1e-2,
            "weight_decay": 1e-4,
            "scale": 0.5,
            "crop": 0.75,
            "jitter": 0.3,
        },
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-4, 1e-2), "weight_decay": (1e-5, 1e-2)}
    """Ranges that are searched, both on a logarithmic scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self,
            width=(self.width >= 1, "1 or more"),
            convolutions=(self.convolutions >= 0, "0 or more"),
            points=(self.points >= 0, "0 or more"),
            oversampling=(1 <= self.oversampling <= 100, "1 to 100"),
            biased=(0 <= self.biased <= 1, "0 to 1"),
            head_width=(self.head_width >= 1, "1 or more"),
            render_points=(self.render_points >= 0, "0 or more"),
        )

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes, H, W)`.

        Raises:
            BadInput: There is but one class, of which every point is certain.
        """
        if classes < 2:
            raise BadInput.single("classes", f"are {classes}; point-rend needs 2 or more")
        head = self.head_width if self.points else 0
        return PointRendNetwork(
            image_shape[0], classes, self.width, self.convolutions, head, self.render_points
        )

    def loss(
        self, network: nn.Module, images: Tensor, maps: Tensor, weights: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Cross-entropy of the enlarged coarse logits, and of the points."""
        if not self.points:
            return super().loss(network, images, maps, weights, generator)
        choose = partial(
            biased_points,
            count=self.points,
            oversampling=self.oversampling,
            biased=self.biased,
            generator=generator,
        )
        coarse, points, logits = network(images, choose)
        labels = nearest(maps, points)
        of_points = pixel_cross_entropy(logits[..., None], labels[..., None], weights, self.label_smoothing)
        return pixel_cross_entropy(coarse, maps, weights, self.label_smoothing) + of_points

    def segmenter(self, network: nn.Module, execution: Execution) -> NetworkSegmenter:
        """Renders each map at its own size."""
        return RenderingSegmenter(network, execution)

    def flops(self, network: nn.Module, image_shape: tuple[int, ...], size: tuple[int, int]) -> int:
        """Operations for one image whose map has a size `(h, w)`."""
        return forward_flops(network, image_shape, size=size)
