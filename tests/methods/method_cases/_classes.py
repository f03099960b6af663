"""What holds of everything that gives class probabilities: of images, clips and clouds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vipriors.methods.protocol import TrainingSet


def outputs(model: Any, images: np.ndarray) -> list[np.ndarray]:
    return list(model.probabilities(images))


def sound(model: Any, images: np.ndarray, data: TrainingSet) -> None:
    found = model.probabilities(images)
    assert found.shape == (len(images), len(data.classes))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert np.allclose(found.sum(1), 1, atol=1e-5)


def monitored(model: Any, data: TrainingSet) -> Mapping[str, float]:
    found, truth = model.probabilities(data.held_out.images), data.held_out.labels
    likelihood = found[np.arange(len(truth)), truth]
    return {"val_top1": accuracy(model, data), "val_loss": -np.log(likelihood).mean()}


def accuracy(model: Any, data: TrainingSet) -> float:
    return (model.probabilities(data.held_out.images).argmax(1) == data.held_out.labels).mean()
