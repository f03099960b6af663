"""A small training with everything that draws random numbers; as a script it can be killed from outside.

python small_job.py FOLDER
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.priors.augment import Compose, Cutout, Flip, MixUp, Shift, one_hot
from vipriors.train import Batches, Execution, Recipe, seed_everything, train

STEPS = 30
CPU = torch.device("cpu")
RECIPE = Recipe(steps=STEPS, batch_size=6, lr=0.1, ema=0.9, clip_norm=1.0)
AUGMENT, MIX = Compose((Shift(2), Flip(), Cutout(3))), MixUp(0.4)


def network() -> nn.Module:
    seed_everything(5, CPU)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def batches(seed: int = 1) -> Batches:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    return Batches(images, rng.integers(0, 3, 20), batch_size=RECIPE.batch_size, seed=seed, device=CPU)


def loss(network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    images, targets = MIX(AUGMENT(images, generator), one_hot(labels, 3), generator)
    return functional.cross_entropy(network(images), targets)


def job(folder: Path | None, *, loss=loss, seed: int = 1, recipe: Recipe = RECIPE, **options) -> nn.Module:
    options = {"log_every": 4, "checkpoint_seconds": 0.0, "execution": Execution("cpu")} | options
    return train(network(), batches(seed), recipe, loss, seed=seed, folder=folder, **options)


def log(folder: Path) -> list[dict[str, float]]:
    """The lines of a log, without the time, which no two runs share."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert all(line.pop("seconds") >= 0 for line in lines)
    return lines


def slow_loss(*arguments) -> Tensor:
    time.sleep(0.02)
    return loss(*arguments)


if __name__ == "__main__":
    torch.set_num_threads(1)
    job(Path(sys.argv[1]), loss=slow_loss)
