"""What sources of boxes and masks have in common: which objects count, and the labels of some of the images.

A box counts if it has an area and some of it lies inside its image; other objects are left out. So are images
without such a box (crowds apart) that are there to learn from; test images all stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import FilePart
from vipriors.data.sources._json import first_few, numbered
from vipriors.data.sources._zips import Place
from vipriors.data.sources.base import Named, NamedFiles, SourceSample
from vipriors.problems import BadInput, Problem

FARTHEST = 1e6
"""Coordinates in pixels lie between this and its negative, as tasks read them."""

SHOWN = 3
"""Names in a message; there may be thousands."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image with its size in pixels, and where its file lies."""

    key: str
    split: str
    place: Place
    height: int
    width: int
    id: int | None = None
    """Its published id, which then names its file in a prepared folder."""


@dataclass(frozen=True)
class ObjectTable:
    """G annotated objects."""

    images: NDArray[np.int64]
    """`(G,)`, positions in a sequence of images."""
    categories: NDArray[np.int64]
    """`(G,)`, ids."""
    boxes: NDArray[np.float64]
    """`(G, 4)`: left, top, width, height in pixels."""
    areas: NDArray[np.float64]
    """`(G,)` in square pixels; NaN where unknown."""
    crowds: NDArray[np.bool_]
    """`(G,)`: neither to be found nor background."""
    masks: Sequence[Any] | None = None
    """G masks: lists of polygons (x, y, x, y …), or COCO's run lengths; an empty one does not count."""

    def chosen(self, which: NDArray[np.int64]) -> ObjectTable:
        """Some of the objects, or all in another order."""
        return ObjectTable(
            self.images[which],
            self.categories[which],
            self.boxes[which],
            self.areas[which],
            self.crowds[which],
            None if self.masks is None else [self.masks[k] for k in which.tolist()],
        )


@dataclass(frozen=True, eq=False)
class ObjectSource:
    """Images with boxes, or with boxes and masks."""

    name: str
    root: Path
    samples: Sequence[SourceSample]
    images: Sequence[LabelledImage]
    """All that the source has, by position."""
    positions: Mapping[str, int]
    """Position of an image, by key."""
    categories: Sequence[tuple[int, str]]
    """Ids, ascending, and names."""
    objects: ObjectTable
    """Those that count, in the order of their images."""
    notes: Sequence[str]
    """What was left out, for people to read; the labels' `info` says it, too."""
    has_test_labels: bool = True
    classes: Sequence[str] = ("image",)
    media: Literal["images", "clips"] = "images"

    @property
    def names(self) -> Sequence[str]:
        """Names of the categories in the order of their ids."""
        return tuple(name for _, name in self.categories)

    def content(self, sample: SourceSample) -> tuple[str, Path | FilePart | bytes]:
        """The untouched file, or where it lies in a zip."""
        place = self.images[self.positions[sample.key]].place
        return suffix_of(sample.key), place if isinstance(place, Path) else place.content()

    def annotations(self, named: Named) -> NamedFiles:
        """`labels.json`, COCO ground truth; nothing of a test whose labels the source does not have.

        Raises:
            BadInput: names end in no number, or two in the same: it is the image's id.
        """
        if self.has_test_labels or all(sample.split != "test" for _, sample in named):
            index = {"info": {"notes": list(self.notes)}, **self._index(named)}
            yield "labels.json", _json({**index, "annotations": list(self._annotated(named))})

    def test_index(self, named: Named) -> NamedFiles:
        """`images.json`: ids, names and sizes of the images, and the categories."""
        yield "images.json", _json(self._index(named))

    def _index(self, named: Named) -> dict[str, Any]:
        images = [self.images[self.positions[sample.key]] for _, sample in named]
        ids = image_ids([name for name, _ in named])
        return {
            "images": [
                {"id": id, "file_name": name, "height": image.height, "width": image.width}
                for id, (name, _), image in zip(ids, named, images, strict=True)
            ],
            "categories": [{"id": id, "name": name} for id, name in self.categories],
        }

    def _annotated(self, named: Named) -> Iterator[dict[str, Any]]:
        ids = image_ids([name for name, _ in named])
        wanted = [self.positions[sample.key] for _, sample in named]
        starts, ends = (np.searchsorted(self.objects.images, wanted, side) for side in ("left", "right"))
        number = 0
        for image, start, end in zip(ids, starts.tolist(), ends.tolist(), strict=True):
            for k in range(start, end):
                number += 1  # From 1: pycocotools takes an annotation with the id 0 for none.
                yield {"id": number, "image_id": image, **self._object(k)}

    def _object(self, k: int) -> dict[str, Any]:
        objects = self.objects
        box: list[float] = objects.boxes[k].tolist()
        found: dict[str, Any] = {"category_id": int(objects.categories[k]), "bbox": box}
        if not np.isnan(objects.areas[k]):
            found["area"] = float(objects.areas[k])
        elif objects.masks is None:
            found["area"] = box[2] * box[3]
        found["iscrowd"] = int(objects.crowds[k])
        if objects.masks is not None:
            mask = objects.masks[k]
            found["segmentation"] = mask if isinstance(mask, dict) else [list(outline) for outline in mask]
        return found


def object_source(
    root: Path,
    categories: Sequence[tuple[int, str]],
    images: Sequence[LabelledImage],
    objects: ObjectTable,
    *,
    has_test_labels: bool = True,
) -> ObjectSource:
    """A source of images and their objects, of which those that do not count are left out."""
    notes: list[str] = []

    def leave_out(which: NDArray[np.bool_], what: str) -> None:
        if which.any():
            where = [images[k].key for k in np.unique(objects.images[which]).tolist()]
            notes.append(f"left out {np.sum(which):,} of {which.size:,} {what}: in {listed(where)}")

    sizes = np.array([(image.width, image.height) for image in images], np.float64)[objects.images]
    corners, sides = objects.boxes[:, :2], objects.boxes[:, 2:]
    has_box = np.asarray(((sides > 0) & (corners < sizes) & (corners + sides > 0)).all(axis=1))
    masks = objects.masks if objects.masks is not None else [True] * len(has_box)
    has_mask = np.array([bool(mask) for mask in masks], np.bool_)
    leave_out(~has_box, "boxes without an area inside their image")
    leave_out(has_box & ~has_mask, "masks without an outline of three corners or more")
    order = np.flatnonzero(has_box & has_mask)
    objects = objects.chosen(order[np.argsort(objects.images[order], kind="stable")])

    to_be_found = set(objects.images[~objects.crowds].tolist())
    is_kept = [image.split == "test" or k in to_be_found for k, image in enumerate(images)]
    without = [image.key for image, kept in zip(images, is_kept, strict=True) if not kept]
    if without:
        what = "images, to learn from but without a box that counts"
        notes.append(f"left out {len(without):,} of {len(images):,} {what}: {listed(without)}")
    return ObjectSource(
        name=str(root),
        root=root,
        samples=[
            SourceSample(image.key, 0, image.split, None if image.id is None else str(image.id))
            for image in compress(images, is_kept)
        ],
        images=images,
        positions={image.key: k for k, image in enumerate(images)},
        categories=categories,
        objects=objects,
        notes=notes,
        has_test_labels=has_test_labels,
    )


def box_table(rows: Sequence[tuple[int, int, Sequence[float], bool]]) -> ObjectTable:
    """Boxes from rows of position of the image, id of the category, box and whether it is a crowd."""
    images, categories, boxes, crowds = zip(*rows, strict=True) if rows else ((), (), (), ())
    return ObjectTable(
        np.array(images, np.int64),
        np.array(categories, np.int64),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.full(len(rows), np.nan),
        np.array(crowds, np.bool_),
    )


def image_ids(names: Iterable[str]) -> list[int]:
    """The ids of images in labels, from the names of their files; see `annotations`."""
    ids: list[int] = []
    problems: list[Problem] = []
    first: dict[int, str] = {}
    for name in names:
        id = numbered(name)
        if id is None:
            message = "ends in no number; expected one, such as in image_17.jpg, as the image's id in labels"
            problems.append(Problem(f"image {name}", message))
        elif (earlier := first.setdefault(id, name)) != name:
            message = f"ends in the same number as {earlier}; expected another, as the image's id in labels"
            problems.append(Problem(f"image {name}", message))
        else:
            ids.append(id)
    if problems:
        raise BadInput(first_few(problems, "images", "names without a number of their own"))
    return ids


def check_task(root: Path, task: str, tasks: Sequence[str]) -> None:
    """Refuse a task that a source has no labels for, and a source that is no folder."""
    if task not in tasks:
        raise BadInput.single(root, f"has no labels for task {task}; expected task {' or '.join(tasks)}")
    if not root.is_dir():
        raise BadInput.single(root, "is a file; expected the folder of a copy")


def lacking(place: Path, what: str, needed: int, absent: Sequence[str], fix: str) -> list[Problem]:
    """The problem of a copy that lacks files, if it does."""
    if not absent:
        return []
    message = f"lacks {len(absent):,} of the {needed:,} {what}, or has them empty: {listed(absent)}; {fix}"
    return [Problem(str(place), message)]


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def suffix_of(key: str) -> str:
    """The suffix of an image's file, in small letters."""
    return PurePosixPath(key).suffix.lower()


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
