"""Harmonic convolution: filters that are learned combinations of a fixed cosine basis.

Source: Ulicny, Krylov, Dahyot, "Harmonic convolutional networks based on discrete cosine transform", Pattern
Recognition 2022 (first at EUSIPCO 2019). The basis here is orthonormal; theirs is divided by each filter's L1
norm, which only rescales the weights.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def cosine_basis(size: int, level: int | None = None) -> Tensor:
    """The two-dimensional DCT-II as filters `(F, size, size)`, orthonormal; the mean comes first.

    Args:
        size: Side of the filters.
        level: Keeps the frequencies `(u, v)` with `u + v < level`; all `size²` by default.
    """
    place = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi / size * (place + 0.5) * place[:, None]) * math.sqrt(2 / size)
    waves[0] *= math.sqrt(0.5)
    kept = 2 * size if level is None else level
    chosen = [torch.outer(waves[u], waves[v]) for u in range(size) for v in range(size) if u + v < kept]
    return torch.stack(chosen).float()


class HarmonicConv2d(nn.Module):
    """A convolution whose filters are weighted sums of cosine waves.

    Both ways of computing it give the same: `filters` sums the waves to filters and convolves once,
    `responses` convolves with every wave and sums the responses, which is how the paper introduces it.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        size: Side of the filters.
        stride: Of the convolution.
        level: Keeps frequencies `u + v < level`, a smoother filter with fewer weights; all by default.
        way: How it is computed.
    """

    basis: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        stride: int = 1,
        *,
        level: int | None = None,
        way: Literal["filters", "responses"] = "filters",
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.way = stride, size // 2, way
        self.register_buffer("basis", cosine_basis(size, level), persistent=False)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, len(self.basis)))
        # In an orthonormal basis these weights are He's initial filters (fan out).
        nn.init.normal_(self.weight, std=math.sqrt(2 / (outputs * size**2)))

    def filters(self) -> Tensor:
        """The filters that the weights make, `(outputs, inputs, size, size)`."""
        return torch.einsum("oif,fhw->oihw", self.weight, self.basis)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`, rounded up."""
        if self.way == "filters":
            return functional.conv2d(x, self.filters(), stride=self.stride, padding=self.padding)
        inputs = x.shape[1]
        waves = self.basis[:, None].repeat(inputs, 1, 1, 1)
        responses = functional.conv2d(x, waves, stride=self.stride, padding=self.padding, groups=inputs)
        return functional.conv2d(responses, self.weight.flatten(1)[:, :, None, None])
