"""COCO's average precision of objects in memory, at the input size: to choose by, and for the log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Objects
from vipriors.tasks import coco, detection, instances, rle


def average_precision(found: Sequence[Objects], annotated: Sequence[Objects], classes: int) -> float | None:
    """AP of masks where annotated objects have them, else of boxes; None where nothing is annotated.

    Args:
        found: In each of N images, with scores.
        annotated: In the same images.
        classes: How many there are.
    """
    crowds = np.concatenate(
        [np.zeros(len(one.classes), bool) if one.crowds is None else one.crowds for one in annotated]
    )
    if crowds.all():
        return None
    count, names = len(annotated), tuple(map(str, range(classes)))
    first = annotated[0].masks
    size = (1, 1) if first is None else (first.shape[1], first.shape[2])
    index = coco.Index(tuple(range(count)), (size,) * count, tuple(range(classes)), names)
    scores = np.concatenate([one.scores for one in found if one.scores is not None])
    results = coco.Results(_images(found), _classes(found), scores.astype(np.float64))
    if first is None:
        boxes = _boxes(annotated)
        areas = boxes[:, 2] * boxes[:, 3]
        objects = coco.Objects(_images(annotated), _classes(annotated), areas, crowds)
        score = detection.score(
            detection.Predictions(results, _boxes(found)),
            detection.Labels(index, objects, boxes),
            index,
            names,
            draws=0,
        )
    else:
        masks = _masks(annotated)
        objects = coco.Objects(
            _images(annotated), _classes(annotated), masks.areas.astype(np.float64), crowds
        )
        score = instances.score(
            instances.Predictions(results, _masks(found)),
            instances.Labels(index, objects, masks),
            index,
            names,
            draws=0,
        )
    return score.estimates[score.headline].value


def _images(objects: Sequence[Objects]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(objects)), [len(one.classes) for one in objects])


def _classes(objects: Sequence[Objects]) -> NDArray[np.int64]:
    return np.concatenate([one.classes for one in objects])


def _boxes(objects: Sequence[Objects]) -> NDArray[np.float64]:
    """Left, top, width, height."""
    corners = np.concatenate([one.boxes for one in objects]).astype(np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def _masks(objects: Sequence[Objects]) -> rle.Masks:
    masks = [mask for one in objects if one.masks is not None for mask in one.masks]
    heights, widths = np.array([mask.shape for mask in masks], np.int64).reshape(-1, 2).T
    return rle.decode([text for mask in masks for text in rle.encode(mask[np.newaxis])], heights, widths)[0]
