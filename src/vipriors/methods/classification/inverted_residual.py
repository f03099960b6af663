"""Network of inverted residual blocks, MobileNetV2: the baseline of the sandglass block.

Source: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: inverted residuals and linear bottlenecks",
CVPR 2018.

Mechanism: each block expands its few channels, filters each by itself, and reduces them without an
activation; the shortcut joins the narrow ends.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. `tiny` and `small` are tables of this package, with parameters and multiply-adds within 5 % of those of
   `sandglass`; `full` is MobileNetV2-1.0.
2. Small images are reduced less often: the first strides are dropped where the last maps would have fewer
   than 4 pixels a side.
3. Trained as `sandglass` is: SGD, a cosine schedule, label smoothing at `full`.
4. `tiny` ends in a 1x1 convolution to as many features as `sandglass` has; `small` in none, so that its
   blocks keep all parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from vipriors.methods.classification._mobile import Layout, Row, mobile_network
from vipriors.methods.classification._network import NetworkMethod
from vipriors.priors.layers.inverted_residual import InvertedResidual as Block

LAYOUTS: Mapping[str, Layout] = {
    "tiny": Layout(16, (Row(1, 8, 1, 2), Row(6, 24, 3, 1), Row(5, 24, 3, 2)), head=144),
    "small": Layout(16, (Row(1, 24, 1, 2), Row(6, 24, 3, 1), Row(6, 24, 4, 2), Row(6, 32, 3, 2))),
    "full": Layout(
        32,
        (
            Row(1, 16, 1, 1),
            Row(6, 24, 2, 2),
            Row(6, 32, 3, 2),
            Row(6, 64, 4, 2),
            Row(6, 96, 3, 1),
            Row(6, 160, 3, 2),
            Row(6, 320, 1, 1),
        ),
        stem_stride=2,
        head=1280,
    ),
}


@dataclass(frozen=True)
class InvertedResidual(NetworkMethod):
    """Hyper-parameters of the network of inverted residual blocks."""

    layout: Literal["tiny", "small", "full"] = "full"
    """Which table of blocks."""
    width: float = 1.0
    """Multiplies the channels of the table."""
    dropout: float = 0.0
    """Share of features dropped before the last layer."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"layout": "tiny", "steps": 1500, "lr": 0.05, "weight_decay": 5e-3},
        "small": {"layout": "small", "steps": 8000, "batch_size": 128, "lr": 0.1, "weight_decay": 1e-3},
        "full": {
            "layout": "full",
            "steps": 25_000,
            "batch_size": 64,
            "lr": 0.05,
            "weight_decay": 1e-4,
            "dropout": 0.2,
            "label_smoothing": 0.1,
        },
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-3, 0.3), "weight_decay": (1e-4, 0.1)}

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes)`."""
        return mobile_network(
            image_shape[0],
            classes,
            LAYOUTS[self.layout],
            lambda inputs, outputs, stride, ratio, alone: Block(inputs, outputs, stride, ratio),
            image_size=min(image_shape[1:]),
            width=self.width,
            dropout=self.dropout,
        )
