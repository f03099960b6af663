"""The small-data training engine: data on the device, one visible loop, resumable to the bit."""

from vipriors.train.batches import Batches, step_seed
from vipriors.train.loop import Execution, Interrupted, Recipe, seed_everything, train
from vipriors.train.network import NetworkClassifier, Standardise, forward_flops, weights_hash

__all__ = [
    "Batches",
    "Execution",
    "Interrupted",
    "NetworkClassifier",
    "Recipe",
    "Standardise",
    "forward_flops",
    "seed_everything",
    "step_seed",
    "train",
    "weights_hash",
]
