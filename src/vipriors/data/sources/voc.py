"""The kind `voc`: boxes in the layout of Pascal VOC.

    JPEGImages/NAME.jpg
    Annotations/NAME.xml
    ImageSets/Main/{train,val,test}.txt    a NAME in each line, and perhaps more behind it

`val` and `test` may be missing. Of an annotation are read `size`, and of each `object` its `name`, `bndbox`
and `difficult`: what is difficult is written as a crowd, so that it counts neither as missed nor as found.

A box is taken as x = xmin, y = ymin, width = xmax − xmin, height = ymax − ymin: its numbers are corners.
Pascal VOC itself counts pixels from 1 and means both corners inclusive, by which a box would lie one pixel
further left and up, and be one pixel larger; sets made since in this form mean plain corners.

Source: Everingham et al., The Pascal Visual Object Classes (VOC) Challenge, IJCV 2010.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from vipriors.data.files import read_bytes
from vipriors.data.images import IMAGE_SUFFIXES
from vipriors.data.sources._json import first_few
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

LARGEST_XML = 1 << 20
"""Bytes of an annotation; a thousand objects have a third of it."""


@dataclass(frozen=True)
class _Object:
    name: str
    box: tuple[float, float, float, float]
    is_difficult: bool


@dataclass(frozen=True)
class _Annotation:
    height: int
    width: int
    objects: Sequence[_Object]


def open_voc(path: Path, task: str, names: Sequence[str] | None = None) -> ObjectSource:
    """Open a folder in the layout of Pascal VOC.

    Args:
        path: the folder, in VOC's own tar `VOCdevkit/VOC2012`.
        task: must be `detection`.
        names: the classes, in the order of their ids 1, 2, …; None takes those that occur, sorted.

    Raises:
        BadInput: files are missing or damaged, or hold other classes; with every problem, of one kind a few.
    """
    check_task(path, task, ("detection",))
    splits, problems = _splits(path)
    stems = [stem for names_there in splits.values() for stem in names_there]
    pictures = {
        name.removesuffix(PurePosixPath(name).suffix): name
        for name in sorted(files_in(path / "JPEGImages") or {})
        if suffix_of(name) in IMAGE_SUFFIXES
    }
    described = files_in(path / "Annotations") or {}
    fix = "expected one for each name in ImageSets/Main"
    absent = [stem for stem in stems if stem not in pictures]
    problems += lacking(path / "JPEGImages", "images", len(stems), absent, fix)
    absent = [f"{stem}.xml" for stem in stems if f"{stem}.xml" not in described]
    problems += lacking(path / "Annotations", "annotations", len(stems), absent, fix)
    if problems:
        raise BadInput(problems)

    annotations: dict[str, _Annotation] = {}
    for stem in stems:
        file = path / "Annotations" / f"{stem}.xml"
        try:
            annotations[stem] = _read(file)
        except BadInput as error:
            problems += error.problems
    problems = first_few(problems, str(path / "Annotations"), "faults")
    found = sorted({one.name for annotation in annotations.values() for one in annotation.objects})
    unknown = sorted(set(found) - set(names)) if names is not None else []
    if unknown:
        message = f"has objects of other classes: {listed(unknown)}; expected {', '.join(names or ())}"
        problems.append(Problem(str(path / "Annotations"), message))
    if problems:
        raise BadInput(problems)
    categories = list(enumerate(names or found, start=1))
    images = [
        LabelledImage(
            f"JPEGImages/{pictures[stem]}",
            split,
            path / "JPEGImages" / pictures[stem],
            annotations[stem].height,
            annotations[stem].width,
        )
        for split, names_there in splits.items()
        for stem in names_there
    ]
    return object_source(path, categories, images, box_table(_rows(stems, annotations, categories)))


def _splits(root: Path) -> tuple[Mapping[str, Sequence[str]], list[Problem]]:
    """The names of the images of each split."""
    splits: dict[str, list[str]] = {}
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for split in ("train", "val", "test"):
        file = root / "ImageSets" / "Main" / f"{split}.txt"
        if not file.is_file():
            if split == "train":
                problems.append(Problem(str(file), "is missing; expected a name of an image in each line"))
            continue
        text = read_bytes(file).decode("utf-8", "replace")
        faults: list[Problem] = []
        splits[split] = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            stem, place = line.split()[0], f"{file}, row {number}"
            if stem in places:
                faults.append(Problem(place, f"{stem} is also in {places[stem]}; expected each image once"))
            else:
                places[stem] = f"{file.name}, row {number}"
                splits[split].append(stem)
        problems += first_few(faults, str(file), "names are there twice")
    return splits, problems


def _rows(
    stems: Sequence[str], annotations: Mapping[str, _Annotation], categories: Sequence[tuple[int, str]]
) -> list[tuple[int, int, Sequence[float], bool]]:
    ids = {name: id for id, name in categories}
    return [
        (position, ids[one.name], one.box, one.is_difficult)
        for position, stem in enumerate(stems)
        for one in annotations[stem].objects
    ]


def _read(file: Path) -> _Annotation:
    """Read an annotation; all its problems at once."""
    root = _parsed(file)
    problems: list[Problem] = []

    def number(of: ElementTree.Element, field: str, what: str) -> float:
        text = of.findtext(field)
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not abs(value) <= FARTHEST:
            said = "missing" if text is None else repr(text[:40])
            problems.append(Problem(f"{file}, {what}", f"{field} is {said}; expected a number of pixels"))
        return value

    height, width = number(root, "size/height", "annotation"), number(root, "size/width", "annotation")
    if not problems and not (height >= 1 and width >= 1 and height.is_integer() and width.is_integer()):
        found = f"size is {width:g} x {height:g}"
        problems.append(Problem(str(file), f"{found}; expected whole numbers of pixels, 1 or more"))
    objects: list[_Object] = []
    for k, element in enumerate(root.findall("object")):
        what = f"object {k}"
        left, top, right, bottom = (
            number(element, f"bndbox/{side}", what) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        name = (element.findtext("name") or "").strip()
        if not name or not name.isprintable():
            problems.append(Problem(f"{file}, {what}", "has no name; expected that of its class"))
        is_difficult = (element.findtext("difficult") or "0").strip() == "1"
        objects.append(_Object(name, (left, top, right - left, bottom - top), is_difficult))
    if problems:
        raise BadInput(problems)
    return _Annotation(int(height), int(width), objects)


def _parsed(file: Path) -> ElementTree.Element:
    if (size := file.stat().st_size) > LARGEST_XML:
        raise BadInput.single(file, f"has {size:,} bytes; expected at most {LARGEST_XML:,}")
    try:
        text = read_bytes(file).decode("utf-8-sig")
        # Entities can make a small file huge, or read other files. UTF-8 alone, so that none can hide.
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise BadInput.single(file, "declares a document type or entities; expected plain elements")
        return ElementTree.fromstring(text)
    except UnicodeDecodeError:
        raise BadInput.single(file, "is not UTF-8; expected XML in UTF-8") from None
    except ElementTree.ParseError as error:
        raise BadInput.single(file, f"is not XML: {error}; is the file whole?") from None
