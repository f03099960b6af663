"""The kind `imagenet`: a person's copy of ILSVRC2012 as its owner hands it out, unpacked or still in tars.

Only images that are asked for are looked up: the copy holds 1.3 million files, and a challenge far fewer.
The classes are the 1000 WordNet ids, sorted, so class 0 is n01440764 as in the published submissions.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vipriors.data.files import FilePart, os_errors
from vipriors.data.sources.base import SourceSample
from vipriors.problems import BadInput, Problem

TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
MD5 = {TRAIN_TAR: "1d675b47d978889d74fa0da5fadfb00e", VAL_TAR: "29b22e2961454d5413ddabcf34fc5622"}
"""As the owner publishes them."""

NESTED = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
"""Where `train` and `val` lie in a copy: at its top, or as in the object localization edition."""

SHOWN = 3
"""Names in a message; a copy may lack thousands."""

_TRAINING_KEY = re.compile(r"(n\d{8})/\1_\d+\.JPEG")

Places = dict[str, Path | FilePart]


@dataclass(frozen=True, eq=False)
class ImagenetSource:
    """Images of ILSVRC2012. Keys: `n01440764/n01440764_10026.JPEG`, `ILSVRC2012_val_00000001.JPEG`."""

    name: str
    root: Path | None
    classes: Sequence[str]
    samples: Sequence[SourceSample]
    places: Mapping[str, Path | FilePart]
    """Where each image lies, by key."""

    def content(self, sample: SourceSample) -> tuple[str, Path | FilePart]:
        """The untouched file, or where it lies in a tar."""
        return ".jpeg", self.places[sample.key]


def open_imagenet(root: Path | None, keys: Iterable[str], wnids: Mapping[str, str]) -> ImagenetSource:
    """Open the images `keys` of a copy of ILSVRC2012.

    Training images lie in `train/<wnid>/` or `ILSVRC2012_img_train.tar`; validation images in `val/`,
    `val/<wnid>/` or `ILSVRC2012_img_val.tar`; all this at the top, or in `ILSVRC/Data/CLS-LOC/`.

    Args:
        root: the folder; None where names and labels are enough.
        keys: the images wanted. What is no image of ILSVRC2012 does not become a sample.
        wnids: class of each validation image, by file name; together they name all classes.

    Raises:
        BadInput: the copy lacks images, holds empty ones, or sorts some into other classes; with counts.
    """
    classes = sorted(set(wnids.values()))
    labels = {wnid: label for label, wnid in enumerate(classes)}
    samples: list[SourceSample] = []
    for key in dict.fromkeys(keys):
        training = _TRAINING_KEY.fullmatch(key)
        wnid = training[1] if training else wnids.get(key)
        if wnid in labels:
            samples.append(SourceSample(key, labels[wnid], "train" if training else "val"))
    if root is None:
        return ImagenetSource("ImageNet", None, classes, samples, {s.key: Path(s.key) for s in samples})
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise BadInput.single(root, f"{found}; expected the folder of a copy of ILSVRC2012")
    with os_errors(root):
        train_keys = [sample.key for sample in samples if sample.split == "train"]
        val_keys = [sample.key for sample in samples if sample.split == "val"]
        places, problems = _find_training(root, train_keys)
        val_places, val_problems = _find_validation(root, val_keys, wnids)
    if problems or val_problems:
        raise BadInput(problems + val_problems)
    return ImagenetSource(str(root), root, classes, samples, places | val_places)


def _find_training(root: Path, keys: Sequence[str]) -> tuple[Places, list[Problem]]:
    where = _either(root, "train", TRAIN_TAR)
    if where is None or where.is_dir():
        places = _existing({key: where / key for key in keys}) if where else {}
    else:
        places = _in_tar_of_tars(where, set(keys))
    return places, _lacking(where or root, "training", keys, places, TRAIN_TAR)


def _find_validation(
    root: Path, keys: Sequence[str], wnids: Mapping[str, str]
) -> tuple[Places, list[Problem]]:
    where = _either(root, "val", VAL_TAR)
    if where is None:
        return {}, _lacking(root, "validation", keys, {}, VAL_TAR)
    if where.is_file():
        wanted = set(keys)
        with where.open("rb") as file:
            whole = FilePart(where, 0, _size(where))
            places: Places = {name: part for name, part in _members(file, whole) if name in wanted}
        return places, _lacking(where, "validation", keys, places, VAL_TAR)
    with os.scandir(where) as entries:
        is_sorted = any(entry.is_dir() for entry in entries)
    places = _existing({key: where / wnids[key] / key if is_sorted else where / key for key in keys})
    elsewhere: dict[str, str] = {}
    if is_sorted and len(places) < len(keys):
        absent = set(keys) - places.keys()
        files = sorted(file for file in where.glob("*/ILSVRC2012_val_*.JPEG") if file.name in absent)
        elsewhere = {f.name: f.parent.name for f in files if f.parent.name != wnids[f.name]}
    problems: list[Problem] = []
    if elsewhere:
        names = [f"{key} is in {wnid}, not {wnids[key]}" for key, wnid in elsewhere.items()]
        found = f"sorts {len(names)} validation images into other classes than the published list"
        fix = f"sort them again by the list, or put {VAL_TAR} there instead"
        problems.append(Problem(str(where), f"{found}: {_first(names)}; {fix}"))
    rest = [key for key in keys if key not in elsewhere]
    return places, problems + _lacking(where, "validation", rest, places, VAL_TAR)


def _lacking(
    where: Path, what: str, keys: Sequence[str], places: Mapping[str, object], tar: str
) -> list[Problem]:
    """What is to be said of a copy that lacks images, or holds some as empty files."""
    absent = [key for key in keys if key not in places]
    if not absent:
        return []
    if where.name == tar:
        fix = f"the file is incomplete or damaged: its MD5 should be {MD5[tar]}"
    else:
        folder = "train/<wnid>" if tar == TRAIN_TAR else "val"
        fix = f"expected {tar} unpacked whole to {folder}/, or that tar itself instead"
    message = f"lacks {len(absent)} of the {len(keys)} {what} images needed, or has them empty"
    return [Problem(str(where), f"{message}: {_first(absent)}; {fix}")]


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _either(root: Path, folder: str, tar: str) -> Path | None:
    for nested in NESTED:
        if (root / nested / folder).is_dir():
            return root / nested / folder
        if (root / nested / tar).is_file():
            return root / nested / tar
    return None


def _existing(paths: Mapping[str, Path]) -> Places:
    return {key: path for key, path in paths.items() if _size(path)}


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _in_tar_of_tars(path: Path, wanted: set[str]) -> Places:
    """The wanted images of a tar that holds a tar for each class, without unpacking either."""
    places: Places = {}
    wnids = {key.partition("/")[0] for key in wanted}
    with path.open("rb") as file:
        for name, inner in list(_members(file, FilePart(path, 0, _size(path)))):
            wnid = name.removesuffix(".tar")
            if wnid in wnids:
                images = ((f"{wnid}/{image}", part) for image, part in _members(file, inner))
                places |= {key: part for key, part in images if key in wanted}
    return places


def _members(file: BinaryIO, tar: FilePart) -> Iterator[tuple[str, FilePart]]:
    """Name and place of the files of a tar that is a part of `file`; up to where it is damaged."""
    file.seek(tar.offset)
    try:
        with tarfile.TarFile(fileobj=file) as archive:
            for member in archive:
                if member.offset_data + member.size > tar.offset + tar.size:
                    return
                if member.isreg() and not member.issparse() and member.size:
                    part = FilePart(tar.path, member.offset_data, member.size)
                    yield member.name.rpartition("/")[2], part
    except tarfile.TarError:
        return  # What follows is missing, and said to be.
