"""Detection: labels are COCO's boxes, predictions are COCO's results, both at the images' own sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.protocol import Detector, Labelled
from vipriors.runs.bridges import _objects
from vipriors.runs.prepared import RunData
from vipriors.tasks import detection
from vipriors.tasks.protocol import Truth

SUFFIX = ".json"


def labelled(data: RunData, *splits: str) -> Labelled:
    """Images `(N, H, W, C)` with the `Objects` of each, in pixels of the input."""
    size = data.challenge.input.size

    def shapes(
        labels: detection.Labels, here: NDArray[np.intp], own: tuple[int, int]
    ) -> tuple[NDArray[np.float64], None]:
        boxes = _objects.inside(_objects.corners(labels.boxes[here]), own)
        return boxes * _objects.scale(own, size), None

    return _objects.labelled(data, splits, detection.read_labels, shapes)


def truth(data: RunData, split: str) -> Truth | None:
    """The annotated boxes of the run's images of a split."""
    file = data.prepared.labels_of(split)
    if file is None:
        return None
    labels = detection.read_labels(file)
    index, objects, kept = _objects.only(labels.index, labels.objects, _objects.known(data, split).ids)
    return Truth(index, detection.Labels(index, objects, labels.boxes[kept]), index.names)


def write(data: RunData, split: str, model: Detector, file: Path) -> None:
    """Writes what is found in each image, in its own pixels."""
    known, found = _objects.known(data, split), []
    categories = np.array(known.categories)
    for size, one in zip(known.sizes, model.detect(data.load(split).images), strict=True):
        assert one.scores is not None, "found objects have scores"
        boxes = one.boxes * _objects.scale(data.challenge.input.size, size)
        boxes = _objects.inside(boxes, size)
        boxes[:, 2:] -= boxes[:, :2]
        found.append(detection.Found(categories[one.classes], boxes, one.scores))
    detection.write(file, known.ids, found)
