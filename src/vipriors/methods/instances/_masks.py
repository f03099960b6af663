"""Masks of regions: the head that predicts them, what it learns from, and back into the picture.

Source: He, Gkioxari, Dollár, Girshick, "Mask R-CNN", ICCV 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from vipriors.methods.detection._regions import Regions
from vipriors.priors.augment.boxes import Annotated


class MaskHead(nn.Module):
    """Convolutions, then masks of every class at twice the resolution.

    Args:
        channels: Of the features.
        hidden: Channels of each convolution.
        depth: Convolutions.
        classes: K.
    """

    def __init__(self, channels: int, hidden: int, depth: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number in range(depth):
            layers += [nn.Conv2d(hidden if number else channels, hidden, 3, padding=1), nn.ReLU()]
        layers += [nn.ConvTranspose2d(hidden if depth else channels, hidden, 2, 2), nn.ReLU()]
        layers += [nn.Conv2d(hidden, classes, 1)]
        for module in layers:
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        self.layers = nn.Sequential(*layers)

    def forward(self, pooled: Tensor) -> Tensor:
        """Regions `(R, C, side, side)` to logits `(R, K, 2 side, 2 side)`."""
        logits: Tensor = self.layers(pooled)
        return logits.float()


def with_objects(regions: Regions) -> Regions:
    """Those of the regions that have an object."""
    here = (regions.places >= 0).nonzero().flatten()
    return Regions(regions.images[here], regions.boxes[here], regions.places[here])


def mask_targets(regions: Regions, masks: Tensor, side: int) -> Tensor:
    """The objects' masks as seen in their regions, `(R, side, side)` from 0 to 1.

    Args:
        regions: R, all with an object.
        masks: `(B, M, H, W)` bool.
        side: Cells.
    """
    own = masks[regions.images, regions.places].unsqueeze(1).float()
    numbers = torch.arange(len(own), device=own.device).unsqueeze(1)
    boxes = torch.cat((numbers.to(regions.boxes.dtype), regions.boxes), dim=1)
    targets: Tensor = roi_align(own, boxes, side, 1.0, sampling_ratio=2, aligned=True)
    return targets.squeeze(1)


def mask_loss(logits: Tensor, regions: Regions, objects: Annotated) -> Tensor:
    """Cross-entropy of the pixels of each region's mask of its object's class.

    Args:
        logits: `(R, K, side, side)`.
        regions: R, all with an object.
        objects: Of the images, with masks.
    """
    if not len(logits):
        return logits.sum()  # nothing to learn from, but a gradient for every parameter
    assert objects.masks is not None
    classes = objects.classes[regions.images, regions.places]
    own = logits[torch.arange(len(logits), device=logits.device), classes]
    return functional.binary_cross_entropy_with_logits(
        own, mask_targets(regions, objects.masks, logits.shape[-1])
    )


def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5) -> Tensor:
    """Masks of regions, back in the picture: `(n, H, W)` bool.

    A pixel belongs to the object if the mask, interpolated at the pixel's middle, is at or above a threshold;
    outside the mask it falls to 0 over half a cell.

    Args:
        masks: `(n, side, side)` from 0 to 1.
        boxes: `(n, 4)`.
        size: Height and width of the picture.
        threshold: 0 to 1.
    """
    height, width = size
    low, sides = boxes[:, :2], (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6)
    x = (torch.arange(width, device=boxes.device) + 0.5 - low[:, :1]) / sides[:, :1] * 2 - 1
    y = (torch.arange(height, device=boxes.device) + 0.5 - low[:, 1:]) / sides[:, 1:] * 2 - 1
    grid = torch.stack((x[:, None].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)), dim=-1)
    pasted = functional.grid_sample(masks.unsqueeze(1), grid, align_corners=False)
    return pasted.squeeze(1) >= threshold
