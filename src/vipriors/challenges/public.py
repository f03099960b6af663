"""The public side of a challenge's test: what predictions must cover, told without a label of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vipriors import tasks
from vipriors.challenges import find
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.data.files import map_all, read_bytes
from vipriors.data.images import image_size
from vipriors.data.packed import PreparedFiles
from vipriors.data.prepared import ANNOTATIONS, Prepared, read_prepared
from vipriors.problems import BadInput, Problem
from vipriors.tasks import actions
from vipriors.tasks.class_map import CITYSCAPES, plain
from vipriors.tasks.coco import Index as ObjectIndex
from vipriors.tasks.generation_labels import ImageIndex
from vipriors.tasks.index import Index
from vipriors.tasks.planning_labels import MapIndex as GraphIndex
from vipriors.tasks.reid_matrix import QueryIndex
from vipriors.tasks.segmentation_index import MapIndex
from vipriors.tasks.segmentation_labels import id_of

Part = TypeVar("Part")


def check(name: str, file: Path, data: Path) -> tuple[list[Problem], int]:
    """Every problem of a predictions file, and how much it must cover, without a label of the test.

    Args:
        name: A challenge.
        file: The predictions.
        data: The folder that `vipriors data prepare` made of the challenge.

    Raises:
        BadInput: There is no such challenge, or the folder is none of it.
    """
    challenge = read_challenge(find(name))
    index = public_index(challenge, read_prepared(data))
    _, problems = tasks.load(challenge.task).check(read_bytes(file), index, file.name)
    return list(problems), len(index.ids)


def public_index(challenge: Challenge, prepared: Prepared) -> Any:
    """The index of a challenge's test, as its task's `check` takes it.

    Raises:
        BadInput: The folder is of another challenge, or a file about its test is missing or damaged.
    """
    root, classes = prepared.root, prepared.dataset.classes
    if prepared.dataset.challenge != challenge.name:
        message = f"holds challenge {prepared.dataset.challenge}; expected {challenge.name}"
        raise BadInput.single(root, message)
    rows = prepared.split("test")
    about = root / ANNOTATIONS / "test"
    match challenge.task:
        case "classification" | "points":
            return Index(tuple(row.id for row in rows), len(classes))
        case "actions":
            return actions.ClipIndex(
                tuple(sorted(row.id for row in rows)), len(classes), first_class_number(prepared)
            )
        case "segmentation":
            files, rows = PreparedFiles(root), sorted(rows, key=lambda row: id_of(row.id))
            sizes = map_all(lambda row: image_size(files.locate(row.file), name=str(root / row.file)), rows)
            names = challenge.label_names(classes)
            ids = tuple(id_of(row.id) for row in rows)
            return MapIndex(ids, tuple(sizes), CITYSCAPES if names is None else plain(names))
        case "planning":
            ids = tuple(sorted(row.id for row in rows))
            return GraphIndex(ids, (challenge.form.size[0],) * len(ids))
        case "generation":
            height, width = challenge.input.size
            return ImageIndex(tuple(row.id for row in rows), (height, width, challenge.input.channels))
        case "reid":
            return _read(about / "roles.csv", _queries)
        case _:
            return _read(about / "images.json", _objects)


def first_class_number(prepared: Prepared) -> int:
    """The number of the first class: 1, unless the labels of the training clips say otherwise."""
    file = prepared.labels_of("train")
    if file is None:
        return 1
    known = actions.read_labels(read_bytes(file), str(file))
    return next(known[row.id] - row.label for row in prepared.split("train") if row.label is not None)


def _read(file: Path, parse: Callable[[str], Part]) -> Part:
    try:
        return parse(read_bytes(file).decode())
    except (ValueError, TypeError, LookupError) as error:
        message = f"is damaged ({error}); prepare the challenge again"
        raise BadInput.single(file, message) from None


def _queries(text: str) -> QueryIndex:
    roles: dict[str, list[str]] = {"query": [], "gallery": []}
    for row in csv.DictReader(text.splitlines()):
        roles[row["split"]].append(row["id"])
    return QueryIndex(tuple(sorted(roles["query"])), tuple(sorted(roles["gallery"])))


def _objects(text: str) -> ObjectIndex:
    found = json.loads(text)
    images = sorted(found["images"], key=lambda image: image["id"])
    categories = sorted(found["categories"], key=lambda category: category["id"])
    return ObjectIndex(
        tuple(image["id"] for image in images),
        tuple((image["height"], image["width"]) for image in images),
        tuple(category["id"] for category in categories),
        tuple(category["name"] for category in categories),
    )
