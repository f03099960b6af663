"""Residual network with the cosine loss instead of cross-entropy.

Source: Barz, Denzler, "Deep learning on small datasets without pre-training using cosine loss", WACV 2020.

Mechanism: the loss is one less the cosine between the outcome and the axis of the true class. Only its
direction counts, so that the few training images cannot be fitted better by making outcomes large.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, so that only the loss differs.
2. Classes are orthogonal axes (their "one-hot" variant); no hierarchy of classes is used.
3. Probabilities, which the paper has no need of, are a softmax of the cosines times `sharpness`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification.residual import Parts, Residual
from vipriors.priors.losses.cosine import cosine_loss


class CosineHead(nn.Linear):
    """Logits that are cosines with the classes' axes, times a constant.

    Args:
        features: D.
        classes: K.
        sharpness: The constant; it changes probabilities only, never the loss.
    """

    def __init__(self, features: int, classes: int, sharpness: float) -> None:
        super().__init__(features, classes)
        self.sharpness = sharpness

    def forward(self, features: Tensor) -> Tensor:
        """`(B, D)` to `(B, K)`."""
        return self.sharpness * functional.normalize(super().forward(features))


@dataclass(frozen=True)
class Cosine(Residual):
    """Hyper-parameters of the network with the cosine loss."""

    sharpness: float = 7.0
    """Of probabilities: with 7 a perfect answer among ten classes has 0.99."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets

    def parts(self) -> Parts:
        """A head whose logits are cosines."""
        return Parts(head=partial(CosineHead, sharpness=self.sharpness))

    def loss(self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """The cosine loss."""
        return cosine_loss(network(images), targets, self.label_smoothing)
