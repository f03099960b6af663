"""PointMixup against scipy, brute force, and what the paper proves; varied clouds against numpy and scipy."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.stats import beta as beta_distribution
from torch.nn import functional

from vipriors.priors.augment.point_mixup import (
    PointMixup,
    auction_assignment,
    exact_assignment,
    random_assignment,
    shares,
)
from vipriors.priors.augment.points import VaryClouds, chosen, mirror_angles, take, turn
from vipriors.problems import BadInput


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two(points: int, seed: int = 0, pairs: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.rand(2, pairs, points, 3, generator=generator(seed), dtype=torch.float64)
    return first, 1.3 * second - 0.2


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Earth mover's distance of two clouds `(N, 3)`."""
    costs = cdist(first, second)
    return float(costs[linear_sum_assignment(costs)].sum())


def length(first: torch.Tensor, second: torch.Tensor, assignment: torch.Tensor) -> list[float]:
    return [
        float(cdist(a, b)[np.arange(len(a)), one].sum())
        for a, b, one in zip(first.numpy(), second.numpy(), assignment.numpy(), strict=True)
    ]


@pytest.mark.parametrize("points", [1, 2, 4, 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_exact_is_the_least_of_all_permutations(points, seed) -> None:
    first, second = two(points, seed)
    for a, b, found in zip(first, second, exact_assignment(first, second), strict=True):
        sums = {p: cdist(a, b)[range(points), p].sum() for p in itertools.permutations(range(points))}
        assert sums[tuple(found.tolist())] == pytest.approx(min(sums.values()), rel=1e-12)


def test_distances_are_plain_ones() -> None:
    """One point may go far while the other rests, or both halfway: squares prefer the second."""
    first = torch.tensor([[[0.0, 0, 0], [1.0, 0.5, 0]]])
    second = torch.tensor([[[1.0, 0.5, 0], [2.0, 0, 0]]])
    plain, squared = cdist(first[0], second[0]), cdist(first[0], second[0], "sqeuclidean")
    assert linear_sum_assignment(squared)[1].tolist() == [0, 1]
    assert linear_sum_assignment(plain)[1].tolist() == [1, 0]
    assert exact_assignment(first, second).tolist() == [[1, 0]]
    assert auction_assignment(first, second, 0.01).tolist() == [[1, 0]]


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("points", [1, 2, 7, 40])
def test_the_auction_is_near_the_exact_assignment(points, epsilon) -> None:
    first, second = two(points, points, pairs=4)
    found = auction_assignment(first, second, epsilon, rounds=100_000)
    assert found.sort(1).values.tolist() == [list(range(points))] * 4
    ours = length(first, second, found)
    for a, b, mine in zip(first.numpy(), second.numpy(), ours, strict=True):
        least = distance(a, b)
        assert least - 1e-9 <= mine <= least + epsilon * points * cdist(a, b).mean() + 1e-9
    if epsilon == 0.01 and points > 2:
        assert sum(ours) < 1.005 * sum(length(first, second, exact_assignment(first, second)))


def test_the_auction_gives_permutations_however_short_it_is() -> None:
    first, second = two(30)
    for rounds in (0, 1, 3):
        assert auction_assignment(first, second, rounds=rounds).sort(1).values.tolist() == [[*range(30)]] * 3
    same = torch.zeros(2, 9, 3)
    assert auction_assignment(same, same, rounds=50).sort(1).values.tolist() == [[*range(9)]] * 2


def test_pairs_of_a_batch_do_not_touch_each_other() -> None:
    first, second = two(25, pairs=5)
    whole = auction_assignment(first, second)
    alone = [auction_assignment(first[k : k + 1], second[k : k + 1])[0] for k in range(5)]
    assert torch.equal(whole, torch.stack(alone))


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_blends_lie_on_a_shortest_path(seed, early, late) -> None:
    """The three propositions of the paper: length, assignment invariance, linearity."""
    first, second = two(12, seed, pairs=1)
    assignment = exact_assignment(first, second)
    theirs = take(second, assignment)

    def at(share: float) -> np.ndarray:
        return torch.lerp(first, theirs, share)[0].numpy()

    whole = distance(first[0].numpy(), second[0].numpy())
    assert distance(first[0].numpy(), at(early)) == pytest.approx(early * whole, abs=1e-9)
    assert distance(at(early), at(late)) == pytest.approx(abs(early - late) * whole, abs=1e-9)
    direct = np.linalg.norm(first[0].numpy() - at(late), axis=1).sum()
    assert direct == pytest.approx(distance(first[0].numpy(), at(late)), abs=1e-9)


def test_what_is_blended() -> None:
    clouds, targets = torch.rand(6, 20, 3), torch.eye(6)
    pairs = PointMixup(1.0).draw(clouds, generator(3))
    mixed, soft = PointMixup(1.0)(clouds, targets, generator(3))
    assert sorted(pairs.partner.tolist()) == list(range(6))
    assert (pairs.share <= 0.5).all() and len(set(pairs.share.tolist())) == 6
    for k in range(6):
        partner, share = int(pairs.partner[k]), float(pairs.share[k])
        order = linear_sum_assignment(cdist(clouds[k], clouds[partner]))[1]
        np.testing.assert_allclose(
            mixed[k], (1 - share) * clouds[k] + share * clouds[partner][order], atol=1e-6
        )
        expected = np.zeros(6)
        expected[k] += 1 - share
        expected[partner] += share
        np.testing.assert_allclose(soft[k], expected, atol=1e-6)
    torch.testing.assert_close(
        functional.cross_entropy(torch.ones(6, 6), soft), torch.tensor(math.log(6)), atol=1e-5, rtol=0
    )


def test_the_order_of_points_changes_no_set() -> None:
    clouds = torch.rand(4, 15, 3, dtype=torch.float64)
    other = torch.stack([cloud[torch.randperm(15, generator=generator(k))] for k, cloud in enumerate(clouds)])
    found = [PointMixup()(one, torch.eye(4), generator(1))[0] for one in (clouds, other)]
    for a, b in zip(*found, strict=True):
        assert cdist(a, b).min(1).max() < 1e-9
    moved, _ = PointMixup()(clouds + 2.5, torch.eye(4), generator(1))
    for a, b in zip(moved, found[0] + 2.5, strict=True):
        assert cdist(a, b).min(1).max() < 1e-9


def test_a_cloud_with_itself_is_itself_and_a_share_of_nothing_changes_nothing() -> None:
    cloud = torch.rand(1, 15, 3)
    mixed, soft = PointMixup()(cloud, torch.tensor([[0.0, 1.0]]), generator())
    torch.testing.assert_close(mixed, cloud)
    assert torch.equal(soft, torch.tensor([[0.0, 1.0]]))
    clouds = torch.randn(5, 15, 3)
    pairs = PointMixup().draw(clouds, generator())
    still = type(pairs)(pairs.partner, pairs.assignment, torch.zeros(5, 15), torch.zeros(5))
    assert torch.equal(still.clouds(clouds), clouds)
    assert torch.equal(still.targets(torch.eye(5)), torch.eye(5))


@pytest.mark.parametrize("gamma", [0.4, 1.0, 2.0])
def test_shares_are_a_folded_beta(gamma) -> None:
    drawn = shares(20_000, gamma, generator(1)).double().numpy()
    assert drawn.max() <= 0.5 and drawn.min() >= 0
    density = beta_distribution(gamma, gamma).pdf
    mean = quad(lambda x: 2 * x * density(x), 0, 0.5)[0]
    assert drawn.mean() == pytest.approx(mean, abs=float(4 * drawn.std() / math.sqrt(20_000)))
    assert (drawn < 0.2).mean() == pytest.approx(2 * beta_distribution(gamma, gamma).cdf(0.2), abs=0.015)


def test_sampling_replaces_whole_points() -> None:
    clouds, targets = torch.rand(8, 40, 3), torch.eye(8)
    pairs = PointMixup(1.0, "sample").draw(clouds, generator(2))
    mixed, soft = PointMixup(1.0, "sample")(clouds, targets, generator(2))
    for k in range(8):
        partner, share = int(pairs.partner[k]), float(pairs.share[k])
        kept = (cdist(mixed[k], clouds[k]).min(1) == 0).sum()
        theirs = cdist(mixed[k], clouds[partner]).min(1) == 0
        assert soft[k, k] == pytest.approx(1 if partner == k else 1 - share, abs=1e-6)
        if partner != k:
            assert theirs.sum() == round(40 * share) and kept == 40 - round(40 * share)
            assert len({tuple(p) for p in mixed[k].tolist()}) == 40


def test_random_assignments_are_permutations_that_differ() -> None:
    found = random_assignment(torch.zeros(5, 30, 3), generator())
    assert found.sort(1).values.tolist() == [[*range(30)]] * 5
    assert len({tuple(row) for row in found.tolist()}) == 5


@pytest.mark.parametrize("pairing", ["exact", "auction", "random", "sample"])
def test_the_same_seed_gives_the_same_blend(pairing) -> None:
    clouds, targets = torch.rand(6, 20, 3), torch.eye(6)
    first, second, other = (PointMixup(0.4, pairing)(clouds, targets, generator(k))[0] for k in (5, 5, 6))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_a_gamma_of_zero_is_refused() -> None:
    with pytest.raises(BadInput, match=r"PointMixup: gamma is 0; expected more than 0"):
        PointMixup(0)


def test_clouds_are_turned_about_the_vertical() -> None:
    clouds, angles = torch.rand(4, 10, 3, dtype=torch.float64), torch.tensor([0.0, 0.3, -2.0, math.pi / 2])
    for before, after, angle in zip(clouds, turn(clouds, angles), angles, strict=True):
        np.testing.assert_allclose(after, Rotation.from_euler("z", float(angle)).apply(before), atol=1e-6)


def test_the_mirror_plane_of_a_symmetric_cloud_is_found() -> None:
    """Half a cloud and its mirror image in a known plane: found within 3 degrees, the steps of the search."""
    half = np.random.default_rng(0).uniform((-1, 0.05, -1), (1, 0.4, 1), (60, 3)) * (1, 1, 0.5)
    half[:, 0] += half[:, 1] + half[:, 0] ** 2  # front and back differ
    cloud = np.concatenate([half, half * (1, -1, 1)])
    planes = np.radians([0, 17, 45, 90, 133, 176])
    turned = np.stack([Rotation.from_euler("z", plane).apply(cloud) for plane in planes])
    found = mirror_angles(torch.from_numpy(turned)).numpy()
    apart = np.degrees(np.abs((found - planes + np.pi / 2) % np.pi - np.pi / 2))
    assert apart.max() <= 3
    aligned = turn(torch.from_numpy(turned), -torch.from_numpy(found))
    assert distance(aligned[0].numpy(), aligned[1].numpy()) < distance(turned[0], turned[1])


def test_points_are_chosen_without_repeats() -> None:
    clouds = torch.rand(5, 30, 3)
    found = chosen(clouds, 12, generator())
    assert found.shape == (5, 12, 3)
    for cloud, few in zip(clouds.tolist(), found.tolist(), strict=True):
        assert len({tuple(p) for p in few} & {tuple(p) for p in cloud}) == 12
    assert chosen(clouds, 99, generator()).shape == (5, 30, 3)


def test_what_varies_clouds() -> None:
    clouds = torch.randn(200, 9, 3, dtype=torch.float64)
    lengths = clouds.norm(dim=2)
    assert VaryClouds()(clouds, generator()) is clouds
    flipped = VaryClouds(flip=True)(clouds, generator())
    assert torch.equal(flipped[:, :, 1:], clouds[:, :, 1:])
    signs = (flipped[:, :, 0] / clouds[:, :, 0]).unique().tolist()
    assert signs == [-1, 1]
    turned = VaryClouds(rotate=30)(clouds, generator())
    torch.testing.assert_close(turned.norm(dim=2), lengths)
    before, after = (torch.atan2(x[:, 0, 1], x[:, 0, 0]) for x in (clouds, turned))
    angles = torch.rad2deg((after - before + math.pi) % (2 * math.pi) - math.pi)
    assert 25 < angles.max() < 30.001 and -30.001 < angles.min() < -25
    scaled = VaryClouds(scale=0.2)(clouds, generator()).norm(dim=2) / lengths
    assert scaled.std(1).max() < 1e-6 and 1.15 < scaled.max() < 1.2001 and 0.7999 < scaled.min() < 0.85
    moved = (VaryClouds(jitter=0.1)(clouds, generator()) - clouds).flatten()
    assert moved.std() == pytest.approx(0.1, rel=0.05) and moved.abs().max() <= 0.5 + 1e-6


def test_variations_out_of_range_are_refused() -> None:
    with pytest.raises(BadInput) as caught:
        VaryClouds(rotate=181, scale=1, jitter=-1)
    assert len(caught.value.problems) == 3
