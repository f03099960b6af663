"""Faster R-CNN with a feature pyramid on a ResNet-18, from random weights.

Source: Ren, He, Girshick, Sun, "Faster R-CNN: towards real-time object detection with region proposal
networks", NIPS 2015; Lin et al., "Feature pyramid networks for object detection", CVPR 2017. `full` is the
baseline of the object detection track of the first VIPriors challenge (2020): 51 passes over 5,873 images,
SGD with learning rate 0.02, 16 images a batch, half of them mirrored.

Shapes: images `(B, C, H, W)` in [0, 1] to features of each level and what is said of L anchors; from them at
most 100 objects an image.

Deviations from the papers:
1. Group instead of batch normalisation, as batches are small and nothing is pre-trained (Wu, He 2018).
2. Features are resampled with half-pixel-exact positions (RoIAlign, He et al. 2017).
3. The learning rate falls by a cosine to zero, not in steps; momentum is Nesterov's.
4. Weight decay leaves biases and normalisation scales alone.
5. Regions that an annotator marked as crowds are neither objects nor background.
6. Every image is stretched to one input size.
7. `tiny` and `small` are narrower, start from a lighter stem and draw fewer anchors and regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vipriors.methods.detection._backbone import Backbone
from vipriors.methods.detection._edges import Sight
from vipriors.methods.detection._network import Found, ObjectMethod
from vipriors.methods.detection._proposals import Proposed, Proposer, proposal_loss, propose
from vipriors.methods.detection._regions import (
    BoxHead,
    Regions,
    draw_regions,
    find_in_regions,
    pool,
    region_loss,
)
from vipriors.priors.augment.boxes import Annotated
from vipriors.train import forward_flops


class TwoStage(nn.Module):
    """The network. What follows the first stage depends on its proposals, and is called with them.

    Args:
        backbone: Gives the features.
        proposer: The first stage.
        box_head: The second.
        side: Cells of a region that the second stage sees.
    """

    def __init__(self, backbone: Backbone, proposer: Proposer, box_head: BoxHead, side: int) -> None:
        super().__init__()
        self.backbone, self.proposer, self.box_head, self.side = backbone, proposer, box_head, side

    def forward(self, images: Tensor) -> tuple[list[Tensor], Proposed]:
        """Images `(B, C, H, W)` in [0, 1] to features of each level, and what is said of the anchors."""
        features = self.backbone(images)
        return features, self.proposer(features)

    def judge(self, features: Sequence[Tensor], images: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """R regions, by image `(R,)` and box `(R, 4)`, to logits `(R, K + 1)` and deltas `(R, K, 4)`."""
        judged: tuple[Tensor, Tensor] = self.box_head(
            pool(features, self.backbone.strides, images, boxes, self.side)
        )
        return judged


class _WithRegions(nn.Module):
    """All of a network with a given number of regions, to count its operations."""

    def __init__(self, network: TwoStage, regions: int) -> None:
        super().__init__()
        self.network, self.regions = network, regions

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, proposed = self.network(images)
        boxes = proposed.anchors[:1].expand(self.regions, 4)
        return self.network.judge(features, torch.zeros_like(boxes[:, 0]), boxes)


@dataclass(frozen=True)
class FasterRCNN(ObjectMethod):
    """Hyper-parameters of Faster R-CNN."""

    overlap: float = 0.5
    """Intersection over union beyond which the worse of two boxes of a class is left out."""
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of the backbone's stages, the first at stride 4."""
    blocks: int = 2
    """Residual blocks a stage."""
    pooled: bool = True
    """A 7x7 stem with pooling, instead of one of 3x3."""
    extra: int = 1
    """Levels beyond the last stage."""
    channels: int = 256
    """Channels of the pyramid."""
    scales: tuple[int, ...] = (8,)
    """Sides of square anchors, in strides of their level."""
    anchors_drawn: int = 256
    """Anchors of each image that the first stage learns from at a step."""
    before: int = 2000
    """Proposals of each level that are looked at while learning; half as many when finding."""
    after: int = 1000
    """Proposals of each image that are left for the second stage."""
    regions_drawn: int = 512
    """Regions of each image that the second stage learns from at a step."""
    positive_share: float = 0.25
    """Share of them that have an object, at most."""
    side: int = 7
    """Cells of a region that the second stage sees."""
    hidden: int = 1024
    """Units of the second stage's layers."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {
            "sees": "edges",
            "steps": 600,
            "batch_size": 8,
            "optimizer": "adamw",
            "lr": 4e-3,
            "weight_decay": 0.05,
            "ema": 0.99,
            "clip_norm": 5.0,
            "widths": (24, 48, 96),
            "blocks": 1,
            "pooled": False,
            "extra": 0,
            "channels": 48,
            "scales": (4, 6),
            "anchors_drawn": 64,
            "before": 100,
            "after": 50,
            "regions_drawn": 32,
            "hidden": 128,
        },
        "small": {
            "steps": 2000,
            "batch_size": 8,
            "optimizer": "adamw",
            "lr": 2e-3,
            "weight_decay": 0.05,
            "ema": 0.99,
            "clip_norm": 5.0,
            "widths": (24, 48, 96, 192),
            "blocks": 1,
            "channels": 64,
            "hidden": 256,
        },
        "full": {"steps": 18_700, "batch_size": 16, "lr": 0.02, "weight_decay": 1e-4, "warmup": 0.03},
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-4, 3e-2), "weight_decay": (1e-4, 0.3)}
    """Ranges that are searched, both on a logarithmic scale."""

    def network(self, image_shape: tuple[int, ...], classes: int) -> TwoStage:
        """The network with fresh weights."""
        return TwoStage(*self.parts(image_shape, classes))

    def parts(self, image_shape: tuple[int, ...], classes: int) -> tuple[Backbone, Proposer, BoxHead, int]:
        """What `TwoStage` is made of."""
        backbone = Backbone(
            Sight(self.sees, image_shape[0]),
            widths=self.widths,
            blocks=self.blocks,
            pooled=self.pooled,
            first=0,
            outputs=self.channels,
            extra=self.extra,
        )
        proposer = Proposer(self.channels, backbone.strides, self.scales)
        return backbone, proposer, BoxHead(self.channels, self.side, self.hidden, classes), self.side

    def loss(self, network: Any, images: Tensor, objects: Annotated, generator: torch.Generator) -> Tensor:
        """A batch to a scalar: the losses of both stages."""
        features, proposed = network(images)
        first = proposal_loss(proposed, objects, self.anchors_drawn, generator)
        size = (images.shape[2], images.shape[3])
        regions = draw_regions(
            propose(proposed, size, self.before, self.after),
            objects,
            self.regions_drawn,
            self.positive_share,
            generator,
        )
        return first + self.second_loss(network, features, regions, objects)

    def second_loss(
        self, network: Any, features: Sequence[Tensor], regions: Regions, objects: Annotated
    ) -> Tensor:
        """The loss of what follows the first stage."""
        logits, deltas = network.judge(features, regions.images, regions.boxes)
        return region_loss(logits, deltas, regions, objects)

    def find(self, network: Any, images: Tensor) -> list[Found]:
        """What is found in each of the images `(B, C, H, W)`."""
        features, proposed = network(images)
        return self.find_with(network, features, proposed, (images.shape[2], images.shape[3]))

    def find_with(
        self, network: Any, features: Sequence[Tensor], proposed: Proposed, size: tuple[int, int]
    ) -> list[Found]:
        """What is found, from the first stage's answer for images of a height and width."""
        proposals = propose(proposed, size, self.before // 2, self.after)
        counts = torch.tensor([len(boxes) for boxes in proposals], device=proposed.logits.device)
        images = torch.arange(len(proposals), device=counts.device).repeat_interleave(counts)
        logits, deltas = network.judge(features, images, torch.cat(proposals))
        return find_in_regions(logits, deltas, proposals, size, self.score_threshold, self.overlap)

    def flops(self, network: nn.Module, image_shape: tuple[int, ...]) -> int:
        """Operations for one image with as many proposals as there may be."""
        assert isinstance(network, TwoStage)
        return forward_flops(_WithRegions(network, self.after), image_shape)
