"""Cross-entropy over the pixels that have a class, and how much each of them counts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vipriors.methods.protocol import IGNORED


def pixel_cross_entropy(
    logits: Tensor, maps: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Weighted mean cross-entropy of the pixels that are not ignored; 0 where all are.

    Args:
        logits: `(B, K, h, w)`, resized bilinearly to the maps where they are smaller.
        maps: Classes `(B, H, W)`, or `IGNORED`.
        weights: How much a pixel of each class counts, `(K,)`; all the same by default.
        label_smoothing: Share of each target spread evenly over all classes.
    """
    logits = resized(logits.float(), maps.shape[1:])
    targets = maps.long()
    losses = functional.cross_entropy(
        logits, targets, ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="none"
    )
    counts = (targets != IGNORED).to(losses.dtype)
    if weights is not None:
        counts = counts * weights[targets.clamp(max=len(weights) - 1)]
    return (losses * counts).sum() / counts.sum().clamp(min=1e-6)


def resized(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Logits `(B, K, h, w)` at another size, bilinearly."""
    if logits.shape[2:] == size:
        return logits
    return functional.interpolate(logits, size, mode="bilinear", align_corners=False)


def class_weights(maps: NDArray[np.uint8], classes: int, power: float) -> Tensor:
    """Weights `(K,)` that grow as classes get rarer: frequency to the power `-power`, 1 for a mean pixel.

    Args:
        maps: `(N, H, W)`.
        classes: K. One without a pixel counts as the rarest that has some.
        power: 0 weighs all alike; 1 makes all classes count the same in total.
    """
    counts = np.bincount(maps.ravel(), minlength=256)[:classes].astype(np.float64)
    present = counts > 0
    if not present.any():
        return torch.ones(classes)
    share = np.where(present, counts, counts[present].min()) / counts.sum()
    weights = share**-power
    return torch.from_numpy(weights / (weights * counts / counts.sum()).sum()).float()
