"""Sources that are arrays in memory, and the kind `numpy`: `.npz` files of images and labels."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vipriors.data.images import encode
from vipriors.data.sources.base import SourceSample
from vipriors.problems import BadInput, Problem

MAX_BYTES = 16 << 30
"""Most bytes that one file of a source may unpack to."""


@dataclass(frozen=True, eq=False)
class ArrayPart:
    """The images of one file of a source."""

    file: str
    split: str | None
    images: npt.NDArray[Any]
    """uint8 or uint16, `(N, H, W)` or `(N, H, W, C)`."""
    labels: npt.NDArray[Any]
    """Integers `(N,)`."""


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A source held in arrays. The key of an image is its file and place there: `train.npz#17`.

    Raises:
        BadInput: with every array that does not fit.
    """

    name: str
    classes: Sequence[str]
    parts: Sequence[ArrayPart]
    root: Path | None = None

    def __post_init__(self) -> None:
        """Check all arrays."""
        problems = [problem for part in self.parts for problem in _faults(part, len(self.classes))]
        if len(self.classes) < 2:
            problems.append(Problem(self.name, f"found {len(self.classes)} classes; expected at least 2"))
        if problems:
            raise BadInput(problems)

    @cached_property
    def samples(self) -> Sequence[SourceSample]:
        """Every image, file by file."""
        return [
            SourceSample(f"{part.file}#{index}", label, part.split)
            for part in self.parts
            for index, label in enumerate(part.labels.tolist())
        ]

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        """The image as a PNG, or as `.npy` where PNG cannot hold it."""
        file, _, index = sample.key.rpartition("#")
        return encode(self._images[file][int(index)])

    @cached_property
    def _images(self) -> dict[str, npt.NDArray[Any]]:
        return {part.file: part.images for part in self.parts}


def open_numpy(path: Path) -> ArraySource:
    """Open `train.npz` with `test.npz` (and `val.npz`) in a folder, or one `.npz` without splits.

    Each file holds `images` (uint8 or uint16, `(N, H, W)` or `(N, H, W, C)`), `labels` `(N,)` and perhaps
    `classes`, their names; without names, classes are numbered.
    """
    if path.is_dir():
        files = [(split, path / f"{split}.npz") for split in ("train", "val", "test")]
        found: list[tuple[str | None, Path]] = [(split, file) for split, file in files if file.exists()]
        if not any(split == "train" for split, _ in found):
            raise BadInput.single(path, "has no train.npz; expected train.npz, and test.npz if there is one")
    else:
        found = [(None, path)]
    parts: list[ArrayPart] = []
    names: dict[tuple[str, ...], str] = {}
    problems: list[Problem] = []
    for split, file in found:
        try:
            arrays = _read_npz(file)
        except BadInput as error:
            problems += error.problems
            continue
        parts.append(ArrayPart(file.name, split, arrays["images"], arrays["labels"]))
        if "classes" in arrays:
            names.setdefault(tuple(str(name) for name in arrays["classes"].tolist()), file.name)
    if len(names) > 1:
        problems.append(Problem(str(path), f"classes differ between {' and '.join(names.values())}"))
    if problems:
        raise BadInput(problems)
    classes = next(iter(names)) if names else numbered_classes(parts, str(path))
    return ArraySource(str(path), classes, parts, path)


def numbered_classes(parts: Sequence[ArrayPart], place: str) -> tuple[str, ...]:
    """Names for classes that have none: `0` to the largest label, each of which must have an image."""
    labels = np.unique(np.concatenate([part.labels.ravel() for part in parts])).tolist()
    if not labels or not all(isinstance(label, int) for label in labels):
        raise BadInput.single(place, f"found labels {labels[:3]}; expected integers from 0")
    if labels != list(range(len(labels))):
        gap = next(i for i, label in enumerate(labels) if i != label)
        found = f"labels skip from {labels[gap - 1]} to" if gap else "the smallest label is"
        raise BadInput.single(
            place, f"{found} {labels[gap]}; expected every class from 0 on, or names in `classes`"
        )
    return tuple(str(label) for label in labels)


def _faults(part: ArrayPart, classes: int) -> Iterator[Problem]:
    images, labels = part.images, part.labels
    if images.dtype not in (np.uint8, np.uint16) or images.ndim not in (3, 4) or 0 in images.shape:
        expected = "uint8 or uint16 (N, H, W) or (N, H, W, C), none of them 0"
        yield Problem(part.file, f"images are {images.dtype} {images.shape}; expected {expected}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        yield Problem(part.file, f"labels are {labels.dtype} {labels.shape}; expected integers (N,)")
    elif images.shape[:1] != labels.shape:
        yield Problem(part.file, f"found {len(labels)} labels for {len(images)} images")
    elif len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        yield Problem(part.file, f"labels are {labels.min()} to {labels.max()}; expected 0 to {classes - 1}")


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    wanted = ("images", "labels", "classes")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_BYTES:
            raise BadInput.single(path, f"unpacks to {unpacked} bytes; expected at most {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in wanted if name in archive}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput.single(path, f"cannot be read as .npz: {error}") from None
    missing = [Problem(str(path), f"has no array `{name}`") for name in wanted[:2] if name not in arrays]
    if "classes" in arrays and (arrays["classes"].dtype.kind != "U" or arrays["classes"].ndim != 1):
        found = f"{arrays['classes'].dtype} {arrays['classes'].shape}"
        missing.append(Problem(str(path), f"classes are {found}; expected strings (K,)"))
    if missing:
        raise BadInput(missing)
    return arrays
