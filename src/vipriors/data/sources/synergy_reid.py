"""The kind `synergy-reid`: basketball players, cut out of short sequences; the published zip or it unpacked.

Source: Synergy Sports, re-identification track of the VIPriors challenges 2021. Its zip holds

    data_reid/reid_training/PERSON_SEQUENCE_FRAME.jpeg
    data_reid/reid_val/{query,gallery}/PERSON_SEQUENCE_FRAME.jpeg
    data_reid/reid_test/{query,gallery}/NUMBER.jpeg

where the numbers in the test tell nothing. DeepSportradar gave the same images out again in 2022, with val of
2021 in `reid_test` and the test in `reid_challenge`. Both are read; its challenge set of 2023 is another one.

Everything was seen by one camera, so the labels have no cameras.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from vipriors.data.files import FilePart
from vipriors.data.images import IMAGE_SUFFIXES
from vipriors.data.manifest import csv_bytes
from vipriors.data.sources._zips import Place, files_in
from vipriors.data.sources.base import Named, NamedFiles, SourceSample
from vipriors.problems import BadInput, Problem

ZIP = "synergyreid_data.zip"
MD5 = "05050b5d9388563021315a81b531db7d"
"""Of the zip of 2021."""


class Count(NamedTuple):
    """Images of a part, and persons on them where names tell."""

    images: int
    persons: int | None


PUBLISHED = {
    "train": Count(8569, 436),
    "val/query": Count(50, 50),
    "val/gallery": Count(910, 50),
    "test/query": Count(468, None),
    "test/gallery": Count(8703, None),
}
"""What the organizers counted."""

SHOWN = 3
"""Names in a message; a copy may lack thousands."""

_SPLIT, _ROLE = re.compile("train|val|challenge|test"), re.compile("query|gallery")
_LABELLED, _NUMBERED = re.compile("([0-9]{1,9})_[0-9]+_[0-9]+"), re.compile("[0-9]+")


@dataclass(frozen=True, eq=False)
class SynergyReid:
    """The players' images. Keys: `train/12_3_45.jpeg`, `val/query/40_1_1.jpeg`, `test/gallery/123.jpeg`."""

    name: str
    root: Path
    samples: Sequence[SourceSample]
    places: Mapping[str, Place]
    """Where each image lies, by key."""
    classes: Sequence[str] = ("image",)
    names: Sequence[str] = ("person",)
    media: Literal["images", "clips"] = "images"

    def content(self, sample: SourceSample) -> tuple[str, bytes | Path | FilePart]:
        """The untouched file, or where it lies in the zip, or its bytes if it is packed there."""
        place = self.places[sample.key]
        return PurePosixPath(sample.key).suffix.lower(), place if isinstance(place, Path) else place.content()

    def annotations(self, named: Named) -> NamedFiles:
        """`labels.csv`: `id,person` for train, else `split,id,person`; nothing where names tell no person."""
        persons = [_person(sample.key) for _, sample in named]
        if None in persons:
            return
        if named[0][1].split == "train":
            rows = [(id, person) for (id, _), person in zip(named, persons, strict=True)]
            yield "labels.csv", csv_bytes(("id", "person"), rows)
        else:
            labels = [(*role, person) for role, person in zip(_roles(named), persons, strict=True)]
            yield "labels.csv", csv_bytes(("split", "id", "person"), labels)

    def test_index(self, named: Named) -> NamedFiles:
        """`roles.csv`, `split,id`: which images are queries and which are the gallery."""
        yield "roles.csv", csv_bytes(("split", "id"), _roles(named))


def open_synergy_reid(path: Path, task: str, names: Sequence[str] | None) -> SynergyReid:
    """Open the zip, the folder that it lies in, or the folder that it was unpacked to or any above that.

    Folders are known by `train`, `val`, `test` or `challenge`, `query` and `gallery` in their names. Other
    folders and files are left alone.

    Args:
        path: the person's copy.
        task: must be `reid`.
        names: not used; persons are numbered in the copy.

    Raises:
        BadInput: another task, or a copy that is not whole: wrong counts, strange names, empty images.
    """
    if task != "reid":
        raise BadInput.single(path, f"has no labels for task {task}; expected task reid")
    root = path / ZIP if (path / ZIP).is_file() else path
    files = (files_in(root) if root.is_dir() else files_in(root / "data_reid", root)) or {}
    found = _parts(files)
    places = {f"{part}/{PurePosixPath(name).name}": files[name] for part in PUBLISHED for name in found[part]}
    places = dict(sorted(places.items()))  # a zip and a disk have orders of their own
    if problems := [*_wrong_counts(root, found), *_faults(root, places)]:
        raise BadInput(problems)
    samples = [SourceSample(key, 0, key.partition("/")[0]) for key in places]
    return SynergyReid(str(root), root, samples, places)


def _roles(named: Named) -> list[tuple[str, str]]:
    return [(sample.key.split("/")[1], id) for id, sample in named]


def _person(key: str) -> str | None:
    """The person on an image, by its name; None if that is another number."""
    match = _LABELLED.fullmatch(PurePosixPath(key).stem)
    return str(int(match[1])) if match else None


def _is_image(path: PurePosixPath) -> bool:
    """Whether a path, in small letters, is that of an image and of nothing that zip tools add."""
    strange = any(part.startswith(".") or part == "__macosx" for part in path.parts)
    return path.suffix in IMAGE_SUFFIXES and not strange


def _parts(files: Mapping[str, object]) -> dict[str, list[str]]:
    """The files of each part, and in the part `""` those whose folder's name says none."""
    paths = ((name, PurePosixPath(name.lower())) for name in files)
    parts = {name: _part(path.parts[:-1]) for name, path in paths if _is_image(path)}
    # With a challenge set, what is called test has labels, and takes the part of val.
    if any(split == "challenge" for split, _ in parts.values()):
        renamed = {"test": "val", "challenge": "test"}
        parts = {name: (renamed.get(split, split), role) for name, (split, role) in parts.items()}
    found: dict[str, list[str]] = {part: [] for part in (*PUBLISHED, "")}
    for name, (split, role) in parts.items():
        part = split if split == "train" else f"{split}/{role}"
        found[part if part in found else ""].append(name)
    return found


def _part(folders: Sequence[str]) -> tuple[str, str]:
    """Split and role, each by the innermost folder that names one, else empty."""
    splits, roles = ([m[0] for f in folders if (m := kind.search(f))] for kind in (_SPLIT, _ROLE))
    return (splits or [""])[-1], (roles or [""])[-1]


def _wrong_counts(root: Path, found: Mapping[str, Sequence[str]]) -> list[Problem]:
    problems = []
    for part, expected in PUBLISHED.items():
        images = {PurePosixPath(name).name for name in found[part]}
        persons = None if expected.persons is None else len({_person(name) for name in images} - {None})
        if (count := Count(len(images), persons)) != expected:
            message = f"found {_counted(count)}; expected {_counted(expected)}"
            problems.append(Problem(f"{root}, {part}", message))
    if problems:
        folders = Counter(str(PurePosixPath(name).parent) for names in found.values() for name in names)
        most = sorted(folders.items(), key=lambda item: (-item[1], item[0]))
        held = _first([f"{folder} ({images:,})" for folder, images in most], 8) or "none"
        fix = f"give {ZIP} of 2021, MD5 {MD5}, or unpack it again"
        message = f"is incomplete, or another edition; folders with images: {held}; {fix}"
        problems.append(Problem(str(root), message))
    return problems


def _counted(count: Count) -> str:
    return f"{count.images:,} images" + ("" if count.persons is None else f" of {count.persons} persons")


def _faults(root: Path, places: Mapping[str, Place]) -> Iterator[Problem]:
    """What is wrong with single images, a kind in one problem."""
    strange = [
        key
        for key in places
        if _person(key) is None
        and not (key.startswith("test/") and _NUMBERED.fullmatch(PurePosixPath(key).stem))
    ]
    if strange:
        expected = "expected PERSON_SEQUENCE_FRAME.jpeg, or in a test without labels NUMBER.jpeg"
        yield Problem(str(root), f"{_first(strange)}: not named as published; {expected}")
    of = {part: {_person(key) or "" for key in places if key.startswith(f"{part}/")} for part in PUBLISHED}
    for split in ("val", "test"):
        if lone := sorted(of[f"{split}/query"] - of[f"{split}/gallery"]):
            message = f"lacks the persons of queries, {_first(lone)}; expected at least one image of each"
            yield Problem(f"{root}, {split}/gallery", message)
    if both := sorted(of["train"] & (of["val/query"] | of["val/gallery"])):
        yield Problem(f"{root}, val", f"has persons of train, {_first(both)}; expected others")


def _first(names: Sequence[str], shown: int = SHOWN) -> str:
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
