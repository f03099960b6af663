"""Anti-aliased pooling: a low-pass filter before pixels are skipped.

Source: Zhang, "Making convolutional networks shift-invariant again", ICML 2019.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def binomial_filter(size: int) -> Tensor:
    """Pascal's row as a filter `(size, size)` that sums to 1: 3 is [1, 2, 1] / 4 both ways."""
    row = torch.tensor([float(math.comb(size - 1, k)) for k in range(size)])
    return torch.outer(row, row) / 4.0 ** (size - 1)


class BlurPool2d(nn.Module):
    """Blurs every channel with a binomial filter, then keeps every `stride`-th row and column.

    Args:
        size: Side of the filter. The map is reflected at its border and must be larger than half of this.
        stride: Every how many pixels one is kept.
    """

    blur: Tensor

    def __init__(self, size: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.stride = stride
        self.borders = ((size - 1) // 2, size // 2) * 2
        self.register_buffer("blur", binomial_filter(size)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, C, H / stride, W / stride)`, rounded up."""
        channels = x.shape[1]
        x = functional.pad(x, self.borders, mode="reflect")
        return functional.conv2d(
            x, self.blur.expand(channels, -1, -1, -1), stride=self.stride, groups=channels
        )


class MaxBlurPool2d(nn.Sequential):
    """Max pooling made anti-aliased: the maximum of every window, blurred before pixels are skipped.

    Args:
        size: Side of the windows of the maximum, odd.
        stride: Every how many pixels one is kept.
        blur: Side of the filter.
    """

    def __init__(self, size: int = 3, stride: int = 2, blur: int = 3) -> None:
        super().__init__(nn.MaxPool2d(size, 1, padding=size // 2), BlurPool2d(blur, stride))
