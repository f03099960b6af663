"""Labels and soft targets, one as the other."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def as_soft(targets: Tensor, classes: int, label_smoothing: float = 0.0) -> Tensor:
    """Labels `(B,)` or soft targets `(B, K)` as soft ones, a share of them spread over all classes."""
    soft = targets if targets.ndim == 2 else functional.one_hot(targets, classes).float()
    return soft * (1 - label_smoothing) + label_smoothing / classes


def as_labels(targets: Tensor) -> Tensor:
    """Labels `(B,)` of labels, or the likeliest of soft targets `(B, K)`."""
    return targets.argmax(1) if targets.ndim == 2 else targets
