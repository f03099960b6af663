"""Residual network of full convolutions, whose filters cannot tell where in the image they are.

Source: Kayhan, van Gemert, "On translation invariance in CNNs: convolutional layers can exploit absolute
spatial location", CVPR 2020; the baseline of the VIPriors challenge of 2020.

Mechanism: images and maps are padded until every weight of a filter has met every pixel, so that an object at
the border is seen as one in the middle. Shortcuts are padded to lie on what they go around.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, so that only the borders differ.
2. Shortcuts skip rows and columns before their 1x1 convolution, not by its stride, which is the same.
3. Large images are max-pooled 2x2 without padding after the first convolution, as in the authors' code.

Maps grow at every convolution; at 8 px this costs about 7 times the operations of `residual`, at 28 px twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification.residual import Block, Parts, Residual
from vipriors.priors.layers.full_convolution import FullConv2d, grown, shortcut_border


class FullBlock(Block):
    """A residual block of full convolutions: `(B, inputs, H, W)` to maps larger by four before the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, stride)
        self.conv1 = FullConv2d(inputs, outputs, 3, stride)
        self.conv2 = FullConv2d(outputs, outputs, 3)
        self.border = shortcut_border((3, 3), (stride, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H + 4, W + 4)`; with a stride of 2 about half of that."""
        active = functional.relu(self.norm1(x))
        if self.shortcut is None:
            skip = grown(x, self.border)
        else:
            skip = self.shortcut(grown(active, self.border)[:, :, :: self.stride, :: self.stride])
        residual: Tensor = self.conv2(functional.relu(self.norm2(self.conv1(active))))
        return skip + residual


def full_stem(channels: int, outputs: int, reduces: bool) -> list[nn.Module]:
    """The first convolution, full."""
    if not reduces:
        return [FullConv2d(channels, outputs, 3)]
    return [FullConv2d(channels, outputs, 7, 2), nn.MaxPool2d(2)]


@dataclass(frozen=True)
class FullConvolution(Residual):
    """Hyper-parameters of the network of full convolutions."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets

    def parts(self) -> Parts:
        """Full convolutions in the place of all but the 1x1 ones."""
        return Parts(stem=full_stem, block=FullBlock)
