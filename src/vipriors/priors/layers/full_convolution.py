"""Full convolution: padding after which no filter can tell where in the image it is.

Source: Kayhan, van Gemert, "On translation invariance in CNNs: convolutional layers can exploit absolute
spatial location", CVPR 2020.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class FullConv2d(nn.Conv2d):
    """A convolution that puts every weight of its filters on every pixel: padded by `size - 1` a side.

    With the usual padding a border pixel is never seen by some of the weights, so a filter can answer at one
    border only, and so learn where it is. Here an image on a larger empty canvas has the same response
    wherever it lies.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        size: Side of the filters.
        stride: Of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, padding=size - 1, bias=False)


def grown(x: Tensor, border: int) -> Tensor:
    """Zeros around a map: `(B, C, H, W)` to `(B, C, H + 2 border, W + 2 border)`."""
    return functional.pad(x, (border,) * 4)


def shortcut_border(sizes: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How far a shortcut is grown to lie on the outcome of the full convolutions that it goes around.

    The shortcut is grown by this much and then skips pixels with the product of the strides.

    Args:
        sizes: Sides of the filters, all odd, in order.
        strides: Their strides.
    """
    border, step = 0, 1
    for size, stride in zip(sizes, strides, strict=True):
        border += step * (size - 1) // 2
        step *= stride
    return border
