"""Residual network with the cosine loss and, at a tenth of its weight, cross-entropy.

Source: Barz, Denzler, "Deep learning on small datasets without pre-training using cosine loss", WACV 2020.

Mechanism: the outcome is pulled towards the direction of its class by the cosine loss, and a further linear
layer on this direction learns to classify by cross-entropy. The paper found the two together best.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, so that only the loss differs.
2. Classes are orthogonal axes (their "one-hot" variant); no hierarchy of classes is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification._heads import WithFeatures
from vipriors.methods.classification.residual import Parts, Residual, head
from vipriors.priors.losses.cosine import CROSS_ENTROPY_WEIGHT, cosine_loss


class Direction(nn.Linear):
    """A linear layer whose outcome has a length of one: `(B, D)` to `(B, K)`."""

    def forward(self, features: Tensor) -> Tensor:
        """`(B, D)` to `(B, K)`."""
        return functional.normalize(super().forward(features))


def direction_head(features: int, classes: int) -> nn.Module:
    """A direction for each image, then logits made of it, which come with the direction in training."""
    return nn.Sequential(Direction(features, classes), WithFeatures(head(classes, classes)))


@dataclass(frozen=True)
class CosineCrossEntropy(Residual):
    """Hyper-parameters of the network with both losses."""

    cross_entropy: float = CROSS_ENTROPY_WEIGHT
    """Weight of cross-entropy beside the cosine loss."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {**Residual.tuning, "cross_entropy": (0.01, 1.0)}

    def parts(self) -> Parts:
        """A head with both layers."""
        return Parts(head=direction_head)

    def loss(self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """The cosine loss of the directions, and cross-entropy of the logits."""
        logits, directions = network(images)
        smoothing = self.label_smoothing
        entropy = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        return cosine_loss(directions, targets, smoothing) + self.cross_entropy * entropy
