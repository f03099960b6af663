from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats

from vipriors.tasks.accuracy import accuracy, balanced_accuracy
from vipriors.tasks.bootstrap import estimate, resample


def brute_force(counts, draws, seed):
    """Resample the images themselves, one index at a time."""
    rng = np.random.default_rng(seed)
    images = np.repeat(np.arange(counts.size), counts.ravel())
    chosen = images[rng.integers(0, len(images), size=(draws, len(images)))]
    tables = [np.bincount(row, minlength=counts.size) for row in chosen]
    return np.stack(tables).reshape(draws, *counts.shape)


def p_value_of_equality(a, b):
    """Chi-squared test that two samples of integers come from one distribution."""
    values = np.unique(np.concatenate([a, b]))
    table = np.array([[(sample == value).sum() for value in values] for sample in (a, b)])
    common = table.sum(axis=0) >= 20
    table = np.column_stack([table[:, common], table[:, ~common].sum(axis=1)])
    return stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue


def test_every_resample_is_as_large_as_the_original_and_keeps_empty_cells_empty():
    counts = np.array([[3, 0, 40], [0, 7, 150]])
    resampled = resample(counts, draws=500)
    assert resampled.shape == (500, 2, 3)
    assert (resampled.sum(axis=(1, 2)) == 200).all()
    assert (resampled >= 0).all()
    assert not resampled[:, counts == 0].any()


def test_same_seed_same_resamples_other_seed_others():
    counts = np.array([30, 70])
    np.testing.assert_array_equal(resample(counts, seed=3), resample(counts, seed=3))
    assert (resample(counts, seed=3) != resample(counts, seed=4)).any()


@pytest.mark.parametrize("counts", [[1, 2], [2, 1, 1]])
def test_few_images_follow_the_multinomial_probabilities_exactly(counts):
    counts, draws = np.array(counts), 100_000
    n, share = counts.sum(), counts / counts.sum()
    resampled = resample(counts, draws=draws)
    found, expected = [], []
    for cell in product(range(n + 1), repeat=len(counts)):
        if sum(cell) == n:
            ways = comb(n, cell[0]) * comb(n - cell[0], cell[1])
            expected.append(draws * ways * np.prod(share ** np.array(cell)))
            found.append((resampled == cell).all(axis=1).sum())
    assert stats.chisquare(found, expected).pvalue > 1e-3


@pytest.mark.parametrize("counts", [[[9, 31], [25, 15]], [[60, 2], [1, 337]]])
def test_agrees_with_resampling_indices_in_every_margin(counts):
    counts = np.array(counts)
    ours, slow = resample(counts, draws=20_000), brute_force(counts, 20_000, seed=1)
    projections = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 2, 3, 5]])
    for weights in projections:
        a, b = ours.reshape(-1, 4) @ weights, slow.reshape(-1, 4) @ weights
        assert p_value_of_equality(a, b) > 1e-3
    np.testing.assert_allclose(
        np.cov(ours.reshape(-1, 4).T), np.cov(slow.reshape(-1, 4).T), rtol=0.1, atol=0.3
    )


def test_interval_is_the_percentile_interval_of_index_resampling():
    counts = np.array([[20, 80], [70, 30], [10, 10]])

    def mean_recall(tables):
        return (tables[:, :, 1] / tables.sum(axis=2)).mean(axis=1)

    found = estimate(counts, mean_recall, draws=20_000)
    low, high = np.quantile(mean_recall(brute_force(counts, 20_000, seed=5)), [0.025, 0.975])
    assert found.value == pytest.approx((0.8 + 0.3 + 0.5) / 3)
    assert found.low == pytest.approx(low, abs=0.003)
    assert found.high == pytest.approx(high, abs=0.003)


def test_accuracy_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    estimates = [accuracy(rng.random(400) < 0.7) for _ in range(1500)]
    covered = np.mean([e.low <= 0.7 <= e.high for e in estimates])
    assert 0.93 <= covered <= 0.97


def test_balanced_accuracy_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    recalls, shares = np.array([0.9, 0.6, 0.3]), np.array([0.6, 0.3, 0.1])
    covered = []
    for _ in range(800):
        labels = rng.choice(3, size=600, p=shares)
        predicted = np.where(rng.random(600) < recalls[labels], labels, (labels + 1) % 3)
        found = balanced_accuracy(np.bincount(labels * 3 + predicted, minlength=9).reshape(3, 3))
        covered.append(found.low <= recalls.mean() <= found.high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_all_right_is_a_point():
    found = accuracy(np.ones(50, dtype=bool))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
