"""The kinds `cifar-binary` and `cifar-python`: CIFAR-10, CIFAR-100 and ciFAIR as their authors pack them.

Format: https://www.cs.toronto.edu/~kriz/cifar.html - images are 3 planes of 32 x 32 bytes. CIFAR-100 is read
with its 100 fine labels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vipriors.data.sources.arrays import ArrayPart, ArraySource
from vipriors.data.sources.pickled import PickledArray, read_pickle
from vipriors.problems import BadInput, Problem

_VALUES = 3 * 32 * 32
_TEN = tuple(f"data_batch_{number}" for number in range(1, 6))

Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def open_cifar_binary(root: Path) -> ArraySource:
    """Open `data_batch_1.bin` … `test_batch.bin`, or CIFAR-100's `train.bin` and `test.bin`."""
    if (root / "train.bin").exists():
        names = _lines(root / "fine_label_names.txt")
        return _open(root, ("train.bin",), "test.bin", names, lambda file: _read_binary(file, labels=2))
    names = _lines(root / "batches.meta.txt")
    batches = tuple(f"{name}.bin" for name in _TEN)
    return _open(root, batches, "test_batch.bin", names, lambda file: _read_binary(file, labels=1))


def open_cifar_python(root: Path) -> ArraySource:
    """Open `data_batch_1` … `test_batch`, or CIFAR-100's `train` and `test`; no code in them is run."""
    if (root / "train").exists():
        names = _names(root / "meta", "fine_label_names")
        return _open(root, ("train",), "test", names, lambda file: _read_batch(file, "fine_labels"))
    names = _names(root / "batches.meta", "label_names")
    return _open(root, _TEN, "test_batch", names, lambda file: _read_batch(file, "labels"))


def _open(
    root: Path, train: tuple[str, ...], test: str, classes: list[str], read: Callable[[Path], Arrays]
) -> ArraySource:
    parts: list[ArrayPart] = []
    problems: list[Problem] = []
    for file in (*train, test):
        try:
            images, labels = read(root / file)
        except BadInput as error:
            problems += error.problems
        except OSError as error:
            problems.append(Problem(str(root / file), f"cannot be read: {error.strerror}"))
        else:
            parts.append(ArrayPart(file, "test" if file == test else "train", images, labels))
    if problems:
        raise BadInput(problems)
    return ArraySource(str(root), classes, parts, root)


def _read_binary(path: Path, labels: int) -> Arrays:
    record = labels + _VALUES
    values = np.fromfile(path, np.uint8)
    if len(values) == 0 or len(values) % record:
        raise BadInput.single(path, f"found {len(values)} bytes; expected a multiple of {record}")
    records = values.reshape(-1, record)
    return _channels_last(records[:, labels:]), records[:, labels - 1].astype(np.int64)


def _read_batch(path: Path, labels_key: str) -> Arrays:
    batch = _dictionary(path)
    data, labels = batch.get("data"), batch.get(labels_key)
    problems: list[Problem] = []
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        problems.append(Problem(str(path), f"`{labels_key}` is not a list of integers"))
    if not isinstance(data, PickledArray):
        problems.append(Problem(str(path), "`data` is not an array"))
    elif data.kind != "u1" or len(data.shape) != 2 or data.shape[1] != _VALUES:
        problems.append(Problem(str(path), f"`data` is {data.kind} {data.shape}; expected u1 (N, {_VALUES})"))
    if problems or not isinstance(data, PickledArray) or not isinstance(labels, list):
        raise BadInput(problems)
    order: Literal["C", "F"] = "F" if data.fortran else "C"
    values = np.frombuffer(data.values, np.uint8).reshape(data.shape, order=order)
    # Python integers have no bound: what exceeds an int64 cannot be a class either.
    bounded = [min(max(label, -1), 1 << 31) for label in labels]
    return _channels_last(values), np.array(bounded, np.int64)


def _channels_last(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise BadInput.single(
            path, f"cannot be read: {error.strerror}; expected a class name a line"
        ) from None
    except UnicodeDecodeError:
        raise BadInput.single(path, "is not UTF-8 text; expected a class name a line") from None


def _names(path: Path, key: str) -> list[str]:
    try:
        names = _dictionary(path).get(key)
    except OSError as error:
        raise BadInput.single(path, f"cannot be read: {error.strerror}; expected the class names") from None
    if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
        raise BadInput.single(path, f"`{key}` is not a list of names")
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names]


def _dictionary(path: Path) -> dict[str, object]:
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise BadInput.single(path, f"holds a {type(content).__name__}; expected a dictionary")
    # Written by Python 2 the keys are bytes, by Python 3 (ciFAIR) perhaps text.
    return {key.decode("latin-1") if isinstance(key, bytes) else str(key): content[key] for key in content}
