"""How well embeddings bring the images of a person together, on held-out persons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def retrieval(points: NDArray[np.float32], persons: NDArray[np.int64]) -> dict[str, float]:
    """Mean average precision and first-rank accuracy where each image searches for its person in all others.

    Neither queries and gallery nor cameras are told apart: the numbers are higher than the task's scores.

    Args:
        points: `(N, D)`, compared by Euclidean distance; of equal distances the first image is first.
        persons: `(N,)`. Images of a person who has no other are no queries, but in the gallery.

    Returns:
        `mAP` and `rank1`; zeros if no person has two images.
    """
    x = points.astype(np.float64)
    squared = (x**2).sum(1)[:, None] + (x**2).sum(1) - 2 * x @ x.T
    np.fill_diagonal(squared, np.inf)
    order = np.argsort(squared, axis=1, kind="stable")[:, :-1]
    matches = persons[order] == persons[:, None]
    matches = matches[matches.any(axis=1)]
    if not len(matches):
        return {"mAP": 0.0, "rank1": 0.0}
    precisions = matches.cumsum(axis=1) / np.arange(1, matches.shape[1] + 1)
    average = (precisions * matches).sum(axis=1) / matches.sum(axis=1)
    return {"mAP": float(average.mean()), "rank1": float(matches[:, 0].mean())}
