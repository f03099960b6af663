"""Non-parametric bootstrap over test images.

The interval answers: had other test images been drawn from the same source, where would this score lie? It
covers nothing else: not the draw of the training subset and not the seed, which need several runs. Where all
images have the same outcome (every one right) resampling shows no spread, and the interval is a point.

Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.score import Estimate

DRAWS = 2000
"""Resamples per interval: enough to make the limits steady to about a twentieth of the interval's width."""


def estimate(
    counts: NDArray[np.int64],
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """A statistic of `counts` with its 95 % percentile interval.

    Args:
        counts: how many images fall into each cell (such as class × right or wrong), of any shape.
        statistic: maps counts `(D, *counts.shape)` to values `(D,)`.
        draws: number of resamples.
        seed: the same seed gives the same interval.
    """
    value = statistic(counts[np.newaxis])[0]
    low, high = np.percentile(statistic(resample(counts, draws=draws, seed=seed)), [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))


def resample(counts: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.int64]:
    """Counts per cell of `draws` samples of the images, each with replacement and as large as the original.

    Images of one cell are alike, so a resample is one multinomial draw over the cells. numpy's multinomial
    is slow for thousands of cells. Poisson counts are fast, and multinomial once their sum is given: so draw
    them for a little less than all images, redraw the few that overshoot, and fill up image by image. That is
    exactly multinomial too.

    Args:
        counts: images per cell, any shape, at least one image in all.
        draws: number of resamples D.
        seed: of a PCG64 generator.

    Returns:
        `(D, *counts.shape)`; every resample sums to `counts.sum()`.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    images = int(counts.sum())
    occupied = np.flatnonzero(counts)
    share = counts.ravel()[occupied] / images
    mean = max(0.0, images - 2 * math.sqrt(images)) * share
    cells = rng.poisson(mean, size=(draws, len(occupied)))
    while len(over := np.flatnonzero(cells.sum(axis=1) > images)):
        cells[over] = rng.poisson(mean, size=(len(over), len(occupied)))
    short = images - cells.sum(axis=1)
    filled_up = rng.choice(len(occupied), size=int(short.sum()), p=share)
    flat = np.repeat(np.arange(draws), short) * len(occupied) + filled_up
    cells += np.bincount(flat, minlength=cells.size).reshape(cells.shape)
    resampled = np.zeros((draws, counts.size), dtype=np.int64)
    resampled[:, occupied] = cells
    return resampled.reshape(draws, *counts.shape)
