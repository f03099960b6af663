"""DeepLabV3+ in small: a residual network with dilated convolutions, a pyramid of them, and a decoder.

Source: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-decoder with atrous separable convolution for semantic
image segmentation", ECCV 2018.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K, H / stem, W / stem)`, rounded up.

Deviations from the paper:
1. From random weights, with basic blocks in place of Xception or ResNet-101.
2. The first features have the resolution of the stem (half the image), not a quarter, and so have the logits.
3. Convolutions are dense, not separable in depth, which are slower on a CPU than their FLOPs say.
4. The image-level branch of the pyramid is not normalised, so that a batch may be a single image.
5. The dilation rates of the pyramid are given for the stride of its input, 8 by default.
6. Rare classes count more in the loss; presets `small` and `full` paste classes of one image into others
   (ClassMix).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.segmentation._network import SegmentationNetwork
from vipriors.train import require


def convolution(inputs: int, outputs: int, side: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution that is normalised and rectified, padded so that only the stride changes the size."""
    padding = dilation * (side - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016).

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the first convolution.
        dilation: Of both.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, 3, stride, dilation)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.stride = stride
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`."""
        # Rows and columns are skipped here and not by the shortcut's stride: the gradient of a strided 1x1
        # convolution of few channels overruns memory on a CPU (oneDNN issue 6035).
        skip = x if self.shortcut is None else self.shortcut(x[:, :, :: self.stride, :: self.stride])
        residual: Tensor = self.norm(self.second(self.first(x)))
        return functional.relu(skip + residual)


class Pyramid(nn.Module):
    """The same features seen at several scales: 1x1, dilated 3x3, and the mean of the image.

    Args:
        inputs: Channels in.
        outputs: Channels out, and of each branch.
        rates: Dilations of the 3x3 branches.
    """

    def __init__(self, inputs: int, outputs: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        branches = [convolution(inputs, outputs, 3, dilation=rate) for rate in rates]
        self.branches = nn.ModuleList([convolution(inputs, outputs, 1), *branches])
        self.image = nn.Conv2d(inputs, outputs, 1)
        self.merge = convolution(outputs * (len(rates) + 2), outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H, W)`."""
        image = functional.relu(self.image(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        merged: Tensor = self.merge(torch.cat([*(branch(x) for branch in self.branches), image], 1))
        return merged


class DeepLabNetwork(nn.Module):
    """Encoder, pyramid and decoder.

    Args:
        channels: Of the images.
        classes: Number of logits.
        width: Channels of the first stage; the next three have 2, 4 and 8 times as many.
        blocks: Residual blocks a stage.
        stem: Stride of the first convolution, 1 or 2; the pyramid works at 4 times that.
        rates: Dilations of the pyramid.
    """

    def __init__(
        self, channels: int, classes: int, width: int, blocks: int, stem: int, rates: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.stem = convolution(channels, width, 3, stem)
        stages: list[nn.Module] = []
        inputs = width
        # The last stage widens its view by dilation where the others would halve the resolution again.
        for times, stride, dilation in ((1, 1, 1), (2, 2, 1), (4, 2, 1), (8, 1, 2)):
            outputs = width * times
            first = Block(inputs, outputs, stride, dilation)
            rest = [Block(outputs, outputs, 1, dilation) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            inputs = outputs
        self.stages = nn.ModuleList(stages)
        self.pyramid = Pyramid(inputs, 4 * width, rates)
        self.decoder = nn.Sequential(
            convolution(4 * width + width, 2 * width, 3),
            convolution(2 * width, 2 * width, 3),
            nn.Conv2d(2 * width, classes, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images `(B, C, H, W)` to logits `(B, classes, H / stem, W / stem)`."""
        x = self.stem(images)
        fine: Tensor | None = None
        for stage in self.stages:
            x = stage(x)
            fine = x if fine is None else fine
        assert fine is not None
        x = functional.interpolate(self.pyramid(x), fine.shape[2:], mode="bilinear", align_corners=False)
        logits: Tensor = self.decoder(torch.cat((fine, x), 1))
        return logits


@dataclass(frozen=True)
class DeepLab(SegmentationNetwork):
    """Hyper-parameters of the small DeepLab."""

    width: int = 16
    """Channels of the first stage; the later ones have 2, 4 and 8 times as many."""
    blocks: int = 1
    """Residual blocks a stage."""
    stem: int = 2
    """Stride of the first convolution, 1 or 2."""
    rates: tuple[int, ...] = (2, 4, 6)
    """Dilations of the pyramid's 3x3 convolutions, at 4 times the stem's stride."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # The U-Net's learning rate and loss, not searched here. On digits-segmentation (validation,
        # one seed) its mean IoU is 0.155, and the U-Net's 0.177 after as many steps, in less time.
        "tiny": {"steps": 1200, "batch_size": 4, "lr": 0.1, "class_balance": 0.3},
        "small": {
            "steps": 2000,
            "batch_size": 4,
            "lr": 0.1,
            "class_balance": 0.3,
            "jitter": 0.3,
            "mix": "classmix",
        },
        "full": {
            "steps": 20_000,
            "batch_size": 8,
            "width": 64,
            "blocks": 2,
            "rates": (6, 12, 18),
            "lr": 1e-2,
            "weight_decay": 1e-4,
            "scale": 0.5,
            "jitter": 0.3,
            "class_balance": 0.3,
            "mix": "classmix",
        },
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-3, 0.3), "weight_decay": (1e-5, 1e-2)}
    """Ranges that are searched, both on a logarithmic scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self,
            width=(self.width >= 1, "1 or more"),
            blocks=(self.blocks >= 1, "1 or more"),
            stem=(self.stem in (1, 2), "1 or 2"),
            rates=(all(rate >= 1 for rate in self.rates), "whole numbers from 1 on"),
        )

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes, H / stem, W / stem)`."""
        return DeepLabNetwork(image_shape[0], classes, self.width, self.blocks, self.stem, self.rates)
