"""Comparing methods over subsets: means, and paired differences with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Difference:
    """How much higher one method scores than another, over the same subsets."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the 95 % interval is clear of zero."""
        return self.low > 0 or self.high < 0


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Mean of `first - second` over subsets, with a 95 % interval.

    The interval is Student's t on the differences: with five subsets a percentile bootstrap is too narrow
    (it resamples five values), and a t interval has its nominal coverage where differences are near normal.

    Args:
        first: Scores of one method, one a subset.
        second: Scores of the other on the same subsets, in the same order.

    Raises:
        ValueError: The lengths differ, or there are fewer than two subsets.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"{len(first)} and {len(second)} scores; expected the same number, at least 2")
    from scipy.stats import t

    differences: NDArray[np.float64] = np.subtract(first, second, dtype=np.float64)
    n = len(differences)
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / n**0.5
    reach = float(t.ppf(0.975, n - 1)) * error
    return Difference(mean, mean - reach, mean + reach)
