"""The kinds `folder` and `points`: a folder per class, perhaps below `train` and `test` or `val`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vipriors.data.images import IMAGE_SUFFIXES
from vipriors.data.points import POINT_SUFFIXES
from vipriors.data.sources.base import Media, SourceSample
from vipriors.problems import BadInput, Problem


@dataclass(frozen=True)
class FolderSource:
    """Image files, or files of clouds of points, sorted into folders."""

    name: str
    root: Path
    classes: Sequence[str]
    samples: Sequence[SourceSample]
    ignored: int
    """Files left out: hidden, or with a suffix of no image."""
    media: Media = "images"

    def content(self, sample: SourceSample) -> tuple[str, Path]:
        """The untouched file."""
        path = self.root / sample.key
        return path.suffix.lower(), path


def open_folder(root: Path, media: Media = "images") -> FolderSource:
    """Open `root/<class>/…`, or `root/train/<class>/…` with `root/test/…` or `root/val/…` beside it.

    Classes are the names of the class folders, sorted by code point. Images may lie deeper in a class
    folder. Where there is no `test`, `val` (or `valid`, `validation`) plays its role.
    """
    suffixes, what = (POINT_SUFFIXES, "cloud") if media == "points" else (IMAGE_SUFFIXES, "image")
    splits = [(split, _folders(top)) for split, top in _split_folders(root)]
    classes = sorted({folder.name for _, folders in splits for folder in folders})
    labels = {name: label for label, name in enumerate(classes)}
    problems: list[Problem] = []
    samples: list[SourceSample] = []
    ignored = 0
    for split, folders in splits:
        for folder in folders:
            files = list(_files(folder))
            images = [file for file in files if _is_of(suffixes, file)]
            ignored += len(files) - len(images)
            if not images:
                found = f"holds no {what} ({len(files)} other files); expected at least one"
                problems.append(Problem(str(folder), found))
            for file in images:
                key = file.relative_to(root).as_posix()
                if _is_text(key):
                    samples.append(SourceSample(key, labels[folder.name], split))
                else:
                    problems.append(
                        Problem(ascii(str(file)), "the name is not one line of Unicode; rename it")
                    )
    if splits[0][0] == "train":
        known = {folder.name for folder in splits[0][1]}
        problems += [
            Problem(str(folder), "is a class that train lacks")
            for _, folders in splits[1:]
            for folder in folders
            if folder.name not in known
        ]
    if len(classes) < 2:
        found = f"found {len(classes)} class folders ({', '.join(classes) or 'none'}); expected at least 2"
        problems.append(Problem(str(root), found))
    if problems:
        raise BadInput(problems)
    return FolderSource(str(root), root, classes, samples, ignored, media)


def _split_folders(root: Path) -> list[tuple[str | None, Path]]:
    """The folders that hold class folders. A class may itself be called `train`: it holds no folders."""
    if not _folders(root / "train"):
        return [(None, root)]
    held_out = [name for name in ("val", "valid", "validation") if (root / name).is_dir()][:1]
    if (root / "test").is_dir():
        named = [("val", name) for name in held_out] + [("test", "test")]
    else:
        named = [("test", name) for name in held_out]
    return [("train", root / "train"), *((split, root / name) for split, name in named)]


def _folders(top: Path) -> list[Path]:
    if not top.is_dir():
        return []
    return sorted(path for path in top.iterdir() if path.is_dir() and not _is_hidden(path.name))


def _files(folder: Path) -> Iterator[Path]:
    for where, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not _is_hidden(name))
        yield from (Path(where, name) for name in sorted(names))


def _is_of(suffixes: frozenset[str], file: Path) -> bool:
    return file.suffix.lower() in suffixes and not _is_hidden(file.name)


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return not any(character in key for character in "\r\n")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
