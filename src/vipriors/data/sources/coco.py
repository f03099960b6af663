"""The kind `coco`: images with boxes and masks, described by label files of COCO's form.

Two layouts are read. COCO 2017 as its owner hands it out, each part unpacked or still the zip:

    annotations/instances_{train,val}2017.json    or annotations_trainval2017.zip
    train2017/, val2017/                          or train2017.zip, val2017.zip

Its train2017 is the split `train`, its val2017 the `test`: the labels of COCO's own test are not public. The
other is that of the basketball challenge, and of many small sets:

    train.json, val.json, test.json               or test_nolabels.json, where the test has no labels
    train/, val/, test/                           with the files that `file_name` says

There `val` may be missing. Where `test_nolabels.json` is, test images keep the ids that it publishes, so that
predictions can be handed in where they were asked for; else they get new ones, as in every other case.

Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vipriors.data.sources._coco_labels import CocoLabels, read_coco_labels
from vipriors.data.sources._objects import (
    FARTHEST,
    LabelledImage,
    ObjectSource,
    ObjectTable,
    check_task,
    lacking,
    object_source,
)
from vipriors.data.sources._zips import Place, files_in, members_of, read_place
from vipriors.problems import BadInput, Problem

_2017 = {"train": "train2017", "test": "val2017"}
_LABELS_ZIP = "annotations_trainval2017.zip"


@dataclass(frozen=True)
class _Part:
    """A split: its label file, and its image files by their path below their folder."""

    split: str
    folder: Path
    labels_name: str
    labels: Place
    files: Mapping[str, Place]
    fix: str
    """What to do where files are missing."""
    keeps_ids: bool = False


def open_coco(path: Path, task: str, names: Sequence[str] | None = None) -> ObjectSource:
    """Open a copy of COCO 2017, or a folder with label files of its form.

    Images are looked up, not read. Masks are kept for task `instances` alone, as detection may not learn
    from them; of a mask's polygons those of less than three corners are left out.

    A copy of the size of COCO 2017 (123,287 images, 900,000 objects) took 17 s of one core to open, 1.6 GB of
    memory meanwhile and 0.3 GB after; with masks 22 s, 2.1 GB and 1.5 GB.

    Args:
        path: the folder.
        task: `detection` or `instances`.
        names: what the categories must be called, in the order of their ids; None takes what the files say.

    Raises:
        BadInput: the copy is not whole, or a label file is damaged; with every problem, of one kind a few.
    """
    check_task(path, task, ("detection", "instances"))
    is_2017 = any((path / name).exists() for name in _names_of_2017())
    parts, problems = _parts_of_2017(path) if is_2017 else _parts(path)
    categories: Mapping[int, str] = {}
    images: list[LabelledImage] = []
    tables: list[ObjectTable] = []
    has_test_labels = True
    for part in parts:
        try:
            labels = read_coco_labels(
                read_place(part.labels),
                part.labels_name,
                part.folder.name,
                with_masks=task == "instances",
                is_test=part.split == "test",
            )
        except BadInput as error:
            problems += error.problems
            continue
        if part.split == "test" and not labels.annotations:
            has_test_labels = False
        categories = categories or labels.categories
        if labels.categories not in ({}, categories):
            message = f"has other categories than {parts[0].labels_name}; expected the same"
            problems.append(Problem(part.labels_name, message))
        names_there = [image["file_name"] for image in labels.images]
        absent = [name for name in names_there if name not in part.files]
        what = f"images that {Path(part.labels_name).name} lists"
        problems += lacking(part.folder, what, len(names_there), absent, part.fix)
        if not problems:
            tables.append(_table(labels, len(images), with_masks=task == "instances"))
            images += [_labelled(part, image) for image in labels.images]
    found = [name for _, name in sorted(categories.items())]
    if names is not None and categories and list(names) != found:
        message = f"its categories are {', '.join(found)}; expected {', '.join(names)}"
        problems.append(Problem(str(path), message))
    if problems:
        raise BadInput(problems)
    return object_source(
        path, sorted(categories.items()), images, _joined(tables), has_test_labels=has_test_labels
    )


def _names_of_2017() -> list[str]:
    folders = list(_2017.values())
    labels = [f"annotations/instances_{folder}.json" for folder in folders]
    return [_LABELS_ZIP, *labels, *folders, *(f"{folder}.zip" for folder in folders)]


def _parts_of_2017(root: Path) -> tuple[list[_Part], list[Problem]]:
    parts: list[_Part] = []
    problems: list[Problem] = []
    labels_zip = root / _LABELS_ZIP
    packed = members_of(labels_zip, "annotations") if labels_zip.is_file() else {}
    for split, folder in _2017.items():
        name = f"instances_{folder}.json"
        unpacked = root / "annotations" / name
        labels: Place | None = unpacked if unpacked.is_file() else packed.get(name)
        files = files_in(root / folder, root / f"{folder}.zip")
        fix = f"expected {folder}.zip unpacked whole to {folder}/, or that zip itself instead"
        if labels is None:
            expected = f"expected annotations/{name}, or {_LABELS_ZIP} that holds it"
            problems.append(Problem(str(root), f"lacks the labels of {folder}; {expected}"))
        if files is None:
            problems.append(Problem(str(root), f"lacks the images of {folder}; {fix}"))
        if labels is not None and files is not None:
            parts.append(_Part(split, root / folder, str(unpacked), labels, files, fix))
    return parts, problems


def _parts(root: Path) -> tuple[list[_Part], list[Problem]]:
    parts: list[_Part] = []
    problems: list[Problem] = []
    for split in ("train", "val", "test"):
        candidates = [root / f"{split}.json"] + [root / "test_nolabels.json"] * (split == "test")
        labels = next((file for file in candidates if file.is_file()), None)
        files = files_in(root / split)
        if split == "val" and labels is None and files is None:
            continue
        if labels is None:
            expected = " or ".join(file.name for file in candidates)
            problems.append(Problem(str(root), f"lacks the labels of {split}; expected {expected}"))
        if files is None:
            problems.append(Problem(str(root), f"lacks the images of {split}; expected the folder {split}/"))
        if labels is not None and files is not None:
            fix = "expected each under the name that is there"
            keeps_ids = split == "test" and candidates[-1].is_file()
            parts.append(_Part(split, root / split, str(labels), labels, files, fix, keeps_ids))
    if not parts:
        layouts = "annotations/, train2017/ and val2017/ or their zips; or train.json with train/, and so on"
        problems.append(Problem(str(root), f"has nothing of a copy of COCO's form; expected {layouts}"))
    return parts, problems


def _labelled(part: _Part, image: Mapping[str, Any]) -> LabelledImage:
    name = image["file_name"]
    key = f"{part.folder.name}/{name}"
    id = image["id"] if part.keeps_ids else None
    return LabelledImage(key, part.split, part.files[name], image["height"], image["width"], id)


def _table(labels: CocoLabels, start: int, *, with_masks: bool) -> ObjectTable:
    """The annotations of a file whose images have the positions from `start`."""
    positions = {image["id"]: start + k for k, image in enumerate(labels.images)}
    entries = labels.annotations
    return ObjectTable(
        np.array([positions[entry["image_id"]] for entry in entries], np.int64),
        np.array([entry["category_id"] for entry in entries], np.int64),
        np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4),
        np.array([entry.get("area", np.nan) for entry in entries], np.float64),
        np.array([entry.get("iscrowd", 0) == 1 for entry in entries], np.bool_),
        [_mask(entry["segmentation"]) for entry in entries] if with_masks else None,
    )


def _mask(segmentation: Any) -> Any:
    """Run lengths as they are; of polygons those that tasks can draw."""
    if isinstance(segmentation, dict):
        return segmentation
    return [outline for outline in segmentation if _is_outline(outline)]


def _is_outline(outline: Sequence[float]) -> bool:
    has_corners = len(outline) >= 6 and len(outline) % 2 == 0
    return has_corners and min(outline) >= -FARTHEST and max(outline) <= FARTHEST


def _joined(tables: Sequence[ObjectTable]) -> ObjectTable:
    masks = [mask for table in tables for mask in table.masks or ()]
    return ObjectTable(
        np.concatenate([table.images for table in tables]),
        np.concatenate([table.categories for table in tables]),
        np.concatenate([table.boxes for table in tables]),
        np.concatenate([table.areas for table in tables]),
        np.concatenate([table.crowds for table in tables]),
        None if tables[0].masks is None else masks,
    )
