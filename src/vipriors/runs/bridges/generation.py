"""Generation: images without labels; predictions are new images and reconstructions of the test's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vipriors.methods.protocol import Generator, Labelled
from vipriors.runs.prepared import RunData
from vipriors.tasks import generation
from vipriors.tasks.generation_labels import GENERATED, labels_of
from vipriors.tasks.protocol import Truth

SUFFIX = ".npz"

ROWS, STEPS = 6, 9
"""Interpolations in the file, between the first images of the split."""


def labelled(data: RunData, *splits: str) -> Labelled:
    """Images `(N, H, W, C)`; their labels are all 0, for there is nothing to tell of them."""
    images = data.load(*splits).images
    return Labelled(images, np.zeros(len(images), np.int64))


def truth(data: RunData, split: str) -> Truth | None:
    """Hidden images and the networks that compare them; of a part of the split's images, in its order."""
    file = data.prepared.labels_of(split)
    if file is None:
        return None
    whole = generation.open_truth(file, data.classes)
    labels = labels_of(whole.labels, [row.id for row in data.select(split)])
    return Truth(labels.index, labels, whole.classes)


def write(data: RunData, split: str, model: Generator, file: Path) -> None:
    """Writes new images, reconstructions of the split's, and steps between the first of these."""
    images = data.load(split)
    ends = images.images[: 2 * min(ROWS, len(images.ids) // 2)]
    predictions = generation.Predictions(
        generated=model.generate(GENERATED),
        reconstructed=model.reconstruct(images.images),
        given=np.ones(len(images.ids), np.bool_),
        interpolated=model.interpolate(ends[::2], ends[1::2], STEPS) if len(ends) else None,
    )
    generation.write(file, images.ids, predictions)
