"""COCO's ground-truth files: a JSON object with `images`, `categories` and `annotations`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vipriors.data.files import os_errors
from vipriors.tasks.coco import (
    LARGEST_AREA,
    MOST_PIXELS,
    Entry,
    Index,
    Objects,
    faults_of_ids,
    located,
    positions,
)
from vipriors.tasks.findings import Findings
from vipriors.tasks.json_values import is_number, is_whole, objects, parse, said


def read_ground_truth(data: bytes | Path, findings: Findings) -> tuple[Index, Objects, list[Entry]] | None:
    """Reads a ground-truth file, but for the shapes of its annotations.

    An annotation without `area` has the area NaN here, and one without `iscrowd` is no crowd.

    Args:
        data: the file's path or content.
        findings: takes the problems; if there are any, what is returned serves only to find more.

    Returns:
        The index, the objects, and the annotations as they stand in the file; None if there is no index.
    """
    if isinstance(data, Path):
        with os_errors(data):
            data = data.read_bytes()
    parsed = parse(data, findings)
    parts = _parts(parsed.value, findings) if parsed else None
    if parsed is None or parts is None:
        return None
    index = _index(parts["images"], parts["categories"], findings)
    if index is None:
        return None
    images, categories = positions(index.ids), positions(index.categories)
    for entry, place in objects(parts["annotations"], "annotations, ", findings):
        for fault in faults_of_ids(entry, images, categories):
            findings.add(*fault, at=place)
        if "area" in entry and not is_number(area := entry["area"], 0, LARGEST_AREA):
            message = f"area is {said(area)}; expected a number from 0 to {LARGEST_AREA:.0e}"
            findings.add("annotations with a wrong area", message, at=place)
        if (crowd := entry.get("iscrowd", 0)) not in (0, 1):
            message = f"iscrowd is {said(crowd)}; expected 0 or 1"
            findings.add("annotations with a wrong iscrowd", message, at=place)
    parsed.note_constants(findings)
    annotations = [entry if isinstance(entry, dict) else {} for entry in parts["annotations"]]
    areas = [entry.get("area") for entry in annotations]
    crowds = np.array([entry.get("iscrowd", 0) in (1,) for entry in annotations])
    if not findings and crowds.all():
        message = "every annotation is a crowd; expected at least one single object, or nothing is scored"
        findings.add("faults of the file", message)
    return (
        index,
        Objects(
            located(annotations, "image_id", images),
            located(annotations, "category_id", categories),
            np.array([float(area) if is_number(area) else np.nan for area in areas]),
            crowds,
        ),
        annotations,
    )


def _parts(value: Any, findings: Findings) -> dict[str, list[Any]] | None:
    """The file's three lists."""
    if not isinstance(value, dict):
        expected = "expected an object with images, categories and annotations"
        findings.add("faults of the file", f"it holds {said(value)}; {expected}")
        return None
    for part in ("images", "categories", "annotations"):
        if not isinstance(value.get(part), list) or not value[part]:
            message = f"{part} is {said(value.get(part))}; expected a list of at least one"
            findings.add("faults of the file", message)
    return None if findings else value


def _index(images: Sequence[Any], categories: Sequence[Any], findings: Findings) -> Index | None:
    """The index, or None if any of its parts is wrong."""
    for entry, place in objects(images, "images, ", findings):
        height, width = entry.get("height"), entry.get("width")
        if not (is_whole(height) and is_whole(width) and 0 < height * width <= MOST_PIXELS and height > 0):
            expected = f"expected whole numbers, and at most {MOST_PIXELS:,} pixels"
            message = f"height is {said(height)} and width is {said(width)}; {expected}"
            findings.add("images without a size", message, at=place)
    for entry, place in objects(categories, "categories, ", findings):
        if not isinstance(name := entry.get("name"), str):
            findings.add("categories without a name", f"name is {said(name)}; expected text", at=place)
    for part, entries in (("images", images), ("categories", categories)):
        first: dict[int, str] = {}
        for entry, place in objects(entries, f"{part}, ", Findings("already found")):
            if not is_whole(id_ := entry.get("id")):
                findings.add(f"{part} without an id", f"id is {said(id_)}; expected a whole number", at=place)
            elif first.setdefault(id_, place) != place:
                message = f"id {said(id_)} is given twice, first in {first[id_]}; expected once"
                findings.add(f"{part} with a duplicate id", message, at=place)
    if findings:
        return None
    listed = [entry["id"] for entry in images]
    images, categories = (
        sorted(entries, key=lambda entry: int(entry["id"])) for entries in (images, categories)
    )
    places = positions([entry["id"] for entry in images])
    return Index(
        tuple(entry["id"] for entry in images),
        tuple((entry["height"], entry["width"]) for entry in images),
        tuple(entry["id"] for entry in categories),
        tuple(entry["name"] for entry in categories),
        tuple(places[id_] for id_ in listed),
    )
