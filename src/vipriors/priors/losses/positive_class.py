"""Positive-class loss: raises the score of the true class and leaves the others alone.

Source: named by Sun et al., "Visual inductive priors framework for data-efficient image classification",
VIPriors workshop 2020. Their formula is not clear; this is the reading of Brigato, Barz, Iocchi, Denzler in
their benchmark GEM (IEEE Access 2022): the positive half of binary cross-entropy.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from vipriors.priors.losses._targets import as_soft


def positive_class_loss(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean of `-log sigmoid(logit of the true class)`.

    Alone it is least when every logit is large: it needs a loss beside it that sets classes apart.

    Args:
        logits: `(B, K)`.
        targets: Labels `(B,)`, or soft targets `(B, K)`.
        label_smoothing: Share of each target spread evenly over all classes.
    """
    soft = as_soft(targets, logits.shape[1], label_smoothing)
    return -(soft * functional.logsigmoid(logits.float())).sum(1).mean()
