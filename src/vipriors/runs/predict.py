"""`vipriors predict`: labels a person's own pictures with a trained run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vipriors.data.images import IMAGE_SUFFIXES, read_image, resize
from vipriors.problems import BadInput, Problem
from vipriors.runs.run import load_model

BATCH = 256


@dataclass(frozen=True)
class Labelled:
    """One picture and what the model takes it for."""

    file: str
    label: str
    probability: float
    """Of the label; a classical floor always says 1."""


def pictures_in(path: Path) -> list[Path]:
    """A picture file itself, or every picture in a folder and its subfolders, sorted.

    Raises:
        BadInput: There is nothing at the path, or no picture in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadInput.single(path, "does not exist; expected a picture or a folder of pictures")
    found = sorted(
        file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in IMAGE_SUFFIXES
    )
    if not found:
        raise BadInput.single(path, "has no pictures in it")
    return found


def predict(run: Path, pictures: Path, execution: Any = None) -> tuple[list[Labelled], list[Problem]]:
    """Labels pictures, batch by batch; those that cannot be read are listed and the rest are labelled.

    Args:
        run: A finished run folder.
        pictures: A picture of any size, or a folder of them.
        execution: A `vipriors.train.Execution`.

    Raises:
        BadInput: The run is not finished, or there are no pictures.
    """
    recipe, classifier = load_model(run, execution)
    files = pictures_in(pictures)
    size, channels = recipe.challenge.input.size, recipe.challenge.input.channels
    labelled: list[Labelled] = []
    problems: list[Problem] = []
    for start in range(0, len(files), BATCH):
        images, names = [], []
        for file in files[start : start + BATCH]:
            try:
                images.append(resize(read_image(file, channels=channels), size))
                names.append(str(file))
            except BadInput as error:
                problems += error.problems
        if images:
            probabilities = classifier.probabilities(np.stack(images))
            best = probabilities.argmax(1)
            labelled += [
                Labelled(name, recipe.classes[k], float(row[k]))
                for name, k, row in zip(names, best, probabilities, strict=True)
            ]
    return labelled, problems
