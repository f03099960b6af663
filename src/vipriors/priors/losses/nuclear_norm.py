"""What predictions without labels should look like: sure, and not all of one class.

All take probabilities `(B, K)`, not logits, whose norm has no bound, and are to be made small.

Source: Cui, Wang, Zhuo, Li, Huang, Tian, "Towards discriminability and diversity: batch nuclear-norm
maximization under label insufficient situations", CVPR 2020, and "Fast batch nuclear-norm maximization and
minimization for robust domain adaptation", arXiv 2107.06154, for the fast variant.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SMALLEST = 1e-12
"""Probability below which a logarithm is cut."""


def nuclear_norm(matrix: Tensor, threshold: float = 1e-6) -> Tensor:
    """Sum of the singular values of `(N, D)`; its gradient is `U V^T`, whatever values are equal.

    The norm has no gradient where a singular value is zero; there the pair of singular vectors is left
    out: the subgradient is `U V^T` of the singular values over the threshold, the smallest that there is.
    """
    with torch.no_grad():
        u, values, v = torch.linalg.svd(matrix, full_matrices=False)
        subgradient = (u * (values > threshold)) @ v
    # Its inner product with the matrix is the norm, and has it as gradient.
    norm: Tensor = (subgradient * matrix).sum()
    return norm


def batch_nuclear_norm_loss(probabilities: Tensor) -> Tensor:
    """Less the nuclear norm, over the number of images: from `-sqrt(min(B, K) / B)` to `-1 / sqrt(B)`.

    Small where rows are near one class and classes near equal in number: of rows that are sure the norm is
    the sum of the square roots of the classes' counts. Keep B at twice K or more: the rank is at most B.
    """
    probabilities = _as_float(probabilities)
    return -nuclear_norm(probabilities) / len(probabilities)


def fast_batch_nuclear_norm_loss(probabilities: Tensor) -> Tensor:
    """The same with the norms of the columns, the largest min(B, K) of them, in the place of singular values.

    It is equal where columns are orthogonal, as of rows that are sure.
    """
    probabilities = _as_float(probabilities)
    columns = probabilities.square().sum(0).clamp(min=SMALLEST**2).sqrt()
    return -columns.topk(min(probabilities.shape)).values.sum() / len(probabilities)


def batch_frobenius_norm_loss(probabilities: Tensor) -> Tensor:
    """Less the Frobenius norm, over the number of images: sure rows, with no wish for many classes."""
    probabilities = _as_float(probabilities)
    norm: Tensor = torch.linalg.vector_norm(probabilities)
    return -norm / len(probabilities)


def entropy_loss(probabilities: Tensor) -> Tensor:
    """Entropy minimisation: the rows' mean entropy as a share of that of even probabilities, 0 to 1.

    Source: Grandvalet, Bengio, "Semi-supervised learning by entropy minimization", NeurIPS 2004.
    """
    probabilities = _as_float(probabilities)
    return _entropy(probabilities).mean()


def information_loss(probabilities: Tensor) -> Tensor:
    """Information maximisation: the mean entropy less the entropy of the mean prediction, -1 to 0.

    Source: Krause, Perona, Gomes, "Discriminative clustering by regularized information maximization",
    NeurIPS 2010.
    """
    probabilities = _as_float(probabilities)
    return _entropy(probabilities).mean() - _entropy(probabilities.mean(0))


def predicted_classes(probabilities: Tensor) -> int:
    """How many of the K classes are the most likely one of some row of `(B, K)`: the batch's diversity."""
    return len(torch.unique(probabilities.argmax(1)))


def _entropy(probabilities: Tensor) -> Tensor:
    """Entropy along the last axis, as a share of the largest."""
    logarithms = probabilities.clamp(min=SMALLEST).log()
    return -(probabilities * logarithms).sum(-1) / math.log(probabilities.shape[-1])


def _as_float(probabilities: Tensor) -> Tensor:
    """In float32 at least: singular values of halves are not to be trusted."""
    return probabilities if probabilities.dtype == torch.float64 else probabilities.float()
