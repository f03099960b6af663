"""Network of sandglass blocks, MobileNeXt: shortcuts and depthwise filters where channels are many.

Source: Zhou, Hou, Chen, Feng, Yan, "Rethinking bottleneck structure for efficient mobile network design",
ECCV 2020.

Mechanism: each block filters its many channels one by one, reduces them without an activation, expands them
and filters them again; the shortcut joins the wide ends, so more of the input is handed on, and gradients
with it, than between the narrow ends of an inverted residual.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. Blocks as in the authors' released network, not as in the paper's text: one that changes the number of
   channels has no shortcut, and inside a row of several no first depthwise convolution, and none at all with
   stride 1. With both everywhere MobileNeXt-1.0 would have more operations than it is published with.
2. `tiny` and `small` are tables of this package, with parameters and multiply-adds within 5 % of those of
   `inverted-residual`; `full` is MobileNeXt-1.0, with three blocks of 960 channels as in the released
   network.
3. Small images are reduced less often: the first strides are dropped where the last maps would have fewer
   than 4 pixels a side.
4. SGD with Nesterov momentum and a cosine schedule over steps, not 200 epochs, for the baseline too; no
   jitter of colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from vipriors.card import Card, Claim
from vipriors.methods.classification._mobile import Layout, Row, mobile_network
from vipriors.methods.classification._network import NetworkMethod
from vipriors.methods.classification.inverted_residual import InvertedResidual
from vipriors.priors.layers.sandglass import Sandglass as Block

CARD = Card(
    system="R3",
    name="Sandglass block, MobileNeXt",
    source="Rethinking bottleneck structure for efficient mobile network design, ECCV 2020",
    claims=(
        Claim(
            "accuracy up at equal parameters, multiply-adds and steps: 10 digits a class, 8x8",
            "digits",
            "top1",
            baseline="inverted-residual",
            equal={"parameters": 1.05, "flops_per_image": 1.05, "steps": 1.0},
            published="ImageNet top-1 74.0 against 72.3 at 3.4 and 3.5 M parameters, 300 M multiply-adds",
        ),
        Claim(
            "accuracy up at equal parameters, multiply-adds and steps: 50 garments a class, 28x28",
            "fashion-mnist",
            "top1",
            baseline="inverted-residual",
            images_per_class=50,
            equal={"parameters": 1.05, "flops_per_image": 1.05, "steps": 1.0},
            published="ImageNet top-1 74.0 against 72.3 at 3.4 and 3.5 M parameters, 300 M multiply-adds",
        ),
    ),
)

LAYOUTS: Mapping[str, Layout] = {
    "tiny": Layout(16, (Row(2, 48, 1, 2), Row(6, 96, 3, 1), Row(6, 144, 3, 2))),
    "small": Layout(16, (Row(2, 64, 1, 2), Row(6, 96, 3, 1), Row(6, 144, 4, 2), Row(6, 192, 3, 2))),
    "full": Layout(
        32,
        (
            Row(2, 96, 1, 2),
            Row(6, 144, 1, 1),
            Row(6, 192, 3, 2),
            Row(6, 288, 3, 2),
            Row(6, 384, 4, 1),
            Row(6, 576, 4, 2),
            Row(6, 960, 3, 1),
            Row(6, 1280, 1, 1),
        ),
        stem_stride=2,
    ),
}


@dataclass(frozen=True)
class Sandglass(NetworkMethod):
    """Hyper-parameters of the network of sandglass blocks."""

    layout: Literal["tiny", "small", "full"] = "full"
    """Which table of blocks."""
    width: float = 1.0
    """Multiplies the channels of the table."""
    dropout: float = 0.0
    """Share of features dropped before the last layer."""
    identity: int = 1
    """Divides the channels that shortcuts carry: 1 carries all, 2 the first half."""
    spatial: Literal["wide", "narrow", "one"] = "wide"
    """Where depthwise convolutions are; `narrow` and `one` are ablations."""
    linear: bool = True
    """No activation in the middle of a block; false is an ablation."""

    # The same values as of the baseline.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = InvertedResidual.presets
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = InvertedResidual.tuning

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes)`."""
        return mobile_network(
            image_shape[0],
            classes,
            LAYOUTS[self.layout],
            self.block,
            image_size=min(image_shape[1:]),
            width=self.width,
            dropout=self.dropout,
        )

    def block(self, inputs: int, outputs: int, stride: int, ratio: int, alone: bool) -> nn.Module:
        """A block as the released network has it: whole, or in part where it widens a row of several."""
        whole = inputs == outputs or alone
        return Block(
            inputs,
            outputs,
            stride,
            ratio,
            first=whole,
            last=whole or stride > 1,
            identity=self.identity,
            spatial=self.spatial,
            linear=self.linear,
        )
