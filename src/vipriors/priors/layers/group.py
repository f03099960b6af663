"""Convolutions that turn with the image: equivariant to quarter turns (p4), and mirroring too (p4m).

Source: Cohen, Welling, "Group equivariant convolutional networks", ICML 2016.

A feature of these layers has a response for every element g of the group: the maps are `(B, C * G, H, W)`,
the responses of one feature beside each other. When the image is turned by g, each map is turned by g and
the responses change places: the response at h comes to be at g h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Reduction = Literal["max", "mean"]


@dataclass(frozen=True)
class Group:
    """Quarter turns, with or without mirroring. Element `4 m + r` mirrors m times, then turns r times."""

    mirrored: bool = False

    def __len__(self) -> int:
        """Number of elements: 4 or 8."""
        return 8 if self.mirrored else 4

    def compose(self, g: int, h: int) -> int:
        """The element that acts as h, then as g."""
        (m, r), (n, s) = divmod(g, 4), divmod(h, 4)
        return 4 * (m ^ n) + (r + (-s if m else s)) % 4

    def inverse(self, g: int) -> int:
        """The element that undoes g."""
        return next(h for h in range(len(self)) if self.compose(g, h) == 0)

    def act(self, g: int, x: Tensor) -> Tensor:
        """Mirrors and turns the last two axes."""
        m, r = divmod(g, 4)
        return torch.rot90(x.flip(-1) if m else x, r, (-2, -1))

    def act_on_features(self, g: int, x: Tensor) -> Tensor:
        """What becomes of feature maps `(B, C * G, H, W)` when the image is moved by g."""
        x = by_element(self, x)
        source = [self.compose(self.inverse(g), h) for h in range(len(self))]
        return self.act(g, x[:, :, source]).flatten(1, 2)


def by_element(group: Group, x: Tensor) -> Tensor:
    """Feature maps `(B, C * G, ...)` as `(B, C, G, ...)`."""
    return x.reshape(x.shape[0], -1, len(group), *x.shape[2:])


P4 = Group()
P4M = Group(mirrored=True)


class GroupConv2d(nn.Module):
    """A convolution over the plane and the group: one filter bank, used in all its positions.

    Args:
        group: `P4` or `P4M`.
        inputs: Features in, or channels of the images where it lifts.
        outputs: Features out, each with a response for every element.
        size: Side of the filters, odd.
        stride: Exactly equivariant where it divides the side less one; otherwise the kept pixels are not
            symmetric, and `Halve` is the way to skip pixels.
        lifts: Whether the input are images without responses for the elements: the first layer.
    """

    index: Tensor

    def __init__(
        self, group: Group, inputs: int, outputs: int, size: int = 3, stride: int = 1, *, lifts: bool = False
    ) -> None:
        super().__init__()
        self.group, self.size, self.stride = group, size, stride
        self.responses = 1 if lifts else len(group)
        self.register_buffer("index", _positions(group, self.responses, size), persistent=False)
        self.weight = nn.Parameter(torch.empty(outputs, inputs * self.responses, size, size))
        nn.init.normal_(self.weight, std=math.sqrt(2 / (outputs * len(group) * size**2)))

    def filters(self) -> Tensor:
        """The filter bank in all its positions, `(outputs * G, inputs * responses, size, size)`."""
        outputs, channels = self.weight.shape[:2]
        bank = self.weight.reshape(outputs, channels // self.responses, -1)
        placed = bank[:, :, self.index].movedim(2, 1)
        return placed.reshape(outputs * len(self.group), channels, self.size, self.size)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs * responses, H, W)` to `(B, outputs * G, H / stride, W / stride)`, rounded up."""
        return functional.conv2d(x, self.filters(), stride=self.stride, padding=self.size // 2)


def _positions(group: Group, responses: int, size: int) -> Tensor:
    """Which weight of a filter lies where, for every element: `(G, responses, size²)`."""
    weights = torch.arange(responses * size**2).reshape(responses, size, size)
    placed = []
    for g in range(len(group)):
        back = group.inverse(g)
        source = [group.compose(back, h) for h in range(responses)] if responses > 1 else [0]
        placed.append(group.act(g, weights[source]).flatten(1))
    return torch.stack(placed)


class GroupBatchNorm2d(nn.BatchNorm3d):
    """Batch normalisation with one mean and deviation a feature, the same for all its responses.

    Args:
        group: `P4` or `P4M`.
        features: C.
    """

    def __init__(self, group: Group, features: int) -> None:
        super().__init__(features)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C * G, H, W)` to the same."""
        return super().forward(by_element(self.group, x)).flatten(1, 2)


class GroupPool(nn.Module):
    """One response a feature, whichever element it came from: `(B, C * G, ...)` to `(B, C, ...)`.

    After it, a turned image gives turned maps, and averaged over the plane the same features.

    Args:
        group: `P4` or `P4M`.
        reduction: The largest response, or the mean.
    """

    def __init__(self, group: Group, reduction: Reduction = "max") -> None:
        super().__init__()
        self.group, self.reduction = group, reduction

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C * G, H, W)` to `(B, C, H, W)`."""
        x = by_element(self.group, x)
        return x.amax(2) if self.reduction == "max" else x.mean(2)


class Halve(nn.Module):
    """Half the resolution, rounded up, by means over windows that lie symmetrically at any size.

    A stride keeps pixels that lie symmetrically at odd sizes only, and a turned image then gives others.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`(..., H, W)` to `(..., H / 2, W / 2)`, rounded up."""
        height, width = x.shape[-2:]
        return functional.adaptive_avg_pool2d(x, (-(-height // 2), -(-width // 2)))
