"""The kind `delftbikes`: photographs of bicycles with a box around each of 22 parts.

    train/NAME.jpg, test/NAME.jpg
    train_annotations.json           {NAME.jpg: {"image": {"height": …, "width": …}, "parts": {PART: …}}}
    fake_test_annotations.json       of the same form, but its boxes are made up: never read as labels here
    test_annotations.json            the true ones, where someone has them

Each PART is an object with `object_state` (`intact`, `damaged`, `occluded` or `absent`) and
`absolute_bounding_box` (`left`, `top`, `width`, `height` in pixels); further fields (`part_name`, `trust`, …)
are passed over. An absent part is no object, even where a box says where it would be. `missing` is read as
`absent`, and `height` and `width` may stand beside `parts`; where neither place has them, the image is read
for its size.

The 22 names, sorted, have the ids 1 to 22, the order in which the owner's files list them; test images keep
as id their position among their sorted names. So both are the ids of the challenges' submissions. All this is
known from the challenges' toolkit and from programs that read the files; no copy was at hand.

Source: Kayhan, Vredebregt, van Gemert, Hallucination in Object Detection, ICIP 2021 (arXiv:2106.02523).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vipriors.data.files import map_all, read_bytes
from vipriors.data.images import IMAGE_SUFFIXES, MAX_PIXELS, read_image
from vipriors.data.sources._json import first_few, is_number, parse_json, said
from vipriors.data.sources._objects import (
    FARTHEST,
    LabelledImage,
    ObjectSource,
    box_table,
    check_task,
    lacking,
    listed,
    object_source,
    suffix_of,
)
from vipriors.data.sources._zips import files_in
from vipriors.problems import BadInput, Problem

PARTS = 22
STATES = ("intact", "damaged", "occluded")
ABSENT = ("absent", "missing")
_SIDES = ("left", "top", "width", "height")


@dataclass(frozen=True)
class _Bike:
    """What is known of an image."""

    size: tuple[int, int] | None = None
    """Height and width in pixels."""
    parts: Mapping[str, Sequence[float] | None] = field(default_factory=dict)
    """Boxes, None of absent parts; no parts where they are not known."""


def open_delftbikes(path: Path, task: str, names: Sequence[str] | None = None) -> ObjectSource:
    """Open a copy of DelftBikes.

    The split `train` is its train, `test` its test, which has labels only where `test_annotations.json` is.

    Args:
        path: the folder.
        task: must be `detection`.
        names: what the parts must be called, in the order of their ids; None takes what the file says.

    Raises:
        BadInput: files are missing or damaged, or not as described; with every problem, of one kind a few.
    """
    check_task(path, task, ("detection",))
    has_test_labels = (path / "test_annotations.json").is_file()
    problems: list[Problem] = []
    images: list[LabelledImage] = []
    bikes: list[_Bike] = []
    for split, file, is_true in (
        ("train", path / "train_annotations.json", True),
        ("test", path / f"{'' if has_test_labels else 'fake_'}test_annotations.json", has_test_labels),
    ):
        try:
            found = _read(file, is_true) if file.is_file() or split == "train" else None
            some = _images(path, split, found)
            images += some
            bikes += found.values() if found is not None else [_Bike()] * len(some)
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)

    parts = sorted({name for bike in bikes for name in bike.parts})
    if len(parts) != PARTS or (names is not None and list(names) != parts):
        expected = ", ".join(names) if names is not None else f"{PARTS} as published"
        found_parts = f"names {len(parts)} parts: {', '.join(parts[: 2 * PARTS])}"
        raise BadInput.single(path / "train_annotations.json", f"{found_parts}; expected {expected}")
    categories = list(enumerate(parts, start=1))
    ids = {name: id for id, name in categories}
    rows = [
        (position, ids[name], box, False)
        for position, bike in enumerate(bikes)
        for name, box in bike.parts.items()
        if box is not None
    ]
    return object_source(path, categories, images, box_table(rows), has_test_labels=has_test_labels)


def _images(root: Path, split: str, bikes: Mapping[str, _Bike] | None) -> list[LabelledImage]:
    """The images of a split that its labels name, or where there are none all that lie there."""
    files = {
        name: file
        for name, file in sorted((files_in(root / split) or {}).items())
        if suffix_of(name) in IMAGE_SUFFIXES and isinstance(file, Path)
    }
    if bikes is None:
        bikes = dict.fromkeys(files, _Bike())
    absent = [name for name in bikes if name not in files]
    fix = "expected each that the annotations name"
    problems = lacking(root / split, f"images of {split}", len(bikes), absent, fix)
    if not bikes:
        problems = [Problem(str(root / split), "holds no images")]
    if problems:
        raise BadInput(problems)
    sizes = map_all(lambda item: item[1].size or _size_of(files[item[0]]), list(bikes.items()))
    ids = {name: position for position, name in enumerate(sorted(bikes)) if split == "test"}
    return [
        LabelledImage(f"{split}/{name}", split, files[name], height, width, ids.get(name))
        for name, (height, width) in zip(bikes, sizes, strict=True)
    ]


def _size_of(file: Path) -> tuple[int, int]:
    height, width, _ = read_image(file).shape
    return height, width


def _read(file: Path, is_true: bool) -> dict[str, _Bike]:
    """What an annotation file says of each image; of made-up annotations, sizes alone."""
    value = parse_json(read_bytes(file), str(file))
    if not isinstance(value, dict) or not value:
        raise BadInput.single(file, f"holds {said(value)}; expected an object with an entry for each image")
    problems = [
        Problem(f"{file}, {said(name)}", fault)
        for name, entry in value.items()
        if (fault := _fault_of_entry(entry, is_true) if name.isprintable() else "is no name of a file")
    ]
    if problems:
        raise BadInput(first_few(problems, str(file), "entries are wrong"))
    return {
        name: _Bike(_stated_size(entry), _boxes(entry) if is_true else {}) for name, entry in value.items()
    }


def _stated_size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    for place in (entry.get("image"), entry):
        height, width = (place.get(side) if isinstance(place, dict) else None for side in ("height", "width"))
        if type(height) is int and type(width) is int and height > 0 and 0 < height * width <= MAX_PIXELS:
            return height, width
    return None


def _boxes(entry: Mapping[str, Any]) -> dict[str, Sequence[float] | None]:
    return {
        name: [part["absolute_bounding_box"][side] for side in _SIDES]
        if part["object_state"] in STATES
        else None
        for name, part in entry["parts"].items()
    }


def _fault_of_entry(entry: Any, is_true: bool) -> str | None:
    if not isinstance(entry, dict):
        return f"is {said(entry)}; expected an object"
    if not is_true:
        return None
    parts = entry.get("parts")
    if not isinstance(parts, dict):
        return f"parts is {said(parts)}, beside the fields {listed(list(entry))}; expected an object of parts"
    return next(filter(None, (_fault_of_part(name, part) for name, part in parts.items())), None)


def _fault_of_part(name: str, part: Any) -> str | None:
    if not name or not name.isprintable():
        return f"has a part called {said(name)}; expected a name"
    if not isinstance(part, dict) or part.get("object_state") not in (*STATES, *ABSENT):
        expected = f"expected an object with an object_state of {', '.join((*STATES, ABSENT[0]))}"
        return f"part {name} is {said(part)}; {expected}"
    if part["object_state"] in ABSENT:
        return None
    box = part.get("absolute_bounding_box")
    if not isinstance(box, dict) or not all(is_number(box.get(s), -FARTHEST, FARTHEST) for s in _SIDES):
        expected = f"expected numbers of pixels as {', '.join(_SIDES)}"
        return f"absolute_bounding_box of part {name} is {said(box)}; {expected}"
    return None
