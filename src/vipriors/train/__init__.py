"""The small-data training engine: data on the device, one visible loop, resumable to the bit."""

from vipriors.train.batches import Batches, Unlabelled, step_seed
from vipriors.train.loop import Execution, Interrupted, Recipe, require, seed_everything, train
from vipriors.train.network import (
    NetworkClassifier,
    NetworkModel,
    Standardise,
    forward_flops,
    shown,
    weights_hash,
    with_weights,
)

__all__ = [
    "Batches",
    "Execution",
    "Interrupted",
    "NetworkClassifier",
    "NetworkModel",
    "Recipe",
    "Standardise",
    "Unlabelled",
    "forward_flops",
    "require",
    "seed_everything",
    "shown",
    "step_seed",
    "train",
    "weights_hash",
    "with_weights",
]
