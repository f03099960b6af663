"""t-vMF similarity: a cosine with a heavy-tailed peak, so that images of a class gather closely.

Source: Kobayashi, "T-vMF similarity for regularizing intra-class feature distribution", CVPR 2021. The
learned scale is that of the author's code: 1 + softplus of a weight that starts at 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def t_vmf_similarity(cosine: Tensor, kappa: float) -> Tensor:
    """`(1 + cos) / (1 + kappa (1 - cos)) - 1`, from -1 to 1; with a kappa of 0 the cosine itself.

    Args:
        cosine: Of any shape.
        kappa: Concentration, over -1/2: the higher, the narrower the peak.
    """
    return (1 + cosine) / (1 + kappa * (1 - cosine)) - 1


class TVmfHead(nn.Module):
    """Logits that are scaled t-vMF similarities between features and the classes' directions.

    Args:
        features: D.
        classes: K.
        kappa: Concentration.
    """

    def __init__(self, features: int, classes: int, kappa: float = 16.0) -> None:
        super().__init__()
        self.kappa = kappa
        self.weight = nn.Parameter(torch.empty(classes, features))
        nn.init.normal_(self.weight)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """`(B, D)` to `(B, K)`."""
        cosine = functional.linear(functional.normalize(features), functional.normalize(self.weight))
        return (1 + functional.softplus(self.scale)) * t_vmf_similarity(cosine.float(), self.kappa)
