"""Layers that build knowledge into a network: what they do holds from the first step, without an image.

Each is a plain `nn.Module` for anybody's network, with maps `(B, C, H, W)`:

>>> import torch
>>> from vipriors.priors.layers import P4, GroupConv2d, GroupPool, Halve
>>> network = torch.nn.Sequential(GroupConv2d(P4, 3, 8, lifts=True), torch.nn.ReLU(), GroupPool(P4))
>>> network(torch.rand(2, 3, 32, 32)).shape
torch.Size([2, 8, 32, 32])
"""

from vipriors.priors.layers.blur_pool import BlurPool2d, MaxBlurPool2d
from vipriors.priors.layers.full_convolution import FullConv2d
from vipriors.priors.layers.group import P4, P4M, Group, GroupBatchNorm2d, GroupConv2d, GroupPool, Halve
from vipriors.priors.layers.harmonic import HarmonicConv2d
from vipriors.priors.layers.inverted_residual import InvertedResidual
from vipriors.priors.layers.point_rendering import PointHead
from vipriors.priors.layers.sandglass import Sandglass
from vipriors.priors.layers.scattering import Scattering2d
from vipriors.priors.layers.selective_kernel import Dual, SelectiveKernel2d
from vipriors.priors.layers.split_batch_norm import SplitBatchNorm2d, split_batch_norms

__all__ = [
    "P4",
    "P4M",
    "BlurPool2d",
    "Dual",
    "FullConv2d",
    "Group",
    "GroupBatchNorm2d",
    "GroupConv2d",
    "GroupPool",
    "Halve",
    "HarmonicConv2d",
    "InvertedResidual",
    "MaxBlurPool2d",
    "PointHead",
    "Sandglass",
    "Scattering2d",
    "SelectiveKernel2d",
    "SplitBatchNorm2d",
    "split_batch_norms",
]
