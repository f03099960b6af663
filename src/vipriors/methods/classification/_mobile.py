"""Networks of rows of one kind of block, as those for phones are described in their papers' tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from vipriors.priors.layers.inverted_residual import convolution, make_divisible

SMALLEST = 4
"""Pixels along the shorter side of the last maps, at least, of images that have as many."""


class Row(NamedTuple):
    """Some blocks of the same width."""

    ratio: int
    """Of the block's wide to its narrow part."""
    channels: int
    blocks: int
    stride: int
    """Of the first block."""


@dataclass(frozen=True)
class Layout:
    """A network as its table gives it."""

    stem: int
    """Channels of the first convolution."""
    rows: tuple[Row, ...]
    stem_stride: int = 1
    head: int = 0
    """Channels of a 1x1 convolution after the last block; 0 has none."""


MakeBlock = Callable[[int, int, int, int, bool], nn.Module]
"""Of channels in and out, stride, ratio, and whether it is the only block of its row."""


def fitting_strides(strides: tuple[int, ...], image_size: int) -> tuple[int, ...]:
    """Strides of 2 that leave the last maps at least `SMALLEST` pixels: the first ones are dropped."""
    allowed = max(0, int(math.log2(max(image_size, SMALLEST) / SMALLEST)))
    drop, found = max(0, strides.count(2) - allowed), []
    for stride in strides:
        found.append(1 if stride == 2 and drop else stride)
        drop -= stride == 2 and drop > 0
    return tuple(found)


def mobile_network(
    channels: int,
    classes: int,
    layout: Layout,
    block: MakeBlock,
    *,
    image_size: int,
    width: float = 1.0,
    dropout: float = 0.0,
) -> nn.Sequential:
    """A stem, rows of blocks, perhaps a head, global average pooling and a linear layer.

    Args:
        channels: Of the images.
        classes: Number of logits.
        layout: The table.
        block: Makes a block.
        image_size: Shorter side in pixels; small images are not reduced as often, see `fitting_strides`.
        width: Multiplies all channels, in eights; the last width does not shrink where it is the features'
            of a network for large images (1,280 or more).
        dropout: Share of features dropped before the linear layer.
    """
    stem_stride, *strides = fitting_strides(
        (layout.stem_stride, *(row.stride for row in layout.rows)), image_size
    )
    inputs = make_divisible(layout.stem * width)
    layers: list[nn.Module] = convolution(channels, inputs, 3, stem_stride)
    for (ratio, wanted, blocks, _), stride in zip(layout.rows, strides, strict=True):
        outputs = _scaled(wanted, width)
        for number in range(blocks):
            layers.append(block(inputs, outputs, stride if number == 0 else 1, ratio, blocks == 1))
            inputs = outputs
    if layout.head:
        outputs = _scaled(layout.head, width)
        layers += convolution(inputs, outputs, 1)
        inputs = outputs
    linear = nn.Linear(inputs, classes)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    pooled: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    network = nn.Sequential(*layers, *pooled, linear)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def _scaled(channels: int, width: float) -> int:
    return channels if channels >= 1280 and width < 1 else make_divisible(channels * width)
