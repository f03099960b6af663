"""Actions: what is learned from is labelled in the manifest, predictions are classes by their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipriors.challenges.public import first_class_number
from vipriors.data.files import read_bytes
from vipriors.methods.protocol import Classifier, Labelled
from vipriors.runs.prepared import RunData
from vipriors.tasks import actions
from vipriors.tasks.protocol import Truth

SUFFIX = ".txt"


def labelled(data: RunData, *splits: str) -> Labelled:
    """Clips `(N, T, H, W, C)` with int64 labels `(N,)`."""
    split = data.load(*splits)
    assert split.labels is not None, "only test clips have no labels"
    return Labelled(split.images, split.labels)


def truth(data: RunData, split: str) -> Truth | None:
    """The index and labels of a split: those of its clips that the run uses."""
    file = data.prepared.labels_of(split)
    if file is None:
        return None
    ids = {row.id for row in data.select(split)}
    known = actions.read_labels(read_bytes(file), str(file))
    labels = {id_: number for id_, number in known.items() if id_ in ids}
    index = actions.ClipIndex(tuple(sorted(ids)), len(data.classes), first_class_number(data.prepared))
    return Truth(index, labels, data.classes)


def write(data: RunData, split: str, model: Classifier, file: Path) -> None:
    """Writes the numbers of the five most likely classes of each clip; of equals the first."""
    clips = data.load(split)
    order = np.argsort(-model.probabilities(clips.images), axis=1, kind="stable")
    actions.write(file, clips.ids, order[:, : actions.PLACES] + first_class_number(data.prepared))
