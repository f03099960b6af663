"""Residual network that is equivariant to quarter turns and mirroring: convolutions on the group p4m.

Source: Cohen, Welling, "Group equivariant convolutional networks", ICML 2016.

Mechanism: each filter is used in its eight positions, turned and mirrored, and each feature has eight
responses. The largest of them is taken at the end, so that the answer is the same for the image turned or
mirrored.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The network of `residual` and its recipe. Stages have sqrt(2) / 8 as many features (8 responses each):
   about twice the operations of `residual` with a quarter of its weights.
2. Maps are reduced by means over symmetric windows instead of strides, which are not equivariant at even
   sizes.
3. Large images are halved by means before and after the first convolution, of 7x7 pixels.

Not for images that mean something else when turned or mirrored, as digits and letters do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vipriors.methods.classification.group_p4 import GroupP4
from vipriors.methods.classification.residual import Residual
from vipriors.priors.layers.group import P4M, Group


@dataclass(frozen=True)
class GroupP4M(GroupP4):
    """Hyper-parameters of the network on the group p4m."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets
    group: ClassVar[Group] = P4M
