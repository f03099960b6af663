"""Residual network of harmonic convolutions: every filter is a sum of cosine waves.

Source: Ulicny, Krylov, Dahyot, "Harmonic convolutional networks based on discrete cosine transform", Pattern
Recognition 2022; the best of the methods compared by Brigato et al. in their benchmark GEM (IEEE Access
2022).

Mechanism: each 3x3 filter is a weighted sum of the nine waves of the discrete cosine transform, and the
weights are learned. Weight decay and early training so act on frequencies and not on pixels.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, so that only the filters differ.
2. The waves are orthonormal, not divided by their L1 norm.
3. No normalisation between the waves' responses and their sum.
4. Filters are made first and convolved once, which gives the same as summing responses and costs less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import nn

from vipriors.methods.classification.residual import Block, Parts, Residual
from vipriors.priors.layers.harmonic import HarmonicConv2d


class HarmonicBlock(Block):
    """A residual block of harmonic convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int, level: int) -> None:
        super().__init__(inputs, outputs, stride)
        self.conv1 = HarmonicConv2d(inputs, outputs, 3, stride, level=level)
        self.conv2 = HarmonicConv2d(outputs, outputs, 3, level=level)


def harmonic_stem(channels: int, outputs: int, reduces: bool) -> list[nn.Module]:
    """The first convolution, of all frequencies."""
    if not reduces:
        return [HarmonicConv2d(channels, outputs, 3)]
    return [HarmonicConv2d(channels, outputs, 7, 2), nn.MaxPool2d(3, 2, padding=1)]


@dataclass(frozen=True)
class Harmonic(Residual):
    """Hyper-parameters of the harmonic network."""

    level: int = 5
    """Frequencies (u, v) with u + v below this are used in the blocks; 5 is all of a 3x3 filter."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets

    def parts(self) -> Parts:
        """Harmonic convolutions in the place of all but the 1x1 ones."""
        return Parts(stem=harmonic_stem, block=partial(HarmonicBlock, level=self.level))
