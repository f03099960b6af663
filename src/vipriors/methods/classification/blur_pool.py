"""Residual network with anti-aliased pooling: maps are blurred before pixels are skipped.

Source: Zhang, "Making convolutional networks shift-invariant again", ICML 2019.

Mechanism: a strided convolution becomes one without a stride and a binomial blur before pixels are skipped.
The answer then changes less when the image moves by a pixel, which few images cannot teach.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, so that only the pooling differs.
2. Pre-activation blocks: the blur comes after the second normalisation and its rectification, and in the
   shortcut before the 1x1 convolution, where it commutes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification.residual import Block, Parts, Residual
from vipriors.priors.layers.blur_pool import BlurPool2d, MaxBlurPool2d


class BlurBlock(Block):
    """A residual block that blurs where it skips pixels."""

    def __init__(self, inputs: int, outputs: int, stride: int, size: int) -> None:
        super().__init__(inputs, outputs, stride)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.pool = BlurPool2d(size, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`, rounded up."""
        active = functional.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(self.pool(active))
        residual: Tensor = self.conv2(self.pool(functional.relu(self.norm2(self.conv1(active)))))
        return skip + residual


def blur_stem(channels: int, outputs: int, reduces: bool) -> list[nn.Module]:
    """The first convolution; large images are reduced by a blur and by anti-aliased max pooling."""
    if not reduces:
        return [nn.Conv2d(channels, outputs, 3, padding=1, bias=False)]
    return [nn.Conv2d(channels, outputs, 7, 2, padding=3, bias=False), MaxBlurPool2d()]


@dataclass(frozen=True)
class BlurPool(Residual):
    """Hyper-parameters of the network with anti-aliased pooling."""

    size: int = 3
    """Side of the blur: 3 is [1, 2, 1] / 4 both ways."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets

    def parts(self) -> Parts:
        """Blocks that blur where they skip pixels."""
        return Parts(stem=blur_stem, block=partial(BlurBlock, size=self.size))
