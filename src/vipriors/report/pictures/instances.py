"""Masks laid over test images: the truth on the left, what was found on the right."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipriors.data.files import read_bytes
from vipriors.data.prepared import read_prepared
from vipriors.pictures import Picture
from vipriors.pictures.objects import LEAST_SCORE, Thing, box_of, mask_of
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures._objects import mask_overlap, pictures_of
from vipriors.tasks import instances


def pictures(run: FinishedRun, data: Path) -> list[Picture]:
    """Test images from the worst to the best by how much of them was found; none without test labels.

    Raises:
        BadInput: Predictions, labels or images are damaged or not those of this run.
    """
    labels_file = read_prepared(data).labels_of("test")
    if labels_file is None:
        return []
    labels = instances.read_labels(labels_file)
    file = run.folder / run.outcome.predictions
    predictions, problems = instances.check(read_bytes(file), labels.index, str(file))
    if predictions is None:
        raise BadInput(problems)
    index, objects, results = labels.index, labels.objects, predictions.results
    truths: list[list[Thing]] = [[] for _ in index.ids]
    founds: list[list[Thing]] = [[] for _ in index.ids]
    for place in np.flatnonzero(~objects.crowds):
        mask = mask_of(labels.masks, int(place), index.sizes[objects.images[place]])
        truths[objects.images[place]].append(Thing(int(objects.classes[place]), box_of(mask), mask=mask))
    for place in np.flatnonzero(results.scores >= LEAST_SCORE):
        mask = mask_of(predictions.masks, int(place), index.sizes[results.images[place]])
        thing = Thing(int(results.classes[place]), box_of(mask), float(results.scores[place]), mask)
        founds[results.images[place]].append(thing)
    return pictures_of(data, index.ids, truths, founds, index.names, mask_overlap)
