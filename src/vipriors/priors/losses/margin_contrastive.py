"""Contrastive loss with a margin: two views of an image must be close by more than other images are.

Source: He, Fan, Wu, Xie, Girshick, "Momentum contrast for unsupervised visual representation learning", CVPR
2020, without the margin; Zhao, Wen, "Distilling visual priors from self-supervised learning", VIPriors
workshop 2020, with it, to make up for the few negatives that a small data set has.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def margin_contrastive_loss(
    queries: Tensor, keys: Tensor, negatives: Tensor, margin: float = 0.4, temperature: float = 0.2
) -> Tensor:
    """Cross-entropy of finding the key of each query among the negatives.

    Args:
        queries: Unit vectors `(B, D)`.
        keys: Unit vectors `(B, D)`, of other views of the same images.
        negatives: Unit vectors `(Q, D)`, of other images.
        margin: Taken off the similarity of query and key; 0 is momentum contrast.
        temperature: Divides similarities.
    """
    positive = (queries * keys).sum(1, keepdim=True) - margin
    logits = torch.cat([positive, queries @ negatives.T], 1).float() / temperature
    return functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))
