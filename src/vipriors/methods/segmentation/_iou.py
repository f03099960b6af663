"""Mean IoU of label maps of positions, as the task scores it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.class_map import plain
from vipriors.tasks.iou import confusion_of, count, ious, members_of

Map = NDArray[np.uint8]


def mean_iou(pairs: Iterable[tuple[Map, Map]], names: tuple[str, ...]) -> float:
    """Mean of the IoU over all images of each class that occurs in labels or predictions; NaN if none does.

    Args:
        pairs: Label map (with `IGNORED`) and predicted map of each image, `(H, W)`.
        names: Of the classes.
    """
    classes = plain(names)
    confusion = sum((confusion_of(truth, predicted) for truth, predicted in pairs), np.zeros((256, 257)))
    found = ious(count(confusion, members_of([[class_] for class_ in classes.evaluated]), classes))
    occurs = ~np.isnan(found)
    return float(found[occurs].mean()) if occurs.any() else float("nan")
