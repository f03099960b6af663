"""Dual selective-kernel network with the positive-class loss, after the winner of the 2020 challenge.

Source: Sun et al., "Visual inductive priors framework for data-efficient image classification", VIPriors
workshop 2020. Neither code nor all formulas were found: this is in the spirit of it, in the reading of
Brigato et al. (GEM, IEEE Access 2022). The unit is of Li et al., "Selective kernel networks", CVPR 2019.

Mechanism: each convolution sees through two kernel sizes and weighs them for every image and channel; each
block has two such branches, one of which is drawn at every training step. Beside cross-entropy a loss raises
the true class' score alone, so that other classes are not pushed down by few examples.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper, as far as it is known:
1. The depth and widths of `residual`, and its recipe; convolutions in four groups for equal operations.
2. Positive-class loss read as the positive half of binary cross-entropy, beside plain cross-entropy.
3. Without the centre loss, the induced hierarchy of classes, strong augmentation and ensembles.
4. The attention is normalised by layer, not by batch: its means over the map would be of few images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification._phases import idle
from vipriors.methods.classification.residual import Parts, Residual
from vipriors.priors.layers.blur_pool import BlurPool2d
from vipriors.priors.layers.selective_kernel import Dual, SelectiveKernel2d
from vipriors.priors.losses.positive_class import positive_class_loss


class DualBlock(nn.Module):
    """Two branches of two selective kernels each, around a shortcut that blurs where it skips pixels.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the first selective kernel of each branch.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()

        def branch() -> nn.Module:
            return nn.Sequential(
                nn.BatchNorm2d(inputs),
                nn.ReLU(),
                SelectiveKernel2d(inputs, outputs, stride, groups=math.gcd(inputs, outputs, 4)),
                nn.BatchNorm2d(outputs),
                SelectiveKernel2d(outputs, outputs, groups=math.gcd(outputs, 4)),
            )

        self.branches = Dual(branch(), branch())
        shortcut: list[nn.Module] = [BlurPool2d(stride=stride)] if stride > 1 else []
        shortcut += [nn.Conv2d(inputs, outputs, 1, bias=False)] if inputs != outputs else []
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`, rounded up."""
        skip: Tensor = self.shortcut(x)
        residual: Tensor = self.branches(x)
        return skip + residual + (idle([self.branches]) if self.training else 0)


@dataclass(frozen=True)
class SelectiveKernels(Residual):
    """Hyper-parameters of the dual selective-kernel network."""

    positive_class: float = 1.0
    """Weight of the positive-class loss beside cross-entropy."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {**Residual.tuning, "positive_class": (0.1, 10.0)}

    def parts(self) -> Parts:
        """Blocks of two branches of selective kernels."""
        return Parts(block=DualBlock)

    def loss(self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy and the positive-class loss."""
        logits = network(images)
        entropy = functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return entropy + self.positive_class * positive_class_loss(logits, targets, self.label_smoothing)
