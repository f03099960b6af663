"""Residual network on wavelet scattering: the first layers are fixed wavelets, not learned.

Source: Oyallon, Belilovsky, Zagoruyko, "Scaling the scattering transform: deep hybrid networks", ICCV 2017;
Bruna, Mallat, "Invariant scattering convolution networks", TPAMI 2013.

Mechanism: the image passes Morlet wavelets of several scales and directions and their moduli, blurred. A
small network learns from these maps, which change little when the image moves or is slightly deformed.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The blocks of `residual`, with its recipe; as many of its first reductions are left out as the wavelets
   make.
2. One scale on tiny images, which has no second order; two in the preset `full`, as published for CIFAR.
3. Maps are normalised by batch before the network, as the published hybrid does.

The recorded operations leave out the Fourier transforms of the wavelets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from vipriors.methods.classification.residual import Residual, residual_network
from vipriors.priors.layers.scattering import Scattering2d


@dataclass(frozen=True)
class Scattering(Residual):
    """Hyper-parameters of the network on scattering."""

    scales: int = 1
    """J: the wavelets reduce the image by 2^J."""
    directions: int = 8
    """L, directions of the wavelets over a half turn."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {**values, "scales": 2 if name == "full" else 1} for name, values in Residual.presets.items()
    }

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes)`."""
        channels, height, width = image_shape
        scattering = Scattering2d((height, width), self.scales, self.directions)
        maps = channels * scattering.factor
        learned = residual_network(
            maps,
            classes,
            stem=self.width,
            widths=tuple(self.width * 2**stage for stage in range(self.stages)),
            strides=tuple(1 if stage <= self.scales else 2 for stage in range(self.stages)),
            blocks=self.blocks,
            image_size=min(height, width) // 2**self.scales,
        )
        return nn.Sequential(scattering, nn.BatchNorm2d(maps), learned)
