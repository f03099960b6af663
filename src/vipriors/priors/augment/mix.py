"""Blend or paste pairs of images, and their targets with them: mixup and CutMix.

Targets are soft: one row of class probabilities for each image, `(B, K)` (`one_hot` makes them of labels).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vipriors.priors.augment._batch import box_mask, integers, per_image, require


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Labels `(B,)` from 0 to `classes - 1` as float targets `(B, classes)`."""
    return F.one_hot(labels.long(), classes).float()


def mixup(images: Tensor, targets: Tensor, partner: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Each image times its `share`, plus its partner times the rest; likewise the targets.

    Args:
        images: `(B, C, H, W)`.
        targets: `(B, K)`.
        partner: index of the image mixed into each, `(B,)`.
        share: how much of itself each image keeps, `(B,)`, 0 to 1.
    """
    partner = partner.to(images.device)
    return torch.lerp(images[partner], images, per_image(share, images)), _mix_targets(
        targets, partner, share
    )


def cutmix(
    images: Tensor, targets: Tensor, partner: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor
) -> tuple[Tensor, Tensor]:
    """Paste into each image a box of its partner; the targets mix by the area that stays.

    Args:
        images: `(B, C, H, W)`.
        targets: `(B, K)`.
        partner: index of the image pasted into each, `(B,)`.
        top: first row of each box, `(B,)`; what reaches beyond the border is cut off and not counted.
        left: first column, likewise.
        height: rows in each box, `(B,)`.
        width: columns in each box, `(B,)`.
    """
    partner = partner.to(images.device)
    pasted = box_mask(top, left, height, width, images)
    share = 1 - pasted.to(torch.float32).mean((1, 2, 3))
    return torch.where(pasted, images[partner], images), _mix_targets(targets, partner, share)


def beta(count: int, alpha: float, generator: Generator) -> Tensor:
    """`count` draws from Beta(alpha, alpha), on the CPU, float64."""
    # torch draws from Beta only with its global generator; one number of ours seeds numpy's.
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count))


def _mix_targets(targets: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    found = f"found {targets.dtype} {tuple(targets.shape)}"
    require("targets", (targets.ndim == 2 and targets.is_floating_point(), f"{found}; expected float (B, K)"))
    return torch.lerp(
        targets[partner.to(targets.device)], targets, share.to(targets.device, targets.dtype)[:, None]
    )


def _draw(count: int, alpha: float, each: bool, generator: Generator) -> tuple[Tensor, Tensor]:
    """Partners (a permutation) and shares, one share for each image or one for all."""
    partner = torch.randperm(count, generator=generator, device=generator.device)
    share = beta(count if each else 1, alpha, generator).expand(count)
    return partner, share


@dataclass(frozen=True)
class MixUp:
    """Blend each image with another of the batch (Zhang et al. 2018, arXiv 1710.09412)."""

    alpha: float = 1.0
    """The share is drawn from Beta(alpha, alpha)."""
    per_image: bool = False
    """Draw a share for each image; as published, there is one for the batch."""

    def __post_init__(self) -> None:
        require("MixUp", (self.alpha > 0, f"alpha is {self.alpha}; expected more than 0"))

    def __call__(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)` and soft targets `(B, K)` to the same shapes."""
        partner, share = _draw(len(images), self.alpha, self.per_image, generator)
        return mixup(images, targets, partner, share)


@dataclass(frozen=True)
class CutMix:
    """Paste a box of another image of the batch into each (Yun et al. 2019, arXiv 1905.04899).

    The box has the image's aspect ratio and a share `1 - s` of its area, `s` from Beta(alpha, alpha); its
    centre is anywhere, so that the border may cut it off.
    """

    alpha: float = 1.0
    per_image: bool = False
    """Draw a box for each image; as published, there is one for the batch."""

    def __post_init__(self) -> None:
        require("CutMix", (self.alpha > 0, f"alpha is {self.alpha}; expected more than 0"))

    def __call__(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images `(B, C, H, W)` and soft targets `(B, K)` to the same shapes."""
        count, _, rows, columns = images.shape
        partner, share = _draw(count, self.alpha, self.per_image, generator)
        centres = count if self.per_image else 1
        row = integers(centres, 0, rows - 1, generator).expand(count).cpu()
        column = integers(centres, 0, columns - 1, generator).expand(count).cpu()
        half = 0.5 * (1 - share).sqrt()
        half_height, half_width = (half * rows).long(), (half * columns).long()
        top, left = row - half_height, column - half_width
        return cutmix(images, targets, partner, top, left, 2 * half_height, 2 * half_width)
