"""The inverted residual block: narrow ends, a depthwise convolution in the wide middle.

Source: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: inverted residuals and linear bottlenecks",
CVPR 2018.
"""

from __future__ import annotations

from torch import Tensor, nn


def make_divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to a width, at least one of it, and never over 10 % below it."""
    found = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * value else found


def convolution(
    inputs: int, outputs: int, size: int, stride: int = 1, *, groups: int = 1, active: bool = True
) -> list[nn.Module]:
    """A convolution without bias, its normalisation, and ReLU6 unless it is to stay linear."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return [*layers, nn.ReLU6()] if active else layers


class InvertedResidual(nn.Module):
    """Expands, filters each channel by itself, and reduces without an activation.

    The shortcut, where stride and channels allow one, joins the narrow ends.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the depthwise convolution.
        expansion: How many times wider the middle is; 1 leaves the expanding convolution out.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            *(convolution(inputs, hidden, 1) if expansion > 1 else []),
            *convolution(hidden, hidden, 3, stride, groups=hidden),
            *convolution(hidden, outputs, 1, active=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`, rounded up."""
        y: Tensor = self.body(x)
        return x + y if self.residual else y
