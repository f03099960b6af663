"""Triplet loss with the hardest positive and the hardest negative of each image in the batch."""

from __future__ import annotations

import torch
from torch import Tensor


def batch_hard_triplet(points: Tensor, persons: Tensor, margin: float) -> Tensor:
    """Mean over the batch of max(0, farthest of the same person - nearest of another + margin).

    The farthest of the same person may be the image itself, at distance 0; an image counts 0 where the batch
    has no other person.

    Source: Hermans, Beyer, Leibe, "In defense of the triplet loss for person re-identification", 2017, eq. 5
    (arXiv 1703.07737).

    Args:
        points: `(B, D)`, compared by Euclidean distance.
        persons: `(B,)`.
        margin: By how much the one must be farther than the other, in the unit of the points.

    Returns:
        A scalar.
    """
    # The quicker matrix product rounds: equal points would be apart, and their gradient large.
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    same = persons[:, None] == persons
    farthest = distances.masked_fill(~same, 0).amax(1)
    nearest = distances.masked_fill(same, torch.inf).amin(1)
    return (farthest - nearest + margin).clamp(min=0).mean()
