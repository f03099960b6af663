"""Task: segmentation, a class for every pixel of each image.

A predictions file is a zip archive with one PNG for each test image, `<id>.png`, of exactly the image's size,
whose 8-bit pixels are ids of the class map (for Cityscapes its label ids, not train ids). Labels are a folder
or zip of such maps. `docs/formats/segmentation.md` states it all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import write_atomic
from vipriors.problems import BadInput, Problem
from vipriors.tasks.archive import Limits, open_archive, pack
from vipriors.tasks.boundary import count_boundary
from vipriors.tasks.class_map import CITYSCAPES, MOST_ID, plain
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.iou import (
    confusion_of,
    count,
    estimates,
    instance_confusion_of,
    members_of,
)
from vipriors.tasks.label_map import MOST_PIXELS, Map, decode, encode, ids_in
from vipriors.tasks.protocol import Truth
from vipriors.tasks.score import Score
from vipriors.tasks.segmentation_details import details_of
from vipriors.tasks.segmentation_index import (
    MapIndex,
    add_id_faults,
    add_label_faults,
    add_unknown_ids,
)
from vipriors.tasks.segmentation_index import index_of as index_of
from vipriors.tasks.segmentation_labels import Labels, id_of
from vipriors.tasks.segmentation_labels import read_labels as read_labels

HEADLINE, BOUNDARY = "iou_class", "boundary_iou"


@dataclass(frozen=True)
class Predictions:
    """Label maps in the order of an index, as PNG files; None where missing.

    They stay encoded until they are scored one by one: decoded, those of 200 street scenes take 400 MB.
    """

    maps: tuple[bytes | None, ...]


def write(path: Path, ids: Sequence[str], predictions: Iterable[NDArray[Any]]) -> None:
    """Writes a predictions file: the same bytes for the same maps in any order, and all of it or nothing.

    Args:
        path: the file; folders above it are made.
        ids: the N test images.
        predictions: `(H, W)` integers from 0 to 255 for each; may be an iterator, so that few are in memory.

    Raises:
        BadInput: ids or maps are unfit; lists all. Nothing is written.
    """
    findings = Findings(str(path))
    add_id_faults(ids, findings)
    encoded: list[bytes] = []
    for map_ in predictions:
        id_ = ids[len(encoded)] if len(encoded) < len(ids) else ""
        pixels = np.asarray(map_)
        fault = _fault_of_pixels(pixels)
        if fault:
            findings.add("unfit maps", fault, entry=f"{id_}.png")
        encoded.append(b"" if fault else encode(pixels.astype(np.uint8)))
    if len(encoded) != len(ids):
        findings.add(
            "faults of the predictions", f"{len(encoded)} maps; expected {len(ids)}, one for each id"
        )
    if findings:
        raise BadInput(findings.problems())
    data = pack((f"{id_}.png", png) for id_, png in zip(ids, encoded, strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)


def check(
    data: bytes, index: MapIndex, name: str = "predictions.zip", *, allow_missing: bool = False
) -> tuple[Predictions | None, list[Problem]]:
    """Reads a predictions file and lists every problem in it (of one kind at most `findings.LISTED`).

    Args:
        data: the file, any bytes.
        index: the test images it must cover, their sizes, and the class map.
        name: what problems call the file.
        allow_missing: whether images may be left out; all their pixels count as wrong then.

    Returns:
        The predictions and no problems, or None and the problems.
    """
    findings = Findings(name)
    archive = open_archive(data, _limits(index), findings)
    if archive is None:
        return None, findings.problems()
    positions = {id_: position for position, id_ in enumerate(index.ids)}
    entries: dict[int, str] = {}
    maps: list[bytes | None] = [None] * len(index.ids)
    for entry in archive.files:
        position = positions.get(id_of(entry))
        if not entry.lower().endswith(".png") or "/" in entry:
            expected = "expected only <id>.png, at the top or in one folder around all"
            findings.add("unexpected files", f"is not expected here; {expected}", entry=entry)
        elif position is None:
            message = f"{shown(id_of(entry))} is not an id of the test set"
            findings.add("unknown ids", message, entry=entry)
        elif position in entries:
            message = f"a second map of {shown(index.ids[position])}, after {shown(entries[position])}"
            findings.add("duplicate ids", f"{message}; expected one", entry=entry)
        else:
            entries[position] = entry
            png = archive.read(entry, findings)
            pixels = None if png is None else decode(png, findings, entry, index.sizes[position])
            if pixels is not None:
                add_unknown_ids(ids_in(pixels), index.classes, findings, entry)
                maps[position] = png
    if not allow_missing:
        for position, id_ in enumerate(index.ids):
            if position not in entries:
                message = f"no map for {shown(id_)}; expected one per image, {shown(id_ + '.png')}"
                findings.add("images without a prediction", message)
    if findings:
        return None, findings.problems()
    return Predictions(tuple(maps)), []


def open_truth(labels: Path, classes: Sequence[str] | None = None) -> Truth:
    """Opens a folder or zip of label maps.

    Args:
        labels: the maps.
        classes: names of the ids 0, 1, … (255 is then ignored), or by default Cityscapes' label ids.
    """
    known = read_labels(labels, labels.name)
    map_ = plain(classes) if classes else CITYSCAPES
    return Truth(index_of(known, map_), known, map_.names)


def score(predictions: Predictions, labels: Labels, index: MapIndex, class_names: Sequence[str]) -> Score:
    """Scores predictions over the whole index of N images; a missing map counts as wrong in every pixel.

    `iou_class` is the mean IoU of the evaluated classes that occur in labels or predictions, `iou_category`
    that of their categories, `iiou_class` and `iiou_category` their instance-weighted forms where the labels
    have instances, `boundary_iou` the mean IoU in the bands along the classes' borders (see `boundary`), and
    `pixel_accuracy` the share of the evaluated pixels that are right.

    Args:
        predictions: as `check` returns them.
        labels: as `read_labels` returns them, of exactly the images of the index.
        index: the test images.
        class_names: names of the evaluated classes, in the order of the class map.

    Raises:
        BadInput: labels, predictions or names do not fit the index.
    """
    _refuse_misfits(predictions, labels, index, class_names)
    classes = index.classes
    groups = {HEADLINE: members_of([[c] for c in classes.evaluated])}
    in_category = {name: [c for c in classes.all if c.category == name] for name in classes.categories}
    if in_category:
        evaluated = [[c for c in group if not c.ignored] for group in in_category.values()]
        groups["iou_category"] = members_of(evaluated)
    of_instances = {
        "iiou_class": members_of([[c] for c in classes.evaluated if c.instance_size is not None]),
        "iiou_category": members_of([in_category[name] for name in classes.instance_categories]),
    }
    counts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*groups, *of_instances, BOUNDARY)}
    total = np.zeros((256, 257))
    # By id: which images a bootstrap draws, and so the interval, must not hang on the order of the index.
    for id_, size, png in sorted(
        zip(index.ids, index.sizes, predictions.maps, strict=True), key=itemgetter(0)
    ):
        truth, instances = labels.images[id_].load(id_)
        predicted = None if png is None else _decoded(png, id_, size)
        confusion = confusion_of(truth, predicted)
        total += confusion
        counts[BOUNDARY].append(count_boundary(truth, predicted, classes))
        for name, members in groups.items():
            counts[name].append(count(confusion, members, classes))
        if instances is not None:
            weighted = instance_confusion_of(instances, predicted, classes)
            for name, members in of_instances.items():
                counts[name].append(count(confusion, members, classes, weighted))
    by_image = {name: np.stack(each) for name, each in counts.items() if each}
    # Without an instance of a class that counts there is nothing to weight.
    by_image = {name: each for name, each in by_image.items() if each[..., :2].any()}
    right_and_wrong = by_image[HEADLINE].sum(axis=1, keepdims=True) * [1, 1, 0]
    found = estimates({**by_image, "pixel_accuracy": right_and_wrong})
    details = {
        "n_test": len(index.ids),
        "n_predicted": sum(png is not None for png in predictions.maps),
        "classes": list(class_names),
        **details_of(by_image, total, classes, class_names),
    }
    return Score("segmentation", HEADLINE, found, details)


def _limits(index: MapIndex) -> Limits:
    """Ample for any honest file: 4 bytes a pixel, so that even colour images are named as such."""
    sizes = [4 * height * width + 2**16 for height, width in index.sizes]
    total = sum(sizes) + 2**26
    return Limits(total, 2 * len(sizes) + 1000, max(sizes), total)


def _fault_of_pixels(pixels: NDArray[Any]) -> str | None:
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):
        return f"shape {pixels.shape} of {pixels.dtype}; expected (H, W) integers"
    if not 1 <= pixels.size <= MOST_PIXELS:
        return f"{pixels.size:,} pixels; expected 1 to {MOST_PIXELS:,}"
    if pixels.min() < 0 or pixels.max() > MOST_ID:
        return f"ids {pixels.min()} to {pixels.max()}; expected 0 to {MOST_ID}"
    return None


def _decoded(png: bytes, id_: str, size: tuple[int, int]) -> Map:
    findings = Findings("predictions")
    pixels = decode(png, findings, id_, size)
    if pixels is None:
        raise BadInput(findings.problems())
    return pixels


def _refuse_misfits(
    predictions: Predictions, labels: Labels, index: MapIndex, class_names: Sequence[str]
) -> None:
    findings = Findings("labels")
    add_label_faults(labels, index.classes, findings)
    for id_, size in zip(index.ids, index.sizes, strict=True):
        if id_ not in labels.images:
            findings.add("images without a label", f"no map for {shown(id_)}; expected one per image")
        elif (found := labels.images[id_].size) != size:
            message = f"{found[1]} x {found[0]} pixels; expected {size[1]} x {size[0]}"
            findings.add("maps of another size", message, entry=id_)
    for id_ in sorted(labels.images.keys() - set(index.ids)):
        findings.add("unknown ids", f"{shown(id_)} is not an id of the test set")
    problems = findings.problems()
    if len(predictions.maps) != len(index.ids):
        message = f"{len(predictions.maps)} maps; expected {len(index.ids)}"
        problems.append(Problem("predictions", message))
    expected = len(index.classes.evaluated)
    if len(class_names) != expected:
        problems.append(Problem("class names", f"{len(class_names)} names; expected {expected}"))
    if problems:
        raise BadInput(problems)
