"""Instances: labels are COCO's masks, predictions are COCO's run lengths, both at the images' own sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vipriors.methods.protocol import Detector, Labelled
from vipriors.runs.bridges import _objects
from vipriors.runs.prepared import RunData
from vipriors.tasks import instances, rle
from vipriors.tasks.protocol import Truth

SUFFIX = ".json"


def labelled(data: RunData, *splits: str) -> Labelled:
    """Images `(N, H, W, C)` with the `Objects` of each, boxes and masks at the input size."""
    size = data.challenge.input.size

    def shapes(
        labels: instances.Labels, here: NDArray[np.intp], own: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        masks = resized(drawn(rle.chosen(labels.masks, here), own), size)
        return boxes_of(masks), masks

    return _objects.labelled(data, splits, instances.read_labels, shapes)


def drawn(masks: rle.Masks, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Runs as pixels, `(n, H, W)`."""
    height, width = size
    edges = np.zeros((len(masks.areas), height * width + 1), np.int8)
    owners = np.repeat(np.arange(len(masks.areas)), np.diff(masks.offsets))
    edges[owners, masks.starts] += 1
    edges[owners, masks.ends] -= 1
    inside = edges[:, :-1].cumsum(axis=1, dtype=np.int8).astype(bool)
    return inside.reshape(-1, width, height).transpose(0, 2, 1)


def resized(masks: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks `(n, h, w)` at another height and width `(n, H, W)`: pixels of which half or more are covered."""
    if masks.shape[1:] == size:
        return masks
    height, width = size
    found = np.zeros((len(masks), height, width), bool)
    for one, mask in zip(found, masks, strict=True):
        cover = Image.fromarray(mask.astype(np.uint8) * 255)
        one[:] = np.asarray(cover.resize((width, height), Image.Resampling.BILINEAR)) >= 128
    return found


def boxes_of(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The tight boxes (left, top, right, bottom) of masks `(n, H, W)`; all zeros where one is empty."""
    boxes = np.zeros((len(masks), 4))
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def truth(data: RunData, split: str) -> Truth | None:
    """The annotated masks of the run's images of a split."""
    file = data.prepared.labels_of(split)
    if file is None:
        return None
    labels = instances.read_labels(file)
    index, objects, kept = _objects.only(labels.index, labels.objects, _objects.known(data, split).ids)
    return Truth(index, instances.Labels(index, objects, rle.chosen(labels.masks, kept)), index.names)


def write(data: RunData, split: str, model: Detector, file: Path) -> None:
    """Writes what is found in each image, in its own pixels."""
    known, found = _objects.known(data, split), []
    categories = np.array(known.categories)
    for size, one in zip(known.sizes, model.detect(data.load(split).images), strict=True):
        assert one.masks is not None and one.scores is not None
        masks = resized(one.masks, size)
        found.append(instances.Found(size, categories[one.classes], rle.encode(masks), one.scores))
    instances.write(file, known.ids, found)
