"""Residual network with OLÉ: features of a class of low rank, those of other classes orthogonal.

Source: Lezama, Qiu, Musé, Sapiro, "OLÉ: orthogonal low-rank embedding, a plug and play geometric loss for
deep learning", CVPR 2018.

Mechanism: beside cross-entropy, the sum of singular values of each class' features is made small and that of
all features large. Both are equal when the classes lie in orthogonal subspaces.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, so that only the loss differs.
2. Batches have few images of each class, the batch being that of `residual`.
3. The network's weight decay is tuned with it; the paper sets both by hand for every data set.
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
from vipriors.priors.losses.ole import orthogonal_low_rank


@dataclass(frozen=True)
class Ole(Residual):
    """Hyper-parameters of the network with OLÉ."""

    low_rank: float = 0.25
    """Weight of the low-rank loss beside cross-entropy."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {**Residual.tuning, "low_rank": (0.03, 3.0)}

    def parts(self) -> Parts:
        """A head that shows the loss its features."""
        return Parts(head=lambda features, classes: WithFeatures(head(features, classes)))

    def loss(self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy, and the low-rank loss of the features."""
        logits, features = network(images)
        entropy = functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return entropy + self.low_rank * orthogonal_low_rank(features, targets)
