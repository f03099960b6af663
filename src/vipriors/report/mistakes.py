"""The worst mistakes as pictures: test images that were named wrongly, the most confident first."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vipriors.data.files import os_errors
from vipriors.data.loader import load_split
from vipriors.data.manifest import read_manifest
from vipriors.data.prepared import TEST_LABELS
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.tasks import Index, classification
from vipriors.tasks.labels import align, read_labels

MOST = 24
THUMBNAIL = 96
"""Longest side of an embedded picture in pixels; larger ones would make the page heavy."""


@dataclass(frozen=True)
class Mistake:
    """One wrongly named test image."""

    id: str
    label: str
    predicted: str
    confidence: float
    """Probability of the predicted class."""
    label_probability: float
    picture: str
    """`data:` address of a PNG."""
    width: int
    height: int


def worst_mistakes(run: FinishedRun, data: Path) -> list[Mistake]:
    """The wrong predictions of a scored run with the highest confidence, up to `MOST`.

    Args:
        run: The run.
        data: The prepared folder whose images the run used, with the test labels.

    Raises:
        BadInput: The predictions, the labels or the images are damaged or not those of this run.
    """
    recipe = run.recipe
    rows = [row for row in read_manifest(run.folder / "manifest.csv") if row.split == "test"]
    index = Index(tuple(row.id for row in rows), len(recipe.classes))
    file = run.folder / "predictions.csv"
    with os_errors(file):
        predictions, problems = classification.check(file.read_bytes(), index, str(file))
    if predictions is None:
        raise BadInput(problems)
    labels_file = data / TEST_LABELS
    with os_errors(labels_file):
        labels = read_labels(labels_file.read_bytes(), str(labels_file))
    truth = align(labels, index)
    wrong = np.flatnonzero(predictions.classes != truth)
    if run.confusion is not None:
        scored = int(run.confusion.sum() - run.confusion.trace())
        if scored != len(wrong):
            faulty = f"make {len(wrong)} predictions wrong"
            message = f"{faulty}; expected {scored}, as in scores.json: these are not the labels of this run"
            raise BadInput.single(labels_file, message)
    certain = np.zeros((len(rows), index.classes))
    certain[np.arange(len(rows)), predictions.classes] = 1
    probabilities = certain if predictions.probabilities is None else predictions.probabilities
    confidence = probabilities[wrong, predictions.classes[wrong]]
    worst = wrong[np.argsort(-confidence, kind="stable")][:MOST].tolist()
    images = load_split(data, [rows[place] for place in worst], recipe.challenge.form).images
    found = []
    for place, image in zip(worst, images, strict=True):
        label, predicted = int(truth[place]), int(predictions.classes[place])
        picture = thumbnail(image)
        found.append(
            Mistake(
                id=index.ids[place],
                label=recipe.classes[label],
                predicted=recipe.classes[predicted],
                confidence=float(probabilities[place, predicted]),
                label_probability=float(probabilities[place, label]),
                picture=f"data:image/png;base64,{base64.b64encode(_png(picture)).decode()}",
                width=picture.width,
                height=picture.height,
            )
        )
    return found


def thumbnail(image: NDArray[np.uint8]) -> Image.Image:
    """An image `(H, W, C)` as a small picture: RGB of the first three channels, or grey of the first."""
    visible = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, 0]
    picture = Image.fromarray(np.ascontiguousarray(visible))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return picture


def _png(picture: Image.Image) -> bytes:
    stream = BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()
