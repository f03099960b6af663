"""Test clouds in three views, with the class that was predicted for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes
from vipriors.data.loader import load_split
from vipriors.data.manifest import read_manifest
from vipriors.data.prepared import read_prepared
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures import Picture, png, spread
from vipriors.tasks import points
from vipriors.tasks.index import Index
from vipriors.tasks.labels import align

COUNT = 8
"""Clouds that are shown."""
SIDE = 128
"""Of a view in pixels."""
GAP = 2
"""Pixels between views."""
DOT = 2
"""Side of a point in pixels."""
VIEWS = ((0, 2, 1), (1, 2, 0), (0, 1, 2))
"""Axes to the right, up and away: from the front, the side and above."""


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


def views(cloud: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A cloud `(P, 3)` from three sides at one scale, `(SIDE, 3 * SIDE + 2 * GAP)`, dark on white."""
    middle = (cloud.max(0) + cloud.min(0)) / 2
    # A cloud of one point has no size.
    scaled = (cloud - middle) / (float((cloud.max(0) - cloud.min(0)).max()) or 1.0)
    page = np.full((SIDE, 3 * SIDE + 2 * GAP), 255, np.uint8)
    for number, (across, up, away) in enumerate(VIEWS):
        # Seen from above, what is high is near; from the front and the side, what has small coordinates.
        depth = scaled[:, away] if away != 2 else -scaled[:, away]
        order = np.argsort(-depth, kind="stable")
        columns = ((scaled[order, across] + 0.5) * (SIDE - DOT)).round().astype(int) + number * (SIDE + GAP)
        rows = ((0.5 - scaled[order, up]) * (SIDE - DOT)).round().astype(int)
        shades = (40 + 150 * (depth[order] + 0.5)).astype(np.uint8)
        for row, column, shade in zip(rows, columns, shades, strict=True):
            page[row : row + DOT, column : column + DOT] = shade
        if number:
            page[:, number * (SIDE + GAP) - GAP : number * (SIDE + GAP)] = 200
    return page
