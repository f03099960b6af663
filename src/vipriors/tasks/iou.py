"""Intersection over union of label maps: counted image by image, then averaged and resampled over images.

The IoU of a class is TP / (TP + FP + FN) over the pixels of all test images whose label is not ignored. Where
instances are known, its instance-weighted IoU takes TP and FN from the pixels of instances, weighted by the
class's mean instance size over the instance's own, so that small ones count as much as large ones.

Source: Cordts et al., The Cityscapes Dataset, 2016, section 4.1, and its published evaluation scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.bootstrap import DRAWS, resample
from vipriors.tasks.class_map import Class, Classes
from vipriors.tasks.label_map import Map, count_values, runs_of
from vipriors.tasks.score import Estimate

FIRST_INSTANCE = 1001
"""Smallest value in an instance map that is an instance. Its class is the value // 1000."""

MISSING = 256
"""The column of a confusion that counts pixels without a prediction."""

Confusion = NDArray[np.float64]
"""Pixels, or weights of pixels, by label and predicted id, `(256, 257)`."""

Counts = NDArray[np.float64]
"""TP, FN and FP of S classes or categories in each of N images, `(N, S, 3)`."""


def confusion_of(truth: Map, predicted: Map | None) -> Confusion:
    """Pixels by label and predicted id; `predicted` is None where the prediction is missing."""
    confusion = np.zeros((256, 257))
    if predicted is None:
        confusion[:, MISSING] = count_values(truth.ravel(), 256)
        return confusion
    pairs = truth.ravel().astype(np.uint16)
    pairs <<= 8
    pairs |= predicted.ravel()
    confusion[:, :MISSING] = count_values(pairs, 65536).reshape(256, 256)
    return confusion


def instance_confusion_of(
    instances: NDArray[np.uint16], predicted: Map | None, classes: Classes
) -> Confusion:
    """Weights of the pixels of instances by their class and predicted id.

    An instance's pixels weigh as much together as an instance of its class has pixels in the mean.
    """
    mean_size = np.zeros(256)
    for class_ in classes.all:
        mean_size[class_.id] = class_.instance_size or 0
    pairs = instances.ravel().astype(np.uint32)
    pairs <<= 9
    pairs |= np.uint32(MISSING) if predicted is None else predicted.ravel()
    found, pixels = runs_of(pairs)
    of_instance = found >= FIRST_INSTANCE << 9
    instance, columns, pixels = found[of_instance] >> 9, found[of_instance] & 511, pixels[of_instance]
    rows = instance // 1000
    weights = mean_size[rows] * pixels / np.bincount(instance, weights=pixels)[instance]
    cells = np.bincount(rows * 257 + columns, weights=weights, minlength=256 * 257)
    return cells.reshape(256, 257).astype(np.float64)


def members_of(groups: Sequence[Sequence[Class]]) -> NDArray[np.float64]:
    """1 where an id belongs to a group, `(S, 256)`."""
    members = np.zeros((len(groups), 256))
    for row, group in zip(members, groups, strict=True):
        row[[class_.id for class_ in group]] = 1
    return members


def count(
    confusion: Confusion, members: NDArray[np.float64], classes: Classes, found: Confusion | None = None
) -> NDArray[np.float64]:
    """TP, FN and FP of each group in one image, `(S, 3)`.

    A pixel with an ignored label counts nowhere. One whose label is evaluated, but which is predicted as an
    ignored class or not at all, is an FN.

    Args:
        confusion: pixels of the image.
        members: the groups, `(S, 256)`.
        classes: says which ids are evaluated.
        found: what TP and FN are counted in, if not in `confusion`.
    """
    evaluated = members_of([classes.evaluated])
    rows = members * evaluated
    labelled = rows @ (confusion if found is None else found)
    tp = (labelled[:, :MISSING] * members).sum(axis=1)
    fn = labelled.sum(axis=1) - tp
    fp = ((evaluated - rows) @ confusion[:, :MISSING] * members).sum(axis=1)
    return np.stack([tp, fn, fp], axis=1)


def ious(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """TP / (TP + FN + FP) of `(..., 3)`; NaN where a class occurs neither in labels nor in predictions."""
    with np.errstate(invalid="ignore"):
        return np.asarray(counts[..., 0] / counts.sum(axis=-1))


def estimates(groups: Mapping[str, Counts], *, draws: int = DRAWS) -> dict[str, Estimate]:
    """The mean IoU of each group over its classes, with a 95 % bootstrap interval over images.

    The mean is over the classes that occur, in each resample those that occur in it; a resample in which none
    occurs is passed over.
    """
    images = len(next(iter(groups.values())))
    once = np.ones(images, dtype=np.int64)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in groups}
    for seed in range(10):  # in parts, to keep the resamples small in memory
        resamples = resample(once, draws=draws // 10, seed=seed).astype(np.float64)
        for name, counts in groups.items():
            drawn[name].append(_mean_iou(resamples, counts))
    result = {}
    for name, counts in groups.items():
        value = _mean_iou(once[np.newaxis].astype(np.float64), counts)[0]
        low, high = np.nanpercentile(np.concatenate(drawn[name]), [2.5, 97.5])
        result[name] = Estimate(float(value), float(low), float(high))
    return result


def _mean_iou(times: NDArray[np.float64], counts: Counts) -> NDArray[np.float64]:
    """The mean IoU `(D,)` of D samples in which each image occurs some `times`, `(D, N)`."""
    sums = (times @ counts.reshape(len(counts), -1)).reshape(len(times), -1, 3)
    each = ious(sums)
    occurs = ~np.isnan(each)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(occurs, each, 0).sum(axis=1) / occurs.sum(axis=1))
