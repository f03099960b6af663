"""What detection and instance segmentation have in common: COCO's images and categories, ids, and sizes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes
from vipriors.data.prepared import ANNOTATIONS
from vipriors.methods.protocol import Labelled, Objects
from vipriors.problems import BadInput, Problem
from vipriors.runs.prepared import RunData
from vipriors.tasks import coco

TEST_INDEX = f"{ANNOTATIONS}/test/images.json"
"""Images and categories of the test, without labels."""


@dataclass(frozen=True)
class Known:
    """What COCO's files say of some images of a run, in the run's order.

    Attributes:
        ids: N ids of images.
        sizes: N heights and widths in pixels, before they are brought to the input size.
        categories: the id of each class of the run.
    """

    ids: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    categories: tuple[int, ...]


Shapes = Callable[
    [Any, NDArray[np.intp], tuple[int, int]], tuple[NDArray[np.float64], NDArray[np.bool_] | None]
]
"""Of a task's labels, which of its objects, and the height and width of the image they are in: their boxes
`(n, 4)` (left, top, right, bottom) and masks `(n, H, W)` in pixels of the input."""


def labelled(data: RunData, splits: Sequence[str], read: Callable[[Path], Any], shapes: Shapes) -> Labelled:
    """Images `(N, H, W, C)` with the `Objects` of each, in pixels of the input.

    Args:
        data: The run's data.
        splits: Which images, in this order.
        read: Reads the task's labels from a file.
        shapes: Boxes and masks of the objects of an image.
    """
    objects = [one for split in splits if data.select(split) for one in _annotated(data, split, read, shapes)]
    return Labelled(data.load(*splits).images, objects)


def _annotated(data: RunData, split: str, read: Callable[[Path], Any], shapes: Shapes) -> list[Objects]:
    """The objects of each image of a split, in the order of the manifest."""
    these = known(data, split)
    labels = read(annotations_of(data, split))
    places = {id_: place for place, id_ in enumerate(labels.index.ids)}
    classes = np.array([these.categories.index(id_) for id_ in labels.index.categories])
    found = []
    for id_, size in zip(these.ids, these.sizes, strict=True):
        here = np.flatnonzero(labels.objects.images == places[id_])
        boxes, masks = shapes(labels, here, size)
        found.append(
            objects_of(classes[labels.objects.classes[here]], boxes, labels.objects.crowds[here], masks)
        )
    return found


def annotations_of(data: RunData, split: str) -> Path:
    """The file with the annotations of `train` or `val`.

    Raises:
        BadInput: There is none.
    """
    file = data.prepared.labels_of(split)
    if file is None:
        raise BadInput.single(data.root / ANNOTATIONS / split, "is missing; prepare the folder again")
    return file


def known(data: RunData, split: str) -> Known:
    """The ids and sizes of a split's images, and the ids of the classes.

    Raises:
        BadInput: The file that says so is damaged, or lacks images or classes of the run; lists which.
    """
    file = data.root / TEST_INDEX if split == "test" else annotations_of(data, split)
    content = _parse(file)
    entries = {entry["file_name"]: entry for entry in content["images"]}
    categories = {entry["name"]: entry["id"] for entry in content["categories"]}
    rows = data.select(split)
    missing = [row.id for row in rows if row.id not in entries]
    problems = [
        Problem(str(file), f"{fault}, such as {', '.join(names[:3])}")
        for fault, names in (
            (f"lacks {len(missing)} images of the run", missing),
            ("lacks classes of the run", [name for name in data.classes if name not in categories]),
            ("has categories that the run does not know", [*(set(categories) - set(data.classes))]),
        )
        if names
    ]
    if problems:
        raise BadInput(problems)
    chosen = [entries[row.id] for row in rows]
    return Known(
        tuple(entry["id"] for entry in chosen),
        tuple((entry["height"], entry["width"]) for entry in chosen),
        tuple(categories[name] for name in data.classes),
    )


def _parse(file: Path) -> Any:
    """The JSON object in a file, with a list of images and of categories that have what is needed of them."""
    try:
        content = json.loads(read_bytes(file))
    except (ValueError, RecursionError) as error:
        raise BadInput.single(file, f"is not JSON: {error}") from None
    for part, fields in (
        ("images", {"id": int, "file_name": str, "height": int, "width": int}),
        ("categories", {"id": int, "name": str}),
    ):
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in fields.items())
            for entry in entries
        ):
            raise BadInput.single(file, f"has no {part} with {', '.join(fields)}")
    return content


def only(
    index: coco.Index, objects: coco.Objects, ids: tuple[int, ...]
) -> tuple[coco.Index, coco.Objects, NDArray[np.int64]]:
    """An index and its objects without the images that are not among `ids`; and which objects are left."""
    wanted = set(ids)
    places = [place for place, id_ in enumerate(index.ids) if id_ in wanted]
    kept = np.flatnonzero(np.isin(objects.images, places))
    smaller = coco.Index(
        tuple(index.ids[place] for place in places),
        tuple(index.sizes[place] for place in places),
        index.categories,
        index.names,
    )
    left = coco.Objects(
        np.searchsorted(places, objects.images[kept]),
        objects.classes[kept],
        objects.areas[kept],
        objects.crowds[kept],
    )
    return smaller, left, kept


def scale(frm: tuple[int, int], to: tuple[int, int]) -> NDArray[np.float64]:
    """What boxes (left, top, right, bottom) are multiplied by from one height and width to another."""
    height, width = to[0] / frm[0], to[1] / frm[1]
    return np.array([width, height, width, height])


def corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Left, top, right, bottom of boxes `(n, 4)` of left, top, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def inside(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes `(n, 4)` of left, top, right, bottom, without what lies outside an image."""
    height, width = size
    return boxes.clip(0, (width, height, width, height))


def objects_of(
    classes: NDArray[np.int64],
    boxes: NDArray[np.float64],
    crowds: NDArray[np.bool_],
    masks: NDArray[np.bool_] | None = None,
) -> Objects:
    """The objects of one image, without those that nothing is to be seen of: `boxes` of no area."""
    seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Objects(
        classes[seen],
        boxes[seen].astype(np.float32),
        masks=None if masks is None else masks[seen],
        crowds=crowds[seen],
    )
