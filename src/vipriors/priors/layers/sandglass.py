"""The sandglass block: wide ends with the shortcut and the depthwise convolutions, a narrow linear middle.

Source: Zhou, Hou, Chen, Feng, Yan, "Rethinking bottleneck structure for efficient mobile network design",
ECCV 2020.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from vipriors.priors.layers.inverted_residual import convolution, make_divisible

Spatial = Literal["wide", "narrow", "one"]


def hidden_width(inputs: int, outputs: int, reduction: int) -> int:
    """Channels of the middle: a part of those in, but no less than a sixth of those out, in sixteens."""
    hidden = inputs // reduction
    return make_divisible(math.ceil(outputs / 6), 16) if hidden < outputs / 6 else hidden


class Sandglass(nn.Module):
    """Filters wide, reduces without an activation, expands, filters wide again without an activation.

    The shortcut, where stride and channels allow one, joins the wide ends; nothing follows the addition.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the last depthwise convolution; without one, of the reduction.
        reduction: How many times narrower the middle is; see `hidden_width`.
        first: Whether there is a depthwise convolution on the channels in.
        last: Whether there is one on the channels out; needed where a stride is.
        identity: Divides the channels that the shortcut carries: 1 carries all, 2 the first half of them.
        spatial: Where the depthwise convolutions are: at the `wide` ends. As ablations both in the `narrow`
            middle, or only `one`, the last.
        linear: Whether the middle is without an activation; False is an ablation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        reduction: int = 6,
        *,
        first: bool = True,
        last: bool = True,
        identity: int = 1,
        spatial: Spatial = "wide",
        linear: bool = True,
    ) -> None:
        super().__init__()
        if stride > 1 and not last:
            raise ValueError("a stride needs the last depthwise convolution")
        hidden = hidden_width(inputs, outputs, reduction)
        wide = spatial != "narrow"
        before = after = hidden
        if wide:
            before, after = inputs, outputs
        opening = convolution(before, before, 3, groups=before) if first and spatial != "one" else []
        closing = convolution(after, after, 3, stride, groups=after, active=not wide) if last else []
        reduce = convolution(inputs, hidden, 1, active=not linear)
        expand = convolution(hidden, outputs, 1, active=wide)
        self.body = nn.Sequential(
            *([*opening, *reduce, *expand, *closing] if wide else [*reduce, *opening, *closing, *expand])
        )
        self.carried = outputs // identity if stride == 1 and inputs == outputs else 0

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`, rounded up."""
        y: Tensor = self.body(x)
        if not self.carried:
            return y
        # Not added in place: the released code writes to a slice of what normalisation returned, which
        # compilers copy or reject.
        carried = self.carried
        if carried == y.shape[1]:
            return x + y
        return torch.cat((x[:, :carried] + y[:, :carried], y[:, carried:]), 1)
