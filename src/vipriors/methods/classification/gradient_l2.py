"""Residual network with a gradient penalty: the loss should change little with the image.

Source: Drucker, LeCun, "Improving generalization performance using double backpropagation", IEEE Transactions
on Neural Networks 1992; Bietti, Mialon, Chen, Mairal, "A kernel perspective for regularizing deep neural
networks", ICML 2019.

Mechanism: beside cross-entropy, the squared norm of its gradient by the image is made small. The network is
so smooth around the few images that it has, in a way that bounds a norm of it in a function space.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the papers:
1. The small network of `residual`, with its recipe, so that only the loss differs.
2. It keeps its batch normalisation, by which images of a batch share their gradients.
3. The gradient is by pixels in [0, 1], not by standardised ones.

A step differentiates twice; it can't be compiled (`torch.compile` has no double backward).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification.residual import Residual
from vipriors.priors.losses.gradient_l2 import squared_gradient


@dataclass(frozen=True)
class GradientL2(Residual):
    """Hyper-parameters of the network with a gradient penalty."""

    penalty: float = 0.01
    """Weight of the mean squared gradient beside cross-entropy."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {**Residual.tuning, "penalty": (1e-4, 1.0)}

    def loss(self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy, and the squared norm of its gradient by the images."""
        images = images.detach().requires_grad_()
        losses = functional.cross_entropy(
            network(images), targets, label_smoothing=self.label_smoothing, reduction="none"
        )
        return losses.mean() + self.penalty * squared_gradient(losses, images)
