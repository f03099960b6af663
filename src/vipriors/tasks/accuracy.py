"""Accuracies over test images, each with its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.bootstrap import estimate
from vipriors.tasks.score import Estimate


def accuracy(hits: NDArray[np.bool_]) -> Estimate:
    """The share of images that are right; `hits` is `(N,)`."""
    wrong_and_right = np.bincount(hits, minlength=2)
    return estimate(wrong_and_right, lambda counts: counts[:, 1] / counts.sum(axis=1))


def balanced_accuracy(confusion: NDArray[np.int64]) -> Estimate:
    """The mean recall of the classes that occur in the labels, in each resample those that occur in it.

    Args:
        confusion: images by label and predicted class, `(K, K)` or with more columns for other outcomes.
    """
    right = confusion.diagonal()
    return mean_recall(np.stack([confusion.sum(axis=1) - right, right], axis=1))


def mean_recall(wrong_and_right: NDArray[np.int64]) -> Estimate:
    """The mean over the classes that occur of the share of their images that are right.

    Args:
        wrong_and_right: images of each class that are wrong and that are right, `(K, 2)`.
    """
    return estimate(wrong_and_right, _mean_recall)


def in_top(
    k: int, probabilities: NDArray[np.float64], predicted: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the label is the predicted class or one of the `k - 1` others with the largest probabilities.

    The predicted class always has its place, so this is never less than the plain accuracy. Of other classes
    with equal probabilities the lower one comes first.

    Args:
        k: number of places, at least 1.
        probabilities: `(N, K)`.
        predicted: `(N,)` classes.
        labels: `(N,)` classes.

    Returns:
        `(N,)`.
    """
    hits: NDArray[np.bool_] = predicted == labels
    classes = np.arange(probabilities.shape[1])
    images = max(1, 2**20 // len(classes))  # at a time, to keep the comparisons small in memory
    for start in range(0, len(labels), images):
        part = slice(start, start + images)
        values, label = probabilities[part], labels[part, np.newaxis]
        own = np.take_along_axis(values, label, axis=1)
        ahead = (values > own) | ((values == own) & (classes < label))
        np.put_along_axis(ahead, predicted[part, np.newaxis], True, axis=1)
        hits[part] |= ahead.sum(axis=1) < k
    return hits


def _mean_recall(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean recall `(D,)` from images that are wrong and right in each class, `(D, K, 2)`."""
    images = counts.sum(axis=2)
    recalls: NDArray[np.float64] = counts[:, :, 1] / np.maximum(images, 1)
    means: NDArray[np.float64] = recalls.sum(axis=1) / (images > 0).sum(axis=1)
    return means
