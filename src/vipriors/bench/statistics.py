"""Comparing methods over subsets: paired differences with intervals, many of them at once, and ranks.

The interval of a difference is Student's t. Measured coverage of 95 % intervals of the mean, in percent, over
4000 draws (`tests/bench/test_statistics.py` repeats it in part):

| values                  | t, n = 5 | n = 10 | percentile, n = 5 | n = 10 | bootstrap-t, n = 5 | n = 10 |
|-------------------------|----------|--------|-------------------|--------|--------------------|--------|
| normal                  | 95       | 95     | 84                | 90     | 95                 | 95     |
| skewed (exponential)    | 89       | 90     | 78                | 86     | 93                 | 94     |
| heavy-tailed (t, 3 df)  | 96       | 96     | 83                | 90     | 95                 | 93     |

A percentile bootstrap of five values never leaves their range, which holds the centre of a symmetric
distribution with probability 15/16 at most. The studentised bootstrap covers, and is less misled by skew, but
pays with intervals half as wide again at five subsets, whose ends depend on a few resamples of nearly equal
values. So t decides, and `bootstrap_interval` stands beside it in the tables to download.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DRAWS = 4000
"""Resamples of a studentised bootstrap."""


@dataclass(frozen=True)
class Difference:
    """How much higher one method scores than another, over the same subsets."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided, of Student's paired test; below 0.05 where the interval is clear of zero."""

    @property
    def clear(self) -> bool:
        """Whether the 95 % interval is clear of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of methods over blocks, and how far apart two must be to differ."""

    ranks: Floats
    """`(k,)`, 1 is best; equal scores share the mean of their ranks."""
    blocks: int
    p: float
    """Of Friedman's test that no method differs from another; 1 for fewer than three methods."""
    critical_difference: float
    """Nemenyi's, at 5 %: two mean ranks further apart than this differ."""


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Mean of `first - second` over subsets, with a 95 % interval (Student's t on the differences).

    Args:
        first: Scores of one method, one a subset.
        second: Scores of the other on the same subsets, in the same order.

    Raises:
        ValueError: The lengths differ, or there are fewer than two subsets.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"{len(first)} and {len(second)} scores; expected the same number, at least 2")
    from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats takes a second to import

    differences: Floats = np.subtract(first, second, dtype=np.float64)
    n = len(differences)
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / n**0.5
    reach = float(stdtrit(n - 1, 0.975)) * error
    p = 2 * float(stdtr(n - 1, -abs(mean) / error)) if error else float(mean == 0)
    return Difference(mean, mean - reach, mean + reach, p)


def bootstrap_interval(values: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """A studentised (bootstrap-t) 95 % interval of the mean.

    Resamples of one value only have no spread to be divided by and are left out.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, section 12.5.

    Args:
        values: At least two.
        draws: Resamples.
        seed: The same seed gives the same interval.

    Raises:
        ValueError: There are fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} values; expected at least 2")
    found: Floats = np.asarray(values, dtype=np.float64)
    n, mean, spread = len(found), found.mean(), found.std(ddof=1)
    resamples = found[np.random.default_rng(seed).integers(0, n, (draws, n))]
    spreads = resamples.std(axis=1, ddof=1)
    usable = spreads > 1e-12 * spread
    if not spread or not usable.any():
        return float(mean), float(mean)
    studentised = (resamples[usable].mean(axis=1) - mean) / spreads[usable]
    low, high = np.percentile(studentised, [2.5, 97.5])
    return float(mean - high * spread), float(mean - low * spread)


def holm(p: ArrayLike) -> Floats:
    """P values adjusted for their number: with probability 0.95 none below 0.05 is a false alarm.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 1979. Holds whatever the tests have to do with each other.

    Args:
        p: `(m,)`

    Returns:
        `(m,)`, in the same order.
    """
    given: Floats = np.asarray(p, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    steps = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def ranking(scores: ArrayLike) -> Ranking:
    """Mean ranks with Friedman's test and Nemenyi's critical difference.

    Source: Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 2006. The tests
    take blocks for independent; subsets of one seed that are nested and share their test images are not
    quite, so that real differences are a little less certain than this says.

    Args:
        scores: `(N, k)`: a row a block (a challenge, a size, a subset), a column a method; higher is better.

    Raises:
        ValueError: There are fewer than two blocks or two methods.
    """
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    table: Floats = np.asarray(scores, dtype=np.float64)
    blocks, methods = table.shape
    if blocks < 2 or methods < 2:
        raise ValueError(f"{blocks} blocks of {methods} methods; expected at least 2 of each")
    ranks: Floats = rankdata(-table, axis=1).mean(axis=0)
    tied = bool((table == table[:, :1]).all())  # Friedman's statistic would be 0 / 0
    p = 1.0 if methods < 3 or tied else float(friedmanchisquare(*table.T).pvalue)
    reach = float(studentized_range.ppf(0.95, methods, np.inf)) / 2**0.5
    critical = reach * (methods * (methods + 1) / (6 * blocks)) ** 0.5
    return Ranking(ranks, blocks, p, critical)
