"""Test clouds in three views, with the class that was predicted for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipriors.data.files import read_bytes
from vipriors.data.loader import load_split
from vipriors.data.manifest import read_manifest
from vipriors.data.prepared import read_prepared
from vipriors.pictures import Picture, png
from vipriors.pictures.clouds import views
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures import spread
from vipriors.tasks import points
from vipriors.tasks.index import Index
from vipriors.tasks.labels import align

COUNT = 8
"""Clouds that are shown."""


def pictures(run: FinishedRun, data: Path) -> list[Picture]:
    """Clouds of the test from the one recognised worst to the best, by the probability of the right class.

    Args:
        run: The run.
        data: The prepared folder whose clouds the run used.

    Returns:
        The pictures; none where the folder has no test labels.

    Raises:
        BadInput: The predictions, the labels or the clouds are damaged or not those of this run.
    """
    recipe = run.recipe
    labels = read_prepared(data).labels_of("test")
    if labels is None:
        return []
    rows = [row for row in read_manifest(run.folder / "manifest.csv") if row.split == "test"]
    index = Index(tuple(row.id for row in rows), len(recipe.classes))
    file = run.folder / run.outcome.predictions
    predictions, problems = points.check(read_bytes(file), index, str(file))
    if predictions is None:
        raise BadInput(problems)
    truth = align(points.read_labels(read_bytes(labels), str(labels)), index)
    right = predictions.classes == truth
    if run.confusion is not None and (scored := int(run.confusion.trace())) != right.sum():
        message = f"make {right.sum()} predictions right; expected {scored}, as in scores.json"
        raise BadInput.single(labels, f"{message}: these are not the labels of this run")
    sure = right.astype(np.float64)
    if predictions.probabilities is not None:
        sure = predictions.probabilities[np.arange(len(truth)), truth]
    shown = spread(sure, COUNT)
    clouds = load_split(data, [rows[number] for number in shown], recipe.challenge.form).images
    found = []
    for number, cloud in zip(shown, clouds, strict=True):
        named = recipe.classes[predictions.classes[number]]
        words = f"{index.ids[number]}: “{recipe.classes[truth[number]]}” with probability {sure[number]:.2f}"
        reading = "From the front, the side and above; nearer points are darker."
        found.append(Picture(png(views(cloud)), f"{words}; predicted “{named}”. {reading}"))
    return found
