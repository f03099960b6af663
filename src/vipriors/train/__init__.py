"""The small-data training engine: data on the device, one visible loop, resumable to the bit."""

from vipriors.train.batches import Batches, Unlabelled, step_seed
from vipriors.train.loop import seed_everything, train
from vipriors.train.network import (
    NetworkClassifier,
    NetworkModel,
    Standardise,
    forward_flops,
    shown,
    weights_hash,
    with_weights,
)
from vipriors.train.recipe import Execution, Recipe, require
from vipriors.train.stopping import Interrupted

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
