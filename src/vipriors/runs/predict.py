"""`vipriors predict`: a trained run looks at a person's own pictures, clips or clouds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import os_errors, write_atomic
from vipriors.data.images import IMAGE_SUFFIXES, encode_png, image_size
from vipriors.data.points import POINT_SUFFIXES
from vipriors.methods.protocol import Classifier, Detector, Objects, Segmenter
from vipriors.problems import BadInput, Problem
from vipriors.runs.run import load_model

BATCH = 256
CLIP_SUFFIXES = frozenset((".avi", ".mp4", ".mkv", ".webm", ".mov", ".npy"))

Row = dict[str, Any]
"""What is said of a picture, or of one thing in it: the columns of a table, `file` and `label` among them."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of a prediction besides its rows."""

    least: float = 0.3
    """Objects with a lower score are left out."""
    maps: Path | None = None
    """Folder for a PNG of each picture: the class of each pixel, or the number of the object on it from 1."""


def files_in(path: Path, suffixes: frozenset[str], what: str) -> list[Path]:
    """A file itself, or every file with one of some suffixes in a folder and its subfolders, sorted.

    Raises:
        BadInput: There is nothing at the path, or no such file in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadInput.single(path, f"does not exist; expected a {what} or a folder of {what}s")
    found = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in suffixes)
    if not found:
        raise BadInput.single(path, f"has no {what}s in it")
    return found


def predict(
    run: Path, path: Path, wish: Wish | None = None, execution: Any = None
) -> tuple[list[Row], list[Problem]]:
    """Looks at pictures, batch by batch; those that cannot be read are listed and the rest are looked at.

    Args:
        run: A finished run folder.
        path: A picture or clip of any size, or a folder of them.
        wish: What is wanted.
        execution: A `vipriors.train.Execution`.

    Returns:
        Rows in the order of the files, and problems.

    Raises:
        BadInput: The run is not finished, its task says nothing of a single picture, or there are none.
    """
    recipe, model = load_model(run, execution)
    challenge, wish = recipe.challenge, wish or Wish()
    if challenge.task == "planning":
        raise BadInput.single(run, "is about planning: on a map alone, without true links, nobody can walk")
    if challenge.task == "reid":
        raise BadInput.single(run, "is about re-identification, which says nothing of a picture by itself")
    if challenge.task == "generation":
        raise BadInput.single(run, "is about making images, which says nothing of a picture")
    if challenge.task == "actions":
        files = files_in(path, CLIP_SUFFIXES, "clip")
    elif challenge.task == "points":
        files = files_in(path, POINT_SUFFIXES, "cloud")
    else:
        files = files_in(path, IMAGE_SUFFIXES, "picture")
    rows: list[Row] = []
    problems: list[Problem] = []
    for start in range(0, len(files), BATCH):
        inputs, named = [], []
        for file in files[start : start + BATCH]:
            try:
                with os_errors(file):
                    inputs.append(challenge.form.decode(file.read_bytes(), str(file)))
                named.append(file)
            except BadInput as error:
                problems += error.problems
        if not named:
            continue
        images = np.stack(inputs)
        match challenge.task:
            case "classification" | "actions" | "points":
                rows += _classes(named, model, images, recipe.classes)
            case "segmentation":
                rows += _maps(named, model, images, recipe.classes, wish)
            case "detection" | "instances":
                rows += _objects(named, model, images, recipe.classes, wish)
    return rows, problems


def _classes(
    files: Sequence[Path], model: Classifier, images: NDArray[np.uint8], classes: Sequence[str]
) -> Iterator[Row]:
    probabilities = model.probabilities(images)
    for file, best, row in zip(files, probabilities.argmax(1), probabilities, strict=True):
        yield {"file": str(file), "label": classes[best], "probability": round(float(row[best]), 4)}


def _maps(
    files: Sequence[Path], model: Segmenter, images: NDArray[np.uint8], classes: Sequence[str], wish: Wish
) -> Iterator[Row]:
    """The classes of each picture with their share of its pixels, the largest first."""
    for file, found in zip(files, model.maps(images, [image_size(file) for file in files]), strict=True):
        if wish.maps:
            _write(wish.maps, file, found)
        shares = np.bincount(found.ravel(), minlength=len(classes)) / found.size
        for class_ in np.argsort(-shares, kind="stable"):
            if shares[class_]:
                share = round(float(shares[class_]), 4)
                yield {"file": str(file), "label": classes[class_], "share": share}


def _objects(
    files: Sequence[Path], model: Detector, images: NDArray[np.uint8], classes: Sequence[str], wish: Wish
) -> Iterator[Row]:
    """The objects of each picture with their boxes in its own pixels, the surest first."""
    for file, found in zip(files, model.detect(images), strict=True):
        assert found.scores is not None, "a detector gives scores"
        height, width = image_size(file)
        scale = np.array([width / images.shape[2], height / images.shape[1]] * 2)
        kept = np.flatnonzero(found.scores >= wish.least)
        if wish.maps:
            _write(wish.maps, file, _numbered(found, kept, (height, width)))
        for place in kept:
            left, top, right, bottom = (round(float(side), 1) for side in found.boxes[place] * scale)
            box = {"left": left, "top": top, "right": right, "bottom": bottom}
            label, score = classes[found.classes[place]], round(float(found.scores[place]), 4)
            yield {"file": str(file), "label": label, "score": score, **box}


def _numbered(found: Objects, kept: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A map of the objects by their number from 1, the surest on top, at a picture's own size."""
    if found.masks is None:
        raise BadInput.single("--maps", "this run finds boxes, not masks; leave it out")
    height, width = size
    rows = (np.arange(height) + 0.5) * found.masks.shape[1] / height
    columns = (np.arange(width) + 0.5) * found.masks.shape[2] / width
    map_ = np.zeros(size, np.uint8)
    for number in range(min(len(kept), 255), 0, -1):
        mask = found.masks[kept[number - 1]]
        map_[mask[rows.astype(int)[:, np.newaxis], columns.astype(int)]] = number
    return map_


def _write(folder: Path, file: Path, map_: NDArray[np.uint8]) -> None:
    with os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / f"{file.stem}.png", encode_png(map_))
