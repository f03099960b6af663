"""Batch normalisation by the statistics of parts of a batch, as on several devices.

Source: He, Fan, Wu, Xie, Girshick, "Momentum contrast for unsupervised visual representation learning", CVPR
2020: with the statistics of the whole batch a network can tell views that were normalised together, and need
not look at what is in them. There each device normalises its part of a shuffled batch.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Module = TypeVar("Module", bound=nn.Module)


class SplitBatchNorm2d(nn.BatchNorm2d):
    """In training, batch normalisation of each of several equal parts of the batch by itself.

    Running statistics are the means over the parts. In evaluation it is `nn.BatchNorm2d`, with the same
    parameters and buffers.

    Args:
        features: C.
        groups: G, parts of a batch.
    """

    def __init__(self, features: int, groups: int) -> None:
        super().__init__(features)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W)` to the same; the first B / G images are the first part.

        Raises:
            ValueError: B is no multiple of G.
        """
        if not self.training or self.groups == 1:
            return super().forward(x)
        if len(x) % self.groups:
            raise ValueError(f"a batch of {len(x)} cannot be split in {self.groups} equal parts")
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        means, variances = (kept.repeat(self.groups, 1) for kept in (self.running_mean, self.running_var))
        parts = [
            functional.batch_norm(part, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
            for part, mean, variance in zip(x.chunk(self.groups), means, variances, strict=True)
        ]
        with torch.no_grad():
            self.running_mean.copy_(means.mean(0))
            self.running_var.copy_(variances.mean(0))
            self.num_batches_tracked.add_(1)
        return torch.cat(parts)

    def extra_repr(self) -> str:
        """The parts as well."""
        return f"{self.num_features}, groups={self.groups}"


def split_batch_norms(network: Module, groups: int) -> Module:
    """Makes every `nn.BatchNorm2d` inside a network one that splits batches; weights and names stay.

    Args:
        network: Changed in place; not itself a normalisation.
        groups: Parts of a batch.

    Returns:
        The network.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                split = SplitBatchNorm2d(child.num_features, groups)
                split.eps, split.momentum = child.eps, child.momentum
                split.load_state_dict(child.state_dict())
                parent.add_module(name, split)
    return network
