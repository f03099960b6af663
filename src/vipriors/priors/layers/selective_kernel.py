"""Selective kernels: features seen through kernels of several sizes, mixed by learned attention.

Source: Li, Wang, Hu, Yang, "Selective kernel networks", CVPR 2019. The dual form is of Sun et al., "Visual
inductive priors framework for data-efficient image classification" (VIPriors workshop 2020), as Brigato,
Barz, Iocchi, Denzler read it in their benchmark GEM (IEEE Access 2022): two such branches, one of which
is drawn at every training step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.priors.layers.blur_pool import BlurPool2d


def mix_branches(branches: Tensor, scores: Tensor) -> Tensor:
    """Mean of the branches, weighted for every image and channel by a softmax of the scores.

    Args:
        branches: `(B, M, C, H, W)`, M branches.
        scores: `(B, M, C)`.

    Returns:
        `(B, C, H, W)`.
    """
    return (branches * scores.softmax(1)[..., None, None]).sum(1)


class SelectiveKernel2d(nn.Module):
    """3x3 convolutions of growing dilation, normalised, rectified and mixed channel by channel.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Pixels are skipped after a blur.
        branches: M, kernels to choose from; the m-th has dilation m.
        groups: Of the convolutions; must divide both numbers of channels.
        reduction: Of the channels in the bottleneck of the attention.
        least: Features of that bottleneck at the least.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        branches: int = 2,
        groups: int = 1,
        reduction: int = 16,
        least: int = 32,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.branches = nn.ModuleList()
        for dilation in range(1, branches + 1):
            layers: list[nn.Module] = [
                nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, groups=groups, bias=False)
            ]
            layers += [BlurPool2d(stride=stride)] if stride > 1 else []
            self.branches.append(nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU()))
        features = max(outputs // reduction, least)
        self.squeeze = nn.Linear(outputs, features, bias=False)
        self.norm = nn.LayerNorm(features)
        self.score = nn.Linear(features, branches * outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`."""
        seen = torch.stack([branch(x) for branch in self.branches], 1)
        squeezed = functional.relu(self.norm(self.squeeze(seen.sum(1).mean((2, 3)))))
        return mix_branches(seen, self.score(squeezed).unflatten(1, (-1, self.outputs)))


class Dual(nn.Module):
    """Two branches: one of them, drawn anew at every call, in training; their mean otherwise.

    Args:
        first: Any module.
        second: One of the same shape.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """What the branches make of `x`."""
        if not self.training:
            return torch.lerp(self.first(x), self.second(x), 0.5)
        # Drawn on the CPU, so that no device waits for it. The other branch costs nothing and learns nothing.
        drawn: Tensor = (self.first, self.second)[int(torch.randint(2, (), device="cpu"))](x)
        return drawn
