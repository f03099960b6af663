"""Mask R-CNN, light: proposals, then the class, box and mask of each.

Source: He, Gkioxari, Dollár, Girshick, "Mask R-CNN", ICCV 2017; the first two stages are those of
`faster-rcnn`, with their deviations.

Shapes: images `(B, C, H, W)` in [0, 1] to at most 100 objects an image, each with a mask `(H, W)`; masks are
predicted at 28 x 28 cells of a box.

Deviations from the paper:
1. A ResNet-18-like backbone from random weights with group normalisation; narrower in `tiny` and `small`.
2. The mask's targets are the share of each cell that is covered, not rounded.
3. As `faster-rcnn`: schedule, decay, crowds, one input size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vipriors.methods.detection._backbone import Backbone
from vipriors.methods.detection._network import MOST_FOUND, Found
from vipriors.methods.detection._proposals import Proposer
from vipriors.methods.detection._regions import BoxHead, Regions, pool
from vipriors.methods.detection.faster_rcnn import FasterRCNN, TwoStage
from vipriors.methods.instances._masks import MaskHead, mask_loss, paste, with_objects
from vipriors.priors.augment.boxes import Annotated
from vipriors.train import forward_flops


class ThreeHeads(TwoStage):
    """`TwoStage` with masks."""

    def __init__(
        self, backbone: Backbone, proposer: Proposer, box_head: BoxHead, side: int, mask_head: MaskHead
    ) -> None:
        super().__init__(backbone, proposer, box_head, side)
        self.mask_head = mask_head

    def masks(self, features: Sequence[Tensor], images: Tensor, boxes: Tensor) -> Tensor:
        """R regions, by image `(R,)` and box `(R, 4)`, to mask logits `(R, K, 28, 28)`."""
        pooled = pool(features, self.backbone.strides, images, boxes, 2 * self.side)
        logits: Tensor = self.mask_head(pooled)
        return logits


class _WithRegions(nn.Module):
    """All of a network with given numbers of regions, to count its operations."""

    def __init__(self, network: ThreeHeads, regions: int) -> None:
        super().__init__()
        self.network, self.regions = network, regions

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features, proposed = self.network(images)
        boxes = proposed.anchors[:1].expand(self.regions, 4)
        numbers = torch.zeros_like(boxes[:, 0])
        judged = self.network.judge(features, numbers, boxes)
        return *judged, self.network.masks(features, numbers[:MOST_FOUND], boxes[:MOST_FOUND])


@dataclass(frozen=True)
class MaskRCNN(FasterRCNN):
    """Hyper-parameters of Mask R-CNN."""

    mask_channels: int = 256
    """Channels of the mask head."""
    mask_depth: int = 4
    """Convolutions of the mask head before its resolution doubles."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        preset: {**values, **({} if preset == "full" else {"mask_channels": 48, "mask_depth": 2})}
        for preset, values in FasterRCNN.presets.items()
    }

    def network(self, image_shape: tuple[int, ...], classes: int) -> ThreeHeads:
        """The network with fresh weights."""
        head = MaskHead(self.channels, self.mask_channels, self.mask_depth, classes)
        return ThreeHeads(*self.parts(image_shape, classes), head)

    def second_loss(
        self, network: Any, features: Sequence[Tensor], regions: Regions, objects: Annotated
    ) -> Tensor:
        """The losses of the classes, boxes and masks of regions."""
        known = with_objects(regions)
        masks = network.masks(features, known.images, known.boxes)
        return super().second_loss(network, features, regions, objects) + mask_loss(masks, known, objects)

    def find(self, network: Any, images: Tensor) -> list[Found]:
        """What is found in each of the images `(B, C, H, W)`, with masks."""
        features, proposed = network(images)
        size = (images.shape[2], images.shape[3])
        found = []
        for image, one in enumerate(self.find_with(network, features, proposed, size)):
            numbers = torch.full_like(one.classes, image)
            logits = network.masks(features, numbers, one.boxes)
            own = logits[torch.arange(len(logits), device=logits.device), one.classes].sigmoid()
            found.append(replace(one, masks=paste(own, one.boxes, size)))
        return found

    def flops(self, network: nn.Module, image_shape: tuple[int, ...]) -> int:
        """Operations for one image with as many proposals and objects as there may be."""
        assert isinstance(network, ThreeHeads)
        return forward_flops(_WithRegions(network, self.after), image_shape)
