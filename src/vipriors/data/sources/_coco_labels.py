"""Reads label files of COCO's form, those of COCO itself too: half a gigabyte, mostly corners of polygons."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vipriors.data.images import IMAGE_SUFFIXES, MAX_PIXELS
from vipriors.data.sources._json import first_few, is_number, parse_json, said
from vipriors.data.sources._objects import FARTHEST, suffix_of
from vipriors.problems import BadInput, Problem

LARGEST_AREA = 1e10
"""In square pixels, as tasks read it."""

LARGEST_ID = 2**53

Entry = dict[str, Any]


@dataclass(frozen=True)
class CocoLabels:
    """What a label file says, checked: entries have all the fields that their task needs."""

    images: Sequence[Entry]
    categories: Mapping[int, str]
    annotations: Sequence[Entry]
    """Their `segmentation` is run lengths as in the file or a list of arrays; or there is none."""


def read_coco_labels(
    data: bytes, name: str, folder: str, *, with_masks: bool, is_test: bool = False
) -> CocoLabels:
    """Read a label file.

    Args:
        data: the file.
        name: what problems call it.
        folder: names of images are meant relative to this folder, or to the one above.
        with_masks: keep masks, and refuse annotations without; else they are dropped as they are read.
        is_test: there may be no annotations, and no categories then.

    Raises:
        BadInput: with every problem in it, of one kind a few and their number.
    """
    value = parse_json(data, name, partial(_lean, with_masks))
    images, categories, annotations = (
        _list(value, part, name, is_test and part != "images")
        for part in ("images", "categories", "annotations")
    )
    problems = [
        *_faults(name, "images", images, _fault_of_image),
        *_faults(name, "categories", categories, _fault_of_category),
    ]
    if problems:
        raise BadInput(problems)
    for image in images:
        image["file_name"] = image["file_name"].removeprefix(f"{folder}/")
    problems = [
        *_repeated(name, "images", images, ("id", "file_name")),
        *_repeated(name, "categories", categories, ("id", "name")),
    ]
    sizes = {image["id"]: [image["height"], image["width"]] for image in images}
    names = {category["id"]: category["name"] for category in categories}
    fault = partial(_fault_of_annotation, sizes, names, with_masks)
    problems += _faults(name, "annotations", annotations, fault)
    if problems:
        raise BadInput(problems)
    return CocoLabels(images, names, annotations)


def _lean(with_masks: bool, entry: Entry) -> Entry:
    """An object of the file without its mask, or with its polygons as arrays: a tenth of the memory."""
    if "segmentation" in entry:
        if not with_masks:
            del entry["segmentation"]
        elif isinstance(polygons := entry["segmentation"], list):
            try:
                entry["segmentation"] = [array("d", polygon) for polygon in polygons]
            except (TypeError, OverflowError):
                entry["segmentation"] = None
    return entry


def _list(value: Any, part: str, name: str, may_be_empty: bool) -> list[Any]:
    if not isinstance(value, dict):
        message = f"holds {said(value)}; expected an object with images, categories and annotations"
        raise BadInput.single(name, message)
    found = value.get(part, [])
    if not isinstance(found, list) or not (found or may_be_empty):
        raise BadInput.single(name, f"{part} is {said(found)}; expected a list of at least one")
    return found


def _faults(
    name: str, what: str, entries: Sequence[Any], fault_of: Callable[[Entry], str | None]
) -> list[Problem]:
    problems = []
    for number, entry in enumerate(entries):
        fault = fault_of(entry) if isinstance(entry, dict) else f"is {said(entry)}; expected an object"
        if fault:
            problems.append(Problem(f"{name}, {what}, entry {number}", fault))
    return first_few(problems, name, f"entries of {what} are wrong")


def _repeated(name: str, what: str, entries: Sequence[Entry], fields: Sequence[str]) -> list[Problem]:
    problems: list[Problem] = []
    for field in fields:
        first: dict[int | str, int] = {}
        for number, entry in enumerate(entries):
            if (earlier := first.setdefault(entry[field], number)) != number:
                message = f"{field} {said(entry[field])} is also that of entry {earlier}; expected each once"
                problems.append(Problem(f"{name}, {what}, entry {number}", message))
    return first_few(problems, name, f"entries of {what} are repeated")


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_ID


def _fault_of_image(entry: Entry) -> str | None:
    name, height, width = entry.get("file_name"), entry.get("height"), entry.get("width")
    if not _is_id(entry.get("id")):
        return f"id is {said(entry.get('id'))}; expected a whole number from 0"
    if not isinstance(name, str) or not name.isprintable() or suffix_of(name) not in IMAGE_SUFFIXES:
        return f"file_name is {said(name)}; expected that of an image, such as 000000000139.jpg"
    if type(height) is int and type(width) is int and height > 0 and 0 < height * width <= MAX_PIXELS:
        return None
    return f"height is {said(height)} and width is {said(width)}; expected whole numbers of pixels"


def _fault_of_category(entry: Entry) -> str | None:
    if not _is_id(entry.get("id")):
        return f"id is {said(entry.get('id'))}; expected a whole number from 0"
    if not isinstance(name := entry.get("name"), str) or not name or not name.isprintable():
        return f"name is {said(name)}; expected text"
    return None


def _fault_of_annotation(
    sizes: Mapping[int, list[int]], categories: Mapping[int, str], with_masks: bool, entry: Entry
) -> str | None:
    image, category, box = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if type(image) is not int or image not in sizes:
        return f"image_id is {said(image)}; expected the id of an image of the file"
    if type(category) is not int or category not in categories:
        return f"category_id is {said(category)}; expected the id of a category of the file"
    if type(box) is not list or len(box) != 4 or not all(is_number(v, -FARTHEST, FARTHEST) for v in box):
        expected = f"expected [x, y, width, height], each from -{FARTHEST:.0f} to {FARTHEST:.0f}"
        return f"bbox is {said(box)}; {expected}"
    if entry.get("iscrowd", 0) not in (0, 1):
        return f"iscrowd is {said(entry['iscrowd'])}; expected 0 or 1"
    if "area" in entry and not is_number(entry["area"], 0, LARGEST_AREA):
        return f"area is {said(entry['area'])}; expected a number from 0 to {LARGEST_AREA:.0e}"
    return _fault_of_mask(entry.get("segmentation"), sizes[image]) if with_masks else None


def _fault_of_mask(mask: Any, size: list[int]) -> str | None:
    if isinstance(mask, list):
        return None
    if not isinstance(mask, dict):
        return "segmentation is missing or wrong; expected polygons of numbers, or an object of run lengths"
    counts = mask.get("counts")
    if mask.get("size") != size or not isinstance(counts, str | list):
        return f"segmentation is {said(mask)}; expected the size {size} and counts"
    if isinstance(counts, list) and not (_are_counts(counts) and sum(counts) == size[0] * size[1]):
        return f"segmentation is {said(mask)}; expected counts of pixels that sum to height times width"
    return None


def _are_counts(counts: list[Any]) -> bool:
    return all(type(count) is int and count >= 0 for count in counts)
