"""Segmentation: labels are maps of ids as PNG files, predictions a zip of them at the images' own sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vipriors.challenges.schema import Challenge
from vipriors.data.files import map_all
from vipriors.data.images import image_size
from vipriors.data.manifest import Row
from vipriors.data.packed import PreparedFiles
from vipriors.methods.protocol import IGNORED, Labelled, Segmenter
from vipriors.problems import BadInput
from vipriors.runs.prepared import RunData
from vipriors.tasks import segmentation
from vipriors.tasks.class_map import CITYSCAPES, Classes, plain
from vipriors.tasks.findings import Findings
from vipriors.tasks.protocol import Truth
from vipriors.tasks.segmentation_index import MapIndex
from vipriors.tasks.segmentation_labels import Labels, id_of

SUFFIX = ".zip"


def labelled(data: RunData, *splits: str) -> Labelled:
    """Images `(N, H, W, C)` with their maps: positions in the run's classes, or `IGNORED`.

    Maps are `(N, sH, sW)`, s times as large as the images where the challenge's `input.map_scale` is s.
    """
    images = data.load(*splits)
    known = {split: truth(data, split) for split in splits}
    height, width = (data.challenge.input.map_scale * side for side in data.challenge.input.size)
    positions = np.full(256, IGNORED, np.uint8)
    ids = _ids_of_classes(data.challenge, data.classes)
    positions[ids] = np.arange(len(ids))

    def load(row: Row) -> NDArray[np.uint8]:
        found = known[row.split]
        assert found is not None, "only test images have no labels"
        map_, _ = found.labels.images[id_of(row.id)].load(row.id)
        small = Image.fromarray(positions[map_]).resize((width, height), Image.Resampling.NEAREST)
        return np.asarray(small)

    return Labelled(images.images, np.stack(map_all(load, data.select(*splits))))


def truth(data: RunData, split: str) -> Truth | None:
    """The index and label maps of the run's images of a split."""
    folder = data.prepared.labels_of(split)
    if folder is None:
        return None
    return open_truth(folder, data.select(split), data.challenge, data.classes)


def open_truth(folder: Path, rows: Sequence[Row], challenge: Challenge, classes: Sequence[str]) -> Truth:
    """The index and label maps of some images, in their order, from a folder that may hold more.

    Raises:
        BadInput: A map is missing, damaged or holds unknown ids.
    """
    whole = segmentation.open_truth(folder, challenge.label_names(classes))
    findings = Findings(str(folder))
    for row in rows:
        if id_of(row.id) not in whole.labels.images:
            findings.add("images without a label map", "there is no label map for it", entry=row.id)
    if findings:
        raise BadInput(findings.problems())
    images = {id_of(row.id): whole.labels.images[id_of(row.id)] for row in rows}
    sizes = tuple(image.size for image in images.values())
    return Truth(MapIndex(tuple(images), sizes, whole.index.classes), Labels(images), whole.classes)


def write(data: RunData, split: str, model: Segmenter, file: Path) -> None:
    """Writes the likeliest class of each pixel at each image's own size, one image after the other."""
    files, rows = PreparedFiles(data.root), data.select(split)

    def size(row: Row) -> tuple[int, int]:
        return image_size(files.locate(row.file), name=str(data.root / row.file))

    sizes = map_all(size, rows)
    ids = np.array(_ids_of_classes(data.challenge, data.classes), np.uint8)
    maps = (ids[map_] for map_ in model.maps(data.load(split).images, sizes))
    segmentation.write(file, [id_of(row.id) for row in rows], maps)


def _ids_of_classes(challenge: Challenge, classes: Sequence[str]) -> list[int]:
    """The id in label maps of each of the run's classes."""
    names = challenge.label_names(classes)
    map_: Classes = CITYSCAPES if names is None else plain(names)
    return [class_.id for class_ in map_.evaluated]
