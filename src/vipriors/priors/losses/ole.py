"""OLÉ: features of one class in a subspace of low rank, those of other classes orthogonal to it.

Source: Lezama, Qiu, Musé, Sapiro, "OLÉ: orthogonal low-rank embedding, a plug and play geometric loss for
deep learning", CVPR 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vipriors.priors.losses._targets import as_labels
from vipriors.priors.losses.nuclear_norm import nuclear_norm


def orthogonal_low_rank(features: Tensor, targets: Tensor, least: float = 1.0) -> Tensor:
    """Nuclear norms of the classes' features, less that of all features, over the number of images.

    It is never negative when no class falls under `least`, and 0 where the classes are orthogonal.

    Args:
        features: `(B, D)`.
        targets: Labels `(B,)`; of soft targets `(B, K)` the likeliest class counts.
        least: A class whose norm is smaller counts as this and is left alone, or features would vanish.
    """
    features, labels = features.float(), as_labels(targets)
    classes = [nuclear_norm(features[labels == label]).clamp(min=least) for label in torch.unique(labels)]
    return (torch.stack(classes).sum() - nuclear_norm(features)) / len(features)
