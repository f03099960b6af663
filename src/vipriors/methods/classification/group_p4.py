"""Residual network that is equivariant to quarter turns: convolutions on the group p4.

Source: Cohen, Welling, "Group equivariant convolutional networks", ICML 2016.

Mechanism: each filter is used in its four positions and each feature has four responses, which change places
when the image turns. The largest of the four is taken at the end, so that the answer is the same for the
image turned by quarters.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The network of `residual` and its recipe. Stages have sqrt(2) / 4 as many features (4 responses each):
   about twice the operations of `residual` with half of its weights.
2. Maps are reduced by means over symmetric windows instead of strides, which are not equivariant at even
   sizes.
3. Large images are halved by means before and after the first convolution, of 7x7 pixels.

Not for images that mean something else when turned: a 6 and a 9 have nearly the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification.residual import Parts, Residual, residual_network
from vipriors.priors.layers.group import (
    P4,
    Group,
    GroupBatchNorm2d,
    GroupConv2d,
    GroupPool,
    Halve,
)


class GroupBlock(nn.Module):
    """The pre-activation block of `residual` on a group.

    Args:
        inputs: Features in.
        outputs: Features out.
        stride: 2 halves the resolution by means.
        group: `P4` or `P4M`.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, group: Group) -> None:
        super().__init__()
        self.norm1 = GroupBatchNorm2d(group, inputs)
        self.reduce = Halve() if stride > 1 else nn.Identity()
        self.conv1 = GroupConv2d(group, inputs, outputs)
        self.norm2 = GroupBatchNorm2d(group, outputs)
        self.conv2 = GroupConv2d(group, outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else GroupConv2d(group, inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs * G, H, W)` to `(B, outputs * G, H / stride, W / stride)`, rounded up."""
        active = self.reduce(functional.relu(self.norm1(x)))
        skip = x if self.shortcut is None else self.shortcut(active)
        residual: Tensor = self.conv2(functional.relu(self.norm2(self.conv1(active))))
        return skip + residual


def group_stem(channels: int, outputs: int, reduces: bool, group: Group) -> list[nn.Module]:
    """The first convolution, which gives every feature its responses."""
    if not reduces:
        return [GroupConv2d(group, channels, outputs, lifts=True)]
    return [Halve(), GroupConv2d(group, channels, outputs, 7, lifts=True), Halve()]


def group_neck(inputs: int, group: Group) -> list[nn.Module]:
    """Features `(B, inputs)`: means over the plane, then the largest response of the group."""
    norm, pool = GroupBatchNorm2d(group, inputs), GroupPool(group)
    return [norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), pool, nn.Flatten()]


@dataclass(frozen=True)
class GroupP4(Residual):
    """Hyper-parameters of the network on the group p4."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets
    group: ClassVar[Group] = P4

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes)`."""
        channels, height, width = image_shape
        share = 2**0.5 / len(self.group)
        return residual_network(
            channels,
            classes,
            stem=max(1, round(self.width * share)),
            widths=tuple(max(1, round(self.width * 2**stage * share)) for stage in range(self.stages)),
            blocks=self.blocks,
            image_size=min(height, width),
            parts=self.parts(),
        )

    def parts(self) -> Parts:
        """Every part on the group, but for the linear layer at the end."""
        return Parts(
            stem=partial(group_stem, group=self.group),
            block=partial(GroupBlock, group=self.group),
            neck=partial(group_neck, group=self.group),
        )
