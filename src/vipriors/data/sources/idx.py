"""The kind `idx`: the files of MNIST, Fashion-MNIST and KMNIST, plain or gzipped.

Format: http://yann.lecun.com/exdb/mnist - big-endian 32-bit magic number (0x0800 + number of dimensions for
unsigned bytes) and dimensions, then the values.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vipriors.data.sources.arrays import MAX_BYTES, ArrayPart, ArraySource, numbered_classes
from vipriors.problems import BadInput, Problem

_PREFIXES = {"train": ("train",), "test": ("t10k", "test")}


def open_idx(root: Path) -> ArraySource:
    """Open `train-images-idx3-ubyte[.gz]`, `train-labels-idx1-ubyte[.gz]` and their `t10k` twins."""
    parts: list[ArrayPart] = []
    problems: list[Problem] = []
    for split, prefixes in _PREFIXES.items():
        image_file = _find(root, prefixes, "images", 3)
        label_file = _find(root, prefixes, "labels", 1)
        if image_file is None and label_file is None and split == "test":
            continue
        if image_file is None or label_file is None:
            missing = "images-idx3-ubyte" if image_file is None else "labels-idx1-ubyte"
            problems.append(Problem(str(root), f"has no {prefixes[0]}-{missing}, plain or .gz"))
            continue
        try:
            images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
        except BadInput as error:
            problems += error.problems
            continue
        parts.append(ArrayPart(image_file.name, split, images, labels))
    if problems:
        raise BadInput(problems)
    return ArraySource(str(root), numbered_classes(parts, str(root)), parts, root)


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes with the given number of dimensions."""
    head = 4 + 4 * dimensions
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(head)
            if len(header) < head:
                raise BadInput.single(path, f"ends after {len(header)} bytes; expected a header of {head}")
            magic, *shape = struct.unpack(f">{1 + dimensions}I", header)
            if magic != 0x0800 + dimensions:
                expected = f"0x{0x0800 + dimensions:08x} ({dimensions} dimensions of unsigned bytes)"
                raise BadInput.single(path, f"magic number is 0x{magic:08x}; expected {expected}")
            size = math.prod(shape)
            if size > MAX_BYTES:
                raise BadInput.single(path, f"header says {size} bytes; expected at most {MAX_BYTES}")
            values = file.read(size)
            longer = len(values) == size and bool(file.read(1))
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput.single(path, f"cannot be read: {error}") from None
    if len(values) < size or longer:
        found = "more bytes follow" if longer else f"only {len(values)} follow"
        raise BadInput.single(path, f"header says {tuple(shape)} = {size} bytes, but {found}")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _find(root: Path, prefixes: tuple[str, ...], what: str, dimensions: int) -> Path | None:
    for prefix in prefixes:
        for separator in "-.":
            for suffix in ("", ".gz"):
                path = root / f"{prefix}-{what}{separator}idx{dimensions}-ubyte{suffix}"
                if path.is_file():
                    return path
    return None
