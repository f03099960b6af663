"""Distillation of features before they are rectified: what the teacher silences need only be silent.

Source: Heo et al., "A comprehensive overhaul of feature distillation", ICCV 2019; for few images: Zhao, Wen,
"Distilling visual priors from self-supervised learning", VIPriors workshop 2020.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def expected_negative(mean: Tensor, deviation: Tensor) -> Tensor:
    """Expectation of a normal number given that it is negative; the least target of a channel.

    Args:
        mean: `(C,)`, of a batch normalisation: its shift.
        deviation: `(C,)`, its scale; the sign does not matter.

    Returns:
        `(C,)`; where a number is negative with a probability under 0.001, -3 deviations, as published.
    """
    deviation = deviation.abs().clamp(min=1e-12)
    ratio = (-mean / deviation).double()
    probability = torch.special.ndtr(ratio)
    density = torch.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    expected = mean - deviation * (density / probability.clamp(min=1e-300)).to(mean.dtype)
    return torch.where(probability > 0.001, expected, -3 * deviation)


def margin_relu_distance(student: Tensor, teacher: Tensor, least: Tensor) -> Tensor:
    """Mean squared distance to the teacher, but for what both would silence.

    Args:
        student: Features before their rectification, `(B, C, H, W)`.
        teacher: The same, of the teacher.
        least: `(C,)`, see `expected_negative`: targets below it are raised to it.
    """
    target = torch.maximum(teacher, least[:, None, None])
    silent = (student <= target) & (target <= 0)
    return torch.where(silent, 0.0, (student - target) ** 2).mean()
