"""Boundary IoU of label maps: IoU in the band of pixels near the borders of each class.

A pixel of a class is in its band if a pixel of another class, or what lies outside the image, is at most d
rows and d columns away; d is 2 % of the image's diagonal, rounded, and at least 1. TP are the pixels that are
in the class's band in both the label map and the prediction, FN and FP those that are in one of them. As in
IoU, they are added up over images. Where the label is ignored nothing is counted, and the prediction is taken
to be the label, so that its band ends there too. A prediction that equals the labels has a boundary IoU of 1;
objects so thin that they are all band count as in IoU.

Source: Cheng, Girshick, Dollár, Berg, Kirillov: Boundary IoU, CVPR 2021, and its published code, which erodes
the mask d times by a 3 × 3 square after adding one empty pixel around the image: the same band.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.class_map import Classes
from vipriors.tasks.label_map import Map, count_values

SHARE = 0.02
"""Width of the band over the diagonal of the image."""


def width_of(size: tuple[int, int]) -> int:
    """The width d of the band in pixels for a height and width."""
    return max(1, round(SHARE * math.hypot(*size)))


def count_boundary(truth: Map, predicted: Map | None, classes: Classes) -> NDArray[np.float64]:
    """TP, FN and FP of each of the S evaluated classes in the bands of one image, `(S, 3)`.

    Args:
        truth: the labels.
        predicted: None where the prediction is missing; then all is FN.
        classes: says which ids are evaluated.
    """
    width = width_of((truth.shape[0], truth.shape[1]))
    ids = [class_.id for class_ in classes.evaluated]
    near = band(truth, width)
    if predicted is None:
        labelled = _count(truth, near)[ids]
        return np.stack([0 * labelled, labelled, 0 * labelled], axis=1).astype(np.float64)
    ignored = np.full(256, 255, dtype=np.uint8)
    ignored[ids] = 0
    # Bytes are looked up far faster than elements of an array.
    where = np.frombuffer(truth.tobytes().translate(ignored.tobytes()), dtype=np.uint8).reshape(truth.shape)
    predicted = predicted ^ ((predicted ^ truth) & where)
    near_predicted = band(predicted, width)
    near_both = near & near_predicted & (truth == predicted)
    labelled, found, tp = (
        _count(label_map, which)[ids]
        for label_map, which in ((truth, near), (predicted, near_predicted), (truth, near_both))
    )
    return np.stack([tp, labelled - tp, found - tp], axis=1).astype(np.float64)


def _count(label_map: Map, which: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of some pixels have each id, `(256,)`."""
    # The others are counted as id 0, and taken off: faster than to pick out the pixels.
    counts = count_values((label_map * which).ravel(), 256)
    counts[0] -= label_map.size - np.count_nonzero(which)
    return counts


def band(label_map: Map, width: int) -> NDArray[np.bool_]:
    """Whether within `width` rows and columns there is another id or the outside of the image, `(H, W)`."""
    height, columns = label_map.shape
    near = np.ones((height, columns), dtype=bool)
    if 2 * width >= min(height, columns):
        return near
    # In a square around a pixel ids differ if they do in its row or in any of the columns that cross it. What
    # runs over the end of a row comes out where the square leaves the image, so one flat array will do.
    flat = label_map.ravel()
    by_column = _any_of(flat[columns:] != flat[:-columns], 2 * width, columns)
    by_row = _any_of(flat[1:] != flat[:-1], 2 * width, 1)
    inside = slice(width * columns + width, -(width * columns + width))
    differ = _any_of(by_column, 2 * width + 1, 1)[: flat.size - 2 * inside.start]
    near.ravel()[inside] = differ | by_row[width * columns : width * columns + len(differ)]
    near[:, :width] = near[:, -width:] = True
    return near


def _any_of(flags: NDArray[np.bool_], count: int, step: int) -> NDArray[np.bool_]:
    """Whether any of `count` flags, `step` apart, is set, from each one on but the last."""
    have = 1
    while have < count:
        more = min(have, count - have)
        flags = flags[: -more * step] | flags[more * step :]
        have += more
    return flags
