"""Losses that say more about the few images than cross-entropy does.

Each is a plain function of tensors, for anybody's loop. Targets are labels `(B,)`, or soft targets `(B, K)`
where images are mixed; the outcome is the mean over the batch.

>>> import torch
>>> float(cosine_loss(torch.tensor([[0.0, 3.0]]), torch.tensor([1])))
0.0
"""

from vipriors.priors.losses._targets import as_labels, as_soft
from vipriors.priors.losses.cosine import cosine_loss
from vipriors.priors.losses.feature_distillation import expected_negative, margin_relu_distance
from vipriors.priors.losses.gradient_l2 import squared_gradient
from vipriors.priors.losses.info_nce import in_batch_info_nce_loss, info_nce_loss
from vipriors.priors.losses.nuclear_norm import (
    batch_frobenius_norm_loss,
    batch_nuclear_norm_loss,
    entropy_loss,
    fast_batch_nuclear_norm_loss,
    information_loss,
    nuclear_norm,
    predicted_classes,
)
from vipriors.priors.losses.ole import orthogonal_low_rank
from vipriors.priors.losses.positive_class import positive_class_loss
from vipriors.priors.losses.t_vmf import TVmfHead, t_vmf_similarity

__all__ = [
    "TVmfHead",
    "as_labels",
    "as_soft",
    "batch_frobenius_norm_loss",
    "batch_nuclear_norm_loss",
    "cosine_loss",
    "entropy_loss",
    "expected_negative",
    "fast_batch_nuclear_norm_loss",
    "in_batch_info_nce_loss",
    "info_nce_loss",
    "information_loss",
    "margin_relu_distance",
    "nuclear_norm",
    "orthogonal_low_rank",
    "positive_class_loss",
    "predicted_classes",
    "squared_gradient",
    "t_vmf_similarity",
]
