"""The data-saving factor: how many times as many images the baseline needs for the score of a method.

The baseline's curve is its mean score over subsets at each measured size, made monotone (isotonic
regression: scores do not fall with more images, save by chance). Between two sizes it is a power law: log
error, 1 - score, is linear in log n. Learning curves are close to power laws, and with sizes a factor of 2 to
5 apart a straight line between scores is not: on error = n^-1, measured at 10 and 50, it puts the score of 22
images at 30. Nothing is extrapolated: beyond the measured sizes a factor is a bound, as in "> 5" or "< 1".

The interval inverts a test. A number of images N belongs to it if, over the same subsets, the method's score
at n and the baseline's curve at N are not clearly different, by the 95 % t interval of the paired differences
that `paired_difference` gives. A bootstrap over five subsets is too narrow here as it is there (see
`statistics.py`). The interval covers the draw of subsets and seeds, not the error of interpolating.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_ERROR = 1e-4
"""An error below this counts as this: the logarithm of none is not to be had."""
POINTS = 2000
"""Numbers of images that are tested for the interval, evenly spread over the logarithm of the sizes."""
ROUNDING = 1e-9
"""Scores this close are the same: means of the same scores in another order are not equal to the bit."""


@dataclass(frozen=True)
class Bound:
    """A factor, or a limit of it where the baseline's curve ends."""

    value: float
    side: str = ""
    """`>` or `<`: the factor is beyond `value`, by how much is not known."""

    def __str__(self) -> str:
        return f"{self.side} {self.value:.3g}" if self.side else f"{self.value:.3g}"


@dataclass(frozen=True)
class Saving:
    """The data-saving factor of a method at one size, with its 95 % interval."""

    factor: Bound
    low: Bound
    high: Bound

    @property
    def clear(self) -> bool:
        """Whether the interval is clear of 1, on either side."""
        low, high = self.low, self.high
        above = low.value > 1 if not low.side else low.side == ">" and low.value >= 1
        below = high.value < 1 if not high.side else high.side == "<" and high.value <= 1
        return above or below


def data_saving(
    sizes: Sequence[int], baseline: Floats, method: Sequence[float] | Floats, size: int
) -> Saving:
    """How many times as many images the baseline needs for what a method reaches.

    Args:
        sizes: `(M,)`, numbers of images at which the baseline was measured, the smallest first.
        baseline: `(S, M)`, its scores in [0, 1], a row a subset.
        method: `(S,)`, the method's scores on the same subsets.
        size: The number of images that the method had.

    Raises:
        ValueError: Shapes do not match, or there are fewer than two subsets or two sizes.
    """
    scores: Floats = np.asarray(method, dtype=np.float64)
    subsets, count = baseline.shape
    if (len(sizes), len(scores)) != (count, subsets) or subsets < 2 or count < 2:
        found = (
            f"{len(sizes)} sizes, {subsets} by {count} scores of the baseline, {len(scores)} of the method"
        )
        raise ValueError(f"{found}; expected them to match, and at least 2 subsets and 2 sizes")
    curve = isotonic(baseline.mean(axis=0))
    ends = (sizes[0] / size, sizes[-1] / size)
    images = _images_for(float(scores.mean()), sizes, curve)
    factor = _bound(images / size, ends)
    reached = _not_clearly_different(sizes, baseline, curve, scores)
    if not len(reached):  # the curve lies wholly on one side, or crosses without any spread
        return Saving(factor, factor, factor)
    low = Bound(ends[0], "<") if reached[0] <= sizes[0] else Bound(min(reached[0] / size, factor.value))
    high = Bound(ends[1], ">") if reached[-1] >= sizes[-1] else Bound(max(reached[-1] / size, factor.value))
    low, high = (factor if factor.side == "<" else low), (factor if factor.side == ">" else high)
    return Saving(factor, low, high)


def isotonic(values: Floats) -> Floats:
    """The non-decreasing values closest to `values` `(M,)` in the least squares (the max-min formula)."""
    count = len(values)
    means = np.array(
        [[values[i : j + 1].mean() if i <= j else np.inf for j in range(count)] for i in range(count)]
    )
    return np.array([max(means[i, k:].min() for i in range(k + 1)) for k in range(count)])


def interpolated(images: Floats, sizes: Sequence[int], curve: Floats) -> Floats:
    """A monotone curve of scores `(M,)` at numbers of images `(N,)` within its sizes, as power laws."""
    return 1 - np.exp(np.interp(np.log(images), np.log(sizes), _log_error(curve)))


def _log_error(scores: Floats) -> Floats:
    errors: Floats = np.log(np.maximum(1 - scores, LEAST_ERROR))
    return errors


def _images_for(score: float, sizes: Sequence[int], curve: Floats) -> float:
    """The least number of images at which the curve reaches a score; 0 below its range, infinity above."""
    if score < curve[0] - ROUNDING:
        return 0.0
    reaching = np.flatnonzero(curve >= score - ROUNDING)
    if not len(reaching):
        return np.inf
    place = int(reaching[0])
    if place == 0:
        return float(sizes[0])
    pair = slice(place - 1, place + 1)
    errors, logs = _log_error(curve[pair]), np.log(sizes[pair])
    wanted = _log_error(np.array([score]))[0]
    if errors[0] == errors[1]:  # both nearly without error
        return float(sizes[place])
    share = min((wanted - errors[0]) / (errors[1] - errors[0]), 1.0)
    return float(np.exp(logs[0] + share * (logs[1] - logs[0])))


def _bound(factor: float, ends: tuple[float, float]) -> Bound:
    if factor < ends[0]:
        return Bound(ends[0], "<")
    return Bound(ends[1], ">") if factor > ends[1] else Bound(factor)


def _not_clearly_different(sizes: Sequence[int], baseline: Floats, curve: Floats, scores: Floats) -> Floats:
    """The numbers of images at which baseline and method are not clearly different, in order."""
    from scipy.stats import t

    subsets = len(scores)
    images = np.exp(np.linspace(np.log(sizes[0]), np.log(sizes[-1]), POINTS))
    images[0], images[-1] = sizes[0], sizes[-1]
    at = interpolated(images, sizes, curve)
    # How much each subset is off the mean, between two sizes in the share in which the curve has risen.
    place = np.clip(np.searchsorted(sizes, images, side="right") - 1, 0, len(sizes) - 2)
    rise = curve[place + 1] - curve[place]
    logs = np.log(sizes)
    along = (np.log(images) - logs[place]) / (logs[place + 1] - logs[place])
    share = np.where(rise > 1e-12, (at - curve[place]) / np.maximum(rise, 1e-12), along)
    off = baseline - baseline.mean(axis=0)
    between = (1 - share) * off[:, place] + share * off[:, place + 1]
    differences = scores[:, np.newaxis] - at - between
    error = differences.std(axis=0, ddof=1) / subsets**0.5
    alike = np.abs(differences.mean(axis=0)) <= float(t.ppf(0.975, subsets - 1)) * error
    found: Floats = images[alike]
    return found
