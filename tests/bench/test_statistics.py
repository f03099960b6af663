"""Differences, intervals, corrections and ranks: held against SciPy, published numbers and simulations."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vipriors.bench.statistics import bootstrap_interval, holm, paired_difference, ranking


def test_a_paired_difference_is_scipy_s() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(0.9, 0.02, 5), generator.normal(0.88, 0.02, 5)
    found = paired_difference(first.tolist(), second.tolist())
    test = stats.ttest_rel(first, second)
    oracle = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    assert found.mean == pytest.approx(first.mean() - second.mean())
    assert found.p == pytest.approx(test.pvalue)
    assert found.clear == (found.p < 0.05)


def test_differences_without_spread() -> None:
    same = paired_difference([0.5, 0.6], [0.5, 0.6])
    assert (same.mean, same.p, same.clear) == (0, 1, False)
    shifted = paired_difference([0.5, 0.75], [0.25, 0.5])
    assert (shifted.low, shifted.high, shifted.p, shifted.clear) == (0.25, 0.25, 0, True)


@pytest.mark.parametrize("subsets", [5, 10])
def test_the_intervals_cover_the_truth_as_often_as_they_say(subsets: int) -> None:
    generator = np.random.default_rng(1)
    samples = generator.normal(0.03, 0.02, (4000, subsets))
    covered = [
        found.low <= 0.03 <= found.high
        for found in (paired_difference(row.tolist(), [0.0] * subsets) for row in samples)
    ]
    assert 0.93 < np.mean(covered) < 0.97
    inside = [
        low <= 0.03 <= high
        for low, high in (bootstrap_interval(row.tolist(), draws=1000) for row in samples[:1500])
    ]
    assert 0.93 < np.mean(inside) < 0.97


def test_skew_costs_t_more_coverage_than_the_studentised_bootstrap() -> None:
    samples = np.random.default_rng(2).exponential(1.0, (1500, 5))
    t, boot = [], []
    for row in samples.tolist():
        found = paired_difference(row, [0.0] * 5)
        t.append(found.low <= 1 <= found.high)
        low, high = bootstrap_interval(row, draws=1000)
        boot.append(low <= 1 <= high)
    assert 0.86 < np.mean(t) < 0.91  # what the module says of it
    assert 0.91 < np.mean(boot) < 0.95


def test_the_studentised_bootstrap_by_enumeration() -> None:
    """All 4^4 resamples, each as likely, against the draws."""
    values = np.array([0.1, 0.4, 0.45, 0.8])
    found = []
    for sample in itertools.product(values, repeat=4):
        if spread := np.std(sample, ddof=1):
            found.append((np.mean(sample) - values.mean()) / spread)
    low, high = np.percentile(found, [2.5, 97.5])
    spread = values.std(ddof=1)
    interval = bootstrap_interval(values.tolist(), draws=100_000)
    assert interval == pytest.approx((values.mean() - high * spread, values.mean() - low * spread), rel=0.03)
    assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize(("first", "second"), [([0.1], [0.2]), ([0.1, 0.2], [0.1])])
def test_too_few_or_unequal_scores_are_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="expected the same number, at least 2"):
        paired_difference(first, second)
    with pytest.raises(ValueError, match="expected at least 2"):
        bootstrap_interval(first[:1])


def test_holm_by_hand() -> None:
    # 0.01 * 4; 0.02 * 3 = 0.06; 0.03 * 2 = 0.06, not less than the one before; 0.2 * 1.
    assert holm([0.03, 0.01, 0.2, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.2))
def test_holm_rejects_what_stepping_down_rejects(p: list[float], level: float) -> None:
    rejected = set()
    for step, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[place] * (len(p) - step) > level:
            break
        rejected.add(place)
    assert {place for place, value in enumerate(holm(p)) if value <= level} == rejected


def test_holm_keeps_the_chance_of_any_false_alarm() -> None:
    generator = np.random.default_rng(3)
    alarms = [(holm(generator.uniform(size=20)) < 0.05).any() for _ in range(4000)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.012)


def test_ranks_are_scipy_s() -> None:
    scores = np.random.default_rng(4).normal(size=(12, 5)).round(1) + np.arange(5) * 0.3
    found = ranking(scores)
    oracle = [
        [1 + sum(b > a for b in row) + (sum(b == a for b in row) - 1) / 2 for a in row] for row in scores
    ]
    assert found.ranks == pytest.approx(np.mean(oracle, axis=0))
    assert found.p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert found.blocks == 12


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (8, 3.031), (10, 3.164)]
)
def test_critical_differences_are_those_of_demsar_s_table(methods: int, q: float) -> None:
    blocks = 14
    found = ranking(np.random.default_rng(5).normal(size=(blocks, methods)))
    expected = q * (methods * (methods + 1) / (6 * blocks)) ** 0.5
    assert found.critical_difference == pytest.approx(expected, rel=2e-3)


def test_ranks_of_equals_and_of_too_few() -> None:
    equal = ranking(np.ones((3, 4)))
    assert equal.ranks.tolist() == [2.5] * 4
    assert equal.p == 1
    assert ranking([[1, 0], [1, 0]]).ranks.tolist() == [1, 2]
    with pytest.raises(ValueError, match="at least 2 of each"):
        ranking([[1, 2, 3]])
