"""Blend pairs of clouds along the straight paths of their best assignment: PointMixup.

Source: Chen, Hu, Gavves, Mensink, Mettes, Yang, Snoek, "PointMixup: augmentation for point clouds", ECCV
2020.

With φ the permutation of least `sum |x_i - y_φ(i)|` (plain distances, not squared ones), the blend
`(1 - s) x_i + s y_φ(i)` lies on a shortest path between the two clouds: its own distance to the first is `s`
times theirs, and φ stays the best assignment along the path.

Clouds are float `(B, N, 3)`, in no order; targets are soft, `(B, K)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from vipriors.priors.augment._batch import require
from vipriors.priors.augment.mix import beta
from vipriors.priors.augment.points import take

Pairing = Literal["exact", "auction", "random", "sample"]


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Distance of each point of one cloud to each of the other, `(B, N, N)`."""
    # The way by matrix products loses half of the digits.
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


@torch.no_grad()
def exact_assignment(first: Tensor, second: Tensor) -> Tensor:
    """For each point of `first` `(B, N, 3)` its own point of `second`, so that the sum of distances is least.

    One pair of clouds after another on the CPU, about N³; N is the same for both.

    Returns:
        int64 `(B, N)`, a permutation in each row.
    """
    from scipy.optimize import linear_sum_assignment

    costs = distances(first, second).cpu().numpy()
    found = [torch.from_numpy(linear_sum_assignment(cost)[1]) for cost in costs]
    return torch.stack(found).to(first.device)


@torch.no_grad()
def auction_assignment(first: Tensor, second: Tensor, epsilon: float = 0.1, rounds: int = 2000) -> Tensor:
    """As `exact_assignment`, for all pairs at once and nearly the best: the auction of Bertsekas (1988).

    All points without a partner bid for the one that is worth most to them less its price; the highest bid
    wins. At the end the sum of distances is above the least by no more than `epsilon` times N times the mean
    distance of the two clouds' points. A pair that takes more than `rounds` rounds gets its last points
    assigned as they come, and no such bound.
    """
    costs = distances(first, second)
    pairs, points, _ = costs.shape
    device, least = costs.device, (epsilon * costs.mean((1, 2))).clamp_min(1e-12)
    # Rows by one number: picking them by two is five times as slow.
    rows = costs.view(pairs * points, points)
    prices = costs.new_zeros(pairs, points)
    owner = torch.full((pairs, points), -1, device=device)
    partner = owner.clone()
    for _ in range(rounds):
        bidders = torch.nonzero(partner.view(-1) < 0)[:, 0]
        if not len(bidders):
            return partner
        pair, bidder = bidders // points, bidders % points
        paid = rows.index_select(0, bidders).add_(prices.index_select(0, pair))
        best = paid.argmin(1)
        cheapest = paid.gather(1, best[:, None])[:, 0]
        second_cheapest = paid.scatter_(1, best[:, None], torch.inf).amin(1) if points > 1 else cheapest
        bids = second_cheapest - cheapest + least[pair]
        place = pair * points + best
        highest = bids.new_zeros(pairs * points).scatter_reduce_(0, place, bids, "amax")
        # Of equal bids the first bidder's counts.
        rank = torch.where(bids == highest[place], bidder, points)
        first_of = rank.new_full((pairs * points,), points).scatter_reduce_(0, place, rank, "amin")
        won = first_of[place] == bidder
        pair, bidder, taken = pair[won], bidder[won], best[won]
        before = owner[pair, taken]
        had = before >= 0
        partner[pair[had], before[had]] = -1
        owner[pair, taken], partner[pair, bidder] = bidder, taken
        prices[pair, taken] += bids[won]
    pair, bidder = torch.nonzero(partner < 0, as_tuple=True)
    _, free = torch.nonzero(owner < 0, as_tuple=True)
    partner[pair, bidder] = free  # as many in each pair, and both in the order of the pairs
    return partner


def random_assignment(first: Tensor, generator: Generator) -> Tensor:
    """A permutation for each pair of clouds that looks at nothing, `(B, N)`."""
    return (
        torch.rand(first.shape[:2], generator=generator, device=generator.device).argsort(1).to(first.device)
    )


def shares(count: int, gamma: float, generator: Generator) -> Tensor:
    """Shares of the partner, `(count,)` from 0 to 1/2: draws from Beta(gamma, gamma), folded."""
    return (0.5 - (beta(count, gamma, generator) - 0.5).abs()).float()


@dataclass(frozen=True)
class Pairs:
    """How the clouds of a batch are blended."""

    partner: Tensor
    """`(B,)`, the cloud that is blended into each."""
    assignment: Tensor
    """`(B, N)`, for each point of a cloud one of its partner's."""
    weight: Tensor
    """`(B, N)`, what that point counts for, from 0 to 1."""
    share: Tensor
    """`(B,)`, what the partner's target counts for."""

    def clouds(self, features: Tensor) -> Tensor:
        """Points, or features of them, `(B, N, C)`, to the same shape."""
        theirs = take(features[self.partner.to(features.device)], self.assignment)
        return torch.lerp(features, theirs, self.weight.to(features.device, features.dtype)[:, :, None])

    def targets(self, targets: Tensor) -> Tensor:
        """Soft targets `(B, K)` to the same shape."""
        theirs = targets[self.partner.to(targets.device)]
        return torch.lerp(targets, theirs, self.share.to(targets.device, targets.dtype)[:, None])


@dataclass(frozen=True)
class PointMixup:
    """Blend each cloud with another of the batch."""

    gamma: float = 0.4
    """The partner's share is drawn from Beta(gamma, gamma), folded to at most a half."""
    pairing: Pairing = "exact"
    """Points are assigned exactly, by auction or at random; or with `sample` a share of them is replaced."""

    def __post_init__(self) -> None:
        require("PointMixup", (self.gamma > 0, f"gamma is {self.gamma}; expected more than 0"))

    def __call__(self, clouds: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Clouds `(B, N, 3)` and soft targets `(B, K)` to the same shapes."""
        pairs = self.draw(clouds, generator)
        return pairs.clouds(clouds), pairs.targets(targets)

    def draw(self, clouds: Tensor, generator: Generator) -> Pairs:
        """Who is blended with whom, how much, and point with point, for clouds `(B, N, 3)`."""
        count, points, _ = clouds.shape
        partner = torch.randperm(count, generator=generator, device=generator.device)
        share = shares(count, self.gamma, generator)
        theirs = clouds[partner.to(clouds.device)]
        match self.pairing:
            case "exact":
                assignment = exact_assignment(clouds, theirs)
            case "auction":
                assignment = auction_assignment(clouds, theirs)
            case _:
                assignment = random_assignment(clouds, generator)
        weight = share[:, None].expand(-1, points)
        if self.pairing == "sample":
            # Whole points of the partner, each once, in place of as many of the cloud's own.
            rank = random_assignment(clouds, generator).to(share.device)
            weight = (rank < (weight * points).round()).float()
        return Pairs(partner, assignment, weight, share)
