"""InfoNCE: another view of the same image is to be told from views of other images.

Source: van den Oord, Li, Vinyals, "Representation learning with contrastive predictive coding", 2018; with a
queue of negatives He, Fan, Wu, Xie, Girshick, "Momentum contrast for unsupervised visual representation
learning", CVPR 2020; with a margin, to make up for the few negatives that a small data set has, Zhao, Wen,
"Distilling visual priors from self-supervised learning", VIPriors workshop 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce_loss(
    queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float = 0.1, margin: float = 0.0
) -> Tensor:
    """Cross-entropy of finding the key of each query among the negatives; log(Q + 1) is guessing.

    Args:
        queries: Unit vectors `(B, D)`.
        keys: Unit vectors `(B, D)`, of other views of the same images.
        negatives: Unit vectors `(Q, D)`, of other images.
        temperature: Divides similarities.
        margin: Taken off the similarity of query and key.
    """
    # Similarities over a small temperature are too large for half precision.
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys, negatives = map(_single, (queries, keys, negatives))
        positive = (queries * keys).sum(1, keepdim=True) - margin
        logits = torch.cat([positive, queries @ negatives.T], 1) / temperature
        return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


def in_batch_info_nce_loss(queries: Tensor, keys: Tensor, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of finding the key of each query among those of the batch; log(B) is guessing.

    Args:
        queries: Unit vectors `(B, D)`.
        keys: Unit vectors `(B, D)`, of other views of the same images in the same order.
        temperature: Divides similarities.
    """
    with torch.autocast(queries.device.type, enabled=False):
        logits = _single(queries) @ _single(keys).T / temperature
        return functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def _single(vectors: Tensor) -> Tensor:
    """In single precision at least."""
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))
