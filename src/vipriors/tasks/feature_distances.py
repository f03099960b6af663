"""Distances between two sets of features, and how sure they are.

Sources: Heusel et al., GANs trained by a two time-scale update rule, 2017 (Fréchet distance of Gaussians);
Binkowski et al., Demystifying MMD GANs, 2018 (cubic kernel); Chong & Forsyth, Effectively unbiased FID, 2020
(the bias, and that it depends on the generator); Kynkäänniemi et al., Improved precision and recall metric,
2019. None of the distances here is FID or KID: these names stand for the features of one network.

Images are never drawn with replacement: a repeated image is a pair at distance zero, which real ones are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.score import Estimate

Values = NDArray[np.float64]

HALVINGS = 4
"""Times that both sets are halved at random; each gives two distances of halves."""
GROUPS = 16
"""Parts that are left out in turn where leaving out every single image would take too long."""
NEIGHBOURS = 3
"""Neighbours that reach of an image is measured by."""


def frechet(x: Values, y: Values) -> float:
    """Fréchet distance of the Gaussians fitted to features `(N, D)` and `(M, D)`; too large for few images.

    |mx - my|² + tr(Sx + Sy - 2 (Sx^½ Sy Sx^½)^½); covariances are the unbiased ones.
    """
    a, b = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ b @ root).clip(0)
    apart = x.mean(0) - y.mean(0)
    return float(apart @ apart + np.trace(a) + np.trace(b) - 2 * np.sqrt(middle).sum())


def frechet_corrected(x: Values, y: Values, seed: int = 0) -> float:
    """Fréchet distance with its bias of order 1/N taken off: twice that of all less the mean of halves.

    Both sets are halved at once, so that the bias of either is taken off. It may be below zero.
    """
    random, halves = np.random.RandomState(seed), []
    for _ in range(HALVINGS):
        left, right = random.permutation(len(x)), random.permutation(len(y))
        n, m = len(x) // 2, len(y) // 2
        halves += [frechet(x[left[:n]], y[right[:m]]), frechet(x[left[n : 2 * n]], y[right[m : 2 * m]])]
    return 2 * frechet(x, y) - sum(halves) / len(halves)


def frechet_error(x: Values, y: Values, groups: int = GROUPS) -> float:
    """Standard error of the Fréchet distance, by leaving out one group of images after the other."""
    variance = 0.0
    for first, other in ((x, y), (y, x)):
        parts = np.arange(len(first)) % groups
        left = np.array([frechet(first[parts != part], other) for part in range(groups)])
        variance += (groups - 1) / groups * float(((left - left.mean()) ** 2).sum())
    return float(variance**0.5)


@dataclass(frozen=True)
class Kernel:
    """A kernel distance, and what it is without each image of either set."""

    value: float
    without_x: Values
    without_y: Values

    def error(self) -> float:
        """Standard error by the jackknife over the images of both sets; too large where they are alike."""
        return float(
            sum(
                (len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum()
                for left in (self.without_x, self.without_y)
            )
            ** 0.5
        )


def kernel_distance(x: Values, y: Values) -> Kernel:
    """Squared maximum mean discrepancy of features `(N, D)` and `(M, D)`, the unbiased estimator.

    The kernel is (x·y / D + 1)³. All pairs are used but those of an image with itself. Sets from one source
    give zero on average, so half of the time something below it.

    Raises:
        ValueError: a set has fewer than three images.
    """
    n, m = len(x), len(y)
    if min(n, m) < 3:
        raise ValueError(f"{n} and {m} images; expected at least 3 on either side")
    within_x, within_y = _off_diagonal(x), _off_diagonal(y)
    between = _kernel(x, y)
    sum_x, sum_y, sum_xy = within_x.sum(), within_y.sum(), between.sum()
    value = sum_x / (n * (n - 1)) + sum_y / (m * (m - 1)) - 2 * sum_xy / (n * m)
    without_x = (
        (sum_x - 2 * within_x) / ((n - 1) * (n - 2))
        + sum_y / (m * (m - 1))
        - 2 * (sum_xy - between.sum(1)) / ((n - 1) * m)
    )
    without_y = (
        sum_x / (n * (n - 1))
        + (sum_y - 2 * within_y) / ((m - 1) * (m - 2))
        - 2 * (sum_xy - between.sum(0)) / (n * (m - 1))
    )
    return Kernel(float(value), without_x, without_y)


def kernel_distance_to_point(point: Values, y: Values) -> float:
    """Squared distance of one image's features `(D,)` from features `(M, D)` under the same kernel.

    With the pairs of an image and itself, so never below zero.
    """
    one = point[None]
    return float(_kernel(one, one).mean() + _kernel(y, y).mean() - 2 * _kernel(one, y).mean())


def mean_kernel(kernels: list[Kernel]) -> Kernel:
    """The mean of the distances of the same images by several networks."""
    return Kernel(
        float(np.mean([one.value for one in kernels])),
        np.mean([one.without_x for one in kernels], axis=0),
        np.mean([one.without_y for one in kernels], axis=0),
    )


def interval(value: float, error: float) -> Estimate:
    """A value with its 95 % interval from a standard error."""
    return Estimate(value, value - 1.96 * error, value + 1.96 * error)


def covered(real: Values, generated: Values, neighbours: int = NEIGHBOURS) -> NDArray[np.bool_]:
    """Which generated images `(N, D)` lie within the reach of a real one `(M, D)`, `(N,)`.

    The reach of an image is its distance to its k-th neighbour among its own. With the roles of the two sets
    exchanged it is recall. Both depend on the number of images: give as many of both.
    """
    reach = np.sort(_squared(real, real), axis=1)[:, min(neighbours, len(real) - 1)]
    return np.asarray((_squared(generated, real) <= reach).any(1))


def nearest(x: Values, y: Values) -> tuple[Values, NDArray[np.int64]]:
    """Distance of each of `(N, D)` to the nearest of `(M, D)`, and which that is."""
    squared = _squared(x, y)
    places = squared.argmin(1)
    return np.sqrt(squared[np.arange(len(x)), places]), places


def _kernel(x: Values, y: Values) -> Values:
    found: Values = (x @ y.T / x.shape[1] + 1) ** 3
    return found


def _off_diagonal(x: Values) -> Values:
    """Sums of the rows of the kernel without its diagonal."""
    found: Values = _kernel(x, x).sum(1) - ((x**2).sum(1) / x.shape[1] + 1) ** 3
    return found


def _squared(x: Values, y: Values) -> Values:
    found: Values = ((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T).clip(0)
    return found
