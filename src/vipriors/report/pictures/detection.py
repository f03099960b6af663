"""Boxes drawn over test images: the truth on the left, what was found on the right."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipriors.data.files import read_bytes
from vipriors.data.prepared import read_prepared
from vipriors.pictures import Picture
from vipriors.pictures.objects import LEAST_SCORE, Thing, corners
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures._objects import box_overlap, pictures_of
from vipriors.tasks import detection


def pictures(run: FinishedRun, data: Path) -> list[Picture]:
    """Test images from the worst to the best by how much of them was found; none without test labels.

    Raises:
        BadInput: Predictions, labels or images are damaged or not those of this run.
    """
    labels_file = read_prepared(data).labels_of("test")
    if labels_file is None:
        return []
    labels = detection.read_labels(labels_file)
    file = run.folder / run.outcome.predictions
    predictions, problems = detection.check(read_bytes(file), labels.index, str(file))
    if predictions is None:
        raise BadInput(problems)
    objects, results = labels.objects, predictions.results
    truths: list[list[Thing]] = [[] for _ in labels.index.ids]
    founds: list[list[Thing]] = [[] for _ in labels.index.ids]
    for place in np.flatnonzero(~objects.crowds):
        thing = Thing(int(objects.classes[place]), corners(labels.boxes[place]))
        truths[objects.images[place]].append(thing)
    for place in np.flatnonzero(results.scores >= LEAST_SCORE):
        box, score = corners(predictions.boxes[place]), float(results.scores[place])
        founds[results.images[place]].append(Thing(int(results.classes[place]), box, score))
    return pictures_of(data, labels.index.ids, truths, founds, labels.index.names, box_overlap)
