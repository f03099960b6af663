"""What the floors of detection and instance segmentation share: the same objects for every image.

The boxes of each class are put into groups of similar ones (k-means). Each group gives one object: its mean
box, and with masks its mean shape, with the share of training images that have one as its score. Floors are
tuned on the same validation images as the methods.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.detection._precision import average_precision
from vipriors.methods.protocol import Context, Fitted, Labelled, Objects, TrainingSet

MOST_FOUND = 100
GROUPS = (1, 2, 4, 8, 16)
SHAPE = 28
"""Cells a side of a mean shape."""


@dataclass(frozen=True)
class PriorMethod:
    """Hyper-parameters of a floor that looks at no image."""

    groups: int = 0
    """Boxes of each class; 0 is searched on validation, or 4 without any."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def tuned(self, data: TrainingSet) -> Self:
        """With the number of boxes that did best on `data.held_out`, the first of equals."""
        if self.groups:
            return self
        assert data.held_out is not None
        held_out, classes = data.held_out, len(data.classes)
        candidates = [dataclasses.replace(self, groups=groups) for groups in GROUPS]

        def precision(one: Self) -> float:
            found = one.model(data.train, classes).detect(held_out.images)
            return average_precision(list(found), held_out.labels, classes) or 0.0

        return max(candidates, key=precision)

    def model(self, train: Labelled, classes: int) -> PriorDetector:
        """What is given for every image."""
        return PriorDetector(mean_objects(train.labels, classes, self.groups or 4))

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Groups the training boxes."""
        return Fitted(self.model(data.train, len(data.classes)))

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> PriorDetector:
        """Reads the objects."""
        with np.load(folder / "floor.npz", allow_pickle=False) as stored:
            return PriorDetector(Objects(**stored))


@dataclass(frozen=True)
class PriorDetector:
    """Gives the same objects for every image."""

    objects: Objects

    def detect(self, images: NDArray[np.uint8]) -> Iterator[Objects]:
        """The objects, for each of the images `(N, H, W, C)`."""
        for _ in images:
            yield self.objects

    def save(self, folder: Path) -> None:
        """Writes `folder/floor.npz`."""
        values = {name: value for name, value in vars(self.objects).items() if value is not None}
        np.savez_compressed(folder / "floor.npz", **values)


def mean_objects(labels: Sequence[Objects], classes: int, groups: int) -> Objects:
    """The mean objects of groups of similar boxes of a class, the most frequent first.

    Args:
        labels: Of N images. Crowds are left out.
        classes: K.
        groups: Boxes of each class at most.
    """
    kept = [np.ones(len(one.classes), bool) if one.crowds is None else ~one.crowds for one in labels]
    class_ = np.concatenate([one.classes[keep] for one, keep in zip(labels, kept, strict=True)])
    boxes = np.concatenate([one.boxes[keep] for one, keep in zip(labels, kept, strict=True)])
    image = np.repeat(np.arange(len(labels)), [keep.sum() for keep in kept])
    masks = None
    if all(one.masks is not None for one in labels):
        masks = np.concatenate([one.masks[keep] for one, keep in zip(labels, kept, strict=True)])  # type: ignore[index]
    found = []
    for number in range(classes):
        members = np.flatnonzero(class_ == number)
        for group in similar(boxes[members], groups):
            chosen = members[group]
            mean = boxes[chosen].mean(axis=0)
            score = len(np.unique(image[chosen])) / len(labels)
            mask = None if masks is None else mean_mask(masks[chosen], boxes[chosen], mean)
            found.append((score, number, mean, mask))
    found.sort(key=lambda one: -one[0])
    best = found[:MOST_FOUND]
    return Objects(
        np.array([number for _, number, _, _ in best], np.int64),
        np.array([box for _, _, box, _ in best], np.float32).reshape(-1, 4),
        masks=None
        if masks is None
        else np.array([one for *_, one in best], bool).reshape(-1, *masks.shape[1:]),
        scores=np.array([score for score, *_ in best], np.float32),
    )


def similar(boxes: NDArray[np.float32], groups: int) -> list[NDArray[np.int64]]:
    """Indices of boxes `(n, 4)` in at most as many groups of similar ones, none of them empty."""
    from sklearn.cluster import KMeans

    most = min(groups, len(np.unique(boxes, axis=0)))
    if most == 0:
        return []
    group = KMeans(most, n_init=1, random_state=0).fit_predict(boxes.astype(np.float64))
    return [np.flatnonzero(group == number) for number in np.unique(group)]


def mean_mask(
    masks: NDArray[np.bool_], boxes: NDArray[np.float32], place: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """The mean shape of masks `(n, H, W)` in their boxes `(n, 4)`, put into another box `(4,)`: `(H, W)`.

    Pixels that are as frequent as half of the most frequent one belong to it.
    """
    steps = (np.arange(SHAPE) + 0.5) / SHAPE
    height, width = masks.shape[1:]
    share = np.zeros((SHAPE, SHAPE))
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        rows = (top + steps * (bottom - top)).astype(int).clip(0, height - 1)
        columns = (left + steps * (right - left)).astype(int).clip(0, width - 1)
        share += mask[np.ix_(rows, columns)]
    shape = share >= share.max() / 2
    left, top, right, bottom = place
    rows = np.floor((np.arange(height) + 0.5 - top) / (bottom - top) * SHAPE).astype(int)
    columns = np.floor((np.arange(width) + 0.5 - left) / (right - left) * SHAPE).astype(int)
    inside = np.logical_and.outer((rows >= 0) & (rows < SHAPE), (columns >= 0) & (columns < SHAPE))
    found: NDArray[np.bool_] = shape[np.ix_(rows.clip(0, SHAPE - 1), columns.clip(0, SHAPE - 1))] & inside
    return found
