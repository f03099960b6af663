"""Classification: labels are in the manifest, predictions are classes with their probabilities."""

from __future__ import annotations

from pathlib import Path

from vipriors.data.prepared import TEST_LABELS
from vipriors.methods.protocol import Classifier, Labelled
from vipriors.runs.prepared import RunData
from vipriors.tasks import classification
from vipriors.tasks.index import Index
from vipriors.tasks.protocol import Truth

SUFFIX = ".csv"


def labelled(data: RunData, *splits: str) -> Labelled:
    """Images `(N, H, W, C)` with int64 labels `(N,)`."""
    split = data.load(*splits)
    assert split.labels is not None, "only test images have no labels"
    return Labelled(split.images, split.labels)


def truth(data: RunData, split: str) -> Truth | None:
    """The index and labels of a split."""
    ids = tuple(row.id for row in data.select(split))
    file = data.root / TEST_LABELS
    if split != "test":
        labels = {row.id: row.label for row in data.select(split) if row.label is not None}
    elif file.is_file():
        labels = classification.read_labels(file.read_bytes(), str(file))
    else:
        return None
    return Truth(Index(ids, len(data.classes)), labels, data.classes)


def write(data: RunData, split: str, model: Classifier, file: Path) -> None:
    """Writes the most likely class of each image, and all probabilities."""
    images = data.load(split)
    probabilities = model.probabilities(images.images)
    classification.write(file, images.ids, probabilities.argmax(1), probabilities)
