"""Cosine loss: only the direction of the outcome counts, so a few images cannot be fitted by growing it.

Source: Barz, Denzler, "Deep learning on small datasets without pre-training using cosine loss", WACV 2020.
They also add cross-entropy of a further linear layer, with a weight of 0.1.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from vipriors.priors.losses._targets import as_soft

CROSS_ENTROPY_WEIGHT = 0.1
"""The published weight of cross-entropy beside the cosine loss."""


def cosine_loss(embeddings: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """One less the cosine between embeddings and the classes' directions, which are the axes.

    Args:
        embeddings: `(B, K)`, an axis for each class.
        targets: Labels `(B,)`, or soft targets `(B, K)`: then the cosine with these.
        label_smoothing: Share of each target spread evenly over all classes.
    """
    soft = as_soft(targets, embeddings.shape[1], label_smoothing)
    return (1 - functional.cosine_similarity(embeddings.float(), soft, dim=1)).mean()
