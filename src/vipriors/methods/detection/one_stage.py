"""Light one-stage detector without anchors, FCOS-like: the baseline to beat.

Source: Tian, Shen, Chen, He, "FCOS: fully convolutional one-stage object detection", ICCV 2019, with the
centre sampling, GIoU loss and centre-ness beside the boxes of its journal version (arXiv 2006.09214).

Shapes: images `(B, C, H, W)` in [0, 1] to class logits `(B, L, K)`, sides `(B, L, 4)` and centre-ness logits
`(B, L)` at L locations of all levels; at most 100 objects an image.

Deviations from the paper:
1. A small residual network from random weights, with group normalisation all through.
2. Objects may be as small as ten pixels, so the presets start at a finer level and have fewer levels.
3. The largest side that a level is responsible for is a hyper-parameter, in strides (8 in the paper).
4. Regions that an annotator marked as crowds are neither objects nor background.
5. The learning rate falls by a cosine to zero; the weights that predict are a moving average.
6. Augmentation is what the challenge says leaves objects as they are, changes of colour, and mosaics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vipriors.methods.detection._backbone import Backbone, convolution, group_norm
from vipriors.methods.detection._edges import Sight
from vipriors.methods.detection._locations import Output, decode, detection_loss, locations
from vipriors.methods.detection._network import Found, ObjectMethod
from vipriors.priors.augment.boxes import Annotated

PRIOR = 0.01
"""Probability of each class at every location before training, so that background does not swamp the loss."""


class OneStage(nn.Module):
    """The network: features at several levels, and a head that all of them share.

    Args:
        backbone: Gives the features.
        classes: K.
        depth: Convolutions before the last one, for classes and for boxes.
    """

    def __init__(self, backbone: Backbone, classes: int, depth: int) -> None:
        super().__init__()
        self.backbone = backbone
        channels = backbone.outputs
        self.class_tower, self.box_tower = _tower(channels, depth), _tower(channels, depth)
        self.logits = nn.Conv2d(channels, classes, 3, padding=1)
        self.boxes = nn.Conv2d(channels, 5, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(backbone.strides)))
        for module in (*self.class_tower, *self.box_tower, self.logits, self.boxes):
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
        assert self.logits.bias is not None
        assert self.boxes.bias is not None
        nn.init.constant_(self.logits.bias, -math.log((1 - PRIOR) / PRIOR))
        nn.init.zeros_(self.boxes.bias)

    def forward(self, images: Tensor) -> Output:
        """Images `(B, C, H, W)` in [0, 1] to what is said of each location."""
        logits, sides, centre, points, strides = [], [], [], [], []
        for number, (features, stride) in enumerate(
            zip(self.backbone(images), self.backbone.strides, strict=True)
        ):
            logits.append(self.logits(self.class_tower(features)).flatten(2).mT.float())
            found = self.boxes(self.box_tower(features)).flatten(2).mT.float()
            sides.append((found[..., :4] * self.scales[number]).clamp(max=8).exp() * stride)
            centre.append(found[..., 4])
            points.append(locations(features.shape[2], features.shape[3], stride, images.device))
            strides.append(torch.full((len(points[-1]),), float(stride), device=images.device))
        return Output(
            torch.cat(logits, 1),
            torch.cat(sides, 1),
            torch.cat(centre, 1),
            torch.cat(points),
            torch.cat(strides),
        )


def _tower(channels: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [convolution(channels, channels), group_norm(channels), nn.ReLU()]
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class OneStageDetector(ObjectMethod):
    """Hyper-parameters of the one-stage detector."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of the backbone's stages, the first at stride 4."""
    blocks: int = 2
    """Residual blocks a stage."""
    pooled: bool = True
    """A 7x7 stem with pooling, instead of one of 3x3."""
    finest: int = 8
    """Stride of the finest level that finds objects."""
    extra: int = 2
    """Levels beyond the last stage."""
    channels: int = 256
    """Channels of the pyramid and the head."""
    depth: int = 4
    """Convolutions in the head before the last."""
    reach: float = 8.0
    """Largest distance to a side of the box that a level is responsible for, in its strides."""
    radius: float = 1.5
    """Distance from the middle of an object within which locations find it, in strides."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {
            "sees": "edges",
            "steps": 1000,
            "batch_size": 8,
            "optimizer": "adamw",
            "lr": 4e-3,
            "weight_decay": 0.05,
            "mosaic": 0.5,
            "reach": 4.0,
            "ema": 0.99,
            "clip_norm": 5.0,
            "widths": (24, 48, 96),
            "blocks": 1,
            "pooled": False,
            "finest": 4,
            "extra": 0,
            "channels": 48,
            "depth": 1,
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
            "extra": 0,
            "channels": 64,
            "depth": 2,
        },
        # As published for COCO.
        "full": {"steps": 90_000, "batch_size": 16, "lr": 0.01, "weight_decay": 1e-4, "warmup": 0.006},
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-4, 1e-2), "weight_decay": (1e-3, 0.3)}
    """Ranges that are searched, both on a logarithmic scale."""

    def network(self, image_shape: tuple[int, ...], classes: int) -> OneStage:
        """The network with fresh weights."""
        backbone = Backbone(
            Sight(self.sees, image_shape[0]),
            widths=self.widths,
            blocks=self.blocks,
            pooled=self.pooled,
            first=round(math.log2(self.finest / 4)),
            outputs=self.channels,
            extra=self.extra,
        )
        return OneStage(backbone, classes, self.depth)

    def loss(self, network: Any, images: Tensor, objects: Annotated, generator: torch.Generator) -> Tensor:
        """A batch to a scalar."""
        return detection_loss(network(images), objects, self.reach, self.radius)

    def find(self, network: Any, images: Tensor) -> list[Found]:
        """What is found in each of the images `(B, C, H, W)`."""
        size = (images.shape[2], images.shape[3])
        return decode(network(images), size, self.score_threshold, self.overlap)
