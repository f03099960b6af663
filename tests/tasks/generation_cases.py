"""Small labels and predictions of task generation, with networks of random weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.feature_network import FeatureNetwork
from vipriors.tasks.generation import Predictions
from vipriors.tasks.generation_labels import GENERATED, write_labels

SHAPE = (5, 4, 1)
"""Odd and even, so that strides and paddings show."""
CLASSES = 3


def network(name: str = "supervised-0", seed: int = 0, shape=SHAPE, classes: int = CLASSES) -> FeatureNetwork:
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    weights: dict[str, NDArray[np.float64]] = {}
    for number, out in enumerate((4, 6)):
        weights[f"conv{number}.weight"] = rng.normal(size=(out, channels, 3, 3)) * 0.4
        weights[f"conv{number}.bias"] = rng.normal(size=out) * 0.1
        channels = out
    size = channels * -(-height // 2) * -(-width // 2)
    weights |= {"embed.weight": rng.normal(size=(8, size)) * 0.3, "embed.bias": rng.normal(size=8) * 0.1}
    if name.startswith("supervised"):
        weights |= {"head.weight": rng.normal(size=(classes, 8)), "head.bias": rng.normal(size=classes)}
    weights |= {"centre": rng.normal(size=8), "scale": np.array(1.7), "accuracy": np.array(0.5)}
    return FeatureNetwork(name, weights)


def images(count: int, seed: int) -> NDArray[np.uint8]:
    """Bright spots at random places, on noise."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 60, (count, *SHAPE), dtype=np.uint8)
    rows, columns = rng.integers(0, 4, count), rng.integers(0, 3, count)
    for step in (0, 1):
        found[np.arange(count), rows + step, columns] = rng.integers(150, 256, (count, 1))
    return found


def labels_file(count: int = 6, **changes) -> bytes:
    given = images(count, 1)
    networks = {
        f"{one.name}/{key}": value
        for one in (network(), network("supervised-1", 1), network("random-0", 2))
        for key, value in one.weights.items()
    }
    arrays = {
        "ids": [f"img_{k}.png" for k in range(count)],
        "images": given,
        "classes": np.arange(count) % CLASSES,
        "reference": images(40, 2),
        "learned_from": images(50, 3),
        "networks": networks,
    }
    return write_labels(**(arrays | changes))


def predictions(count: int = 6, seed: int = 4) -> Predictions:
    return Predictions(images(GENERATED, seed), images(count, 1), np.ones(count, bool), images(12, 5)[None])
