"""Task: points, one class for each cloud of points.

A predictions file is that of task classification, with the names of clouds for those of images:

    Image IDs,Predictions
    img_0.npy,3

`docs/formats/points.md` states it all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from vipriors.tasks import classification
from vipriors.tasks.classification import HEADLINE as HEADLINE
from vipriors.tasks.classification import Predictions as Predictions
from vipriors.tasks.classification import check as check
from vipriors.tasks.classification import open_truth as open_truth
from vipriors.tasks.classification import read_labels as read_labels
from vipriors.tasks.classification import write as write
from vipriors.tasks.index import Index
from vipriors.tasks.score import Score


def score(
    predictions: Predictions,
    labels: Mapping[str, int] | ArrayLike,
    index: Index,
    class_names: Sequence[str],
) -> Score:
    """Scores predictions over the whole index of N clouds, as `classification.score` does."""
    found = classification.score(predictions, labels, index, class_names)
    return dataclasses.replace(found, task="points")
