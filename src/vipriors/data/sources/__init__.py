"""Where labelled images come from: a person's own untouched copy of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from vipriors.data.files import os_errors
from vipriors.data.sources.arrays import ArrayPart, ArraySource, open_numpy
from vipriors.data.sources.base import AnnotatedSource, Noted, Source, SourceSample
from vipriors.data.sources.cifar import open_cifar_binary, open_cifar_python
from vipriors.data.sources.folder import FolderSource, open_folder
from vipriors.data.sources.idx import open_idx
from vipriors.data.sources.imagenet import ImagenetSource, open_imagenet
from vipriors.problems import BadInput

__all__ = [
    "ANNOTATED_KINDS",
    "KINDS",
    "AnnotatedSource",
    "ArrayPart",
    "ArraySource",
    "FolderSource",
    "ImagenetSource",
    "Noted",
    "Source",
    "SourceSample",
    "detect_kind",
    "open_annotated",
    "open_imagenet",
    "open_source",
]

KINDS = ("folder", "idx", "cifar-binary", "cifar-python", "numpy", "points")

ANNOTATED_KINDS = {
    "cityscapes": "open_cityscapes",
    "coco": "open_coco",
    "delftbikes": "open_delftbikes",
    "kinetics400": "open_kinetics400",
    "label-maps": "open_label_maps",
    "synergy-reid": "open_synergy_reid",
    "ucf101": "open_ucf101",
    "voc": "open_voc",
}
"""The function that opens each kind, in the module of the same name; imported when it is needed."""


def open_annotated(kind: str, path: Path, task: str, names: Sequence[str] | None = None) -> AnnotatedSource:
    """Open a source whose labels are more than a class, or whose files are clips.

    Args:
        kind: one of `ANNOTATED_KINDS`.
        path: the person's copy.
        task: what the labels are for; some sources have them for several tasks.
        names: of what is told apart, where the files only number it.

    Raises:
        BadInput: with every problem found in the source, or it has no labels for the task.
    """
    if not path.exists():
        raise BadInput.single(path, "does not exist; expected the folder or file of the source data")
    module = import_module(f"{__name__}.{kind.replace('-', '_')}")
    with os_errors(path):
        source: AnnotatedSource = getattr(module, ANNOTATED_KINDS[kind])(path, task, names)
    return source


def open_source(kind: str, path: Path) -> Source:
    """Open a source of labelled images.

    Args:
        kind: `folder` (a folder per class), `idx` (MNIST, Fashion-MNIST), `cifar-binary`, `cifar-python`
            (CIFAR-10 and -100, ciFAIR), `numpy` (`.npz` files with `images` and `labels`), or `points` (a
            folder per class, with clouds in it).
        path: the folder, or for `numpy` perhaps one file.

    Raises:
        BadInput: with every problem found in the source, or with the kinds there are.
    """
    if not path.exists():
        raise BadInput.single(path, "does not exist; expected the folder or file of the source data")
    if kind != "numpy" and kind in KINDS and not path.is_dir():
        raise BadInput.single(path, f"is a file; expected the folder of a source of kind {kind}")
    with os_errors(path):
        match kind:
            case "folder":
                return open_folder(path)
            case "idx":
                return open_idx(path)
            case "cifar-binary":
                return open_cifar_binary(path)
            case "cifar-python":
                return open_cifar_python(path)
            case "numpy":
                return open_numpy(path)
            case "points":
                return open_folder(path, "points")
    known = ", ".join(KINDS)
    raise BadInput.single(path, f"unknown kind of source {kind!r}; expected one of {known}")


def detect_kind(path: Path) -> str:
    """The kind of source at a path, by the names of its files; `folder` if nothing tells otherwise."""
    if path.suffix == ".npz" or any(path.glob("*.npz")):
        return "numpy"
    if any(path.glob("*-ubyte*")):
        return "idx"
    if any(path.glob("*_batch*.bin")) or (path / "train.bin").is_file():
        return "cifar-binary"
    if (path / "data_batch_1").is_file() or (path / "train").is_file():
        return "cifar-python"
    return "folder"
