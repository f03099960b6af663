"""Several seeds at once leave each with what it is left with alone."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.priors.augment import Compose, Flip, MixUp, Shift, one_hot
from vipriors.train import Batches, Execution, Recipe, Standardise, seed_everything, train
from vipriors.train.together import train_together

CPU = torch.device("cpu")
CPU_TYPE = torch.float32
SEEDS = (3, 11, 4)
RECIPE = Recipe(steps=12, batch_size=6, lr=0.1, weight_decay=0.05)
AUGMENT, MIX = Compose((Shift(2), Flip())), MixUp(0.4)


class Skipping(nn.Module):
    """A block with a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(functional.relu(self.norm(x)))


def images_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)


def network(seed: int, dtype: torch.dtype) -> nn.Module:
    seed_everything(seed, CPU)
    layers = [
        nn.Conv2d(3, 4, 3, padding=1),
        Skipping(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    ]
    return nn.Sequential(Standardise.of(images_of(seed)), *layers).to(dtype)


def batches(seed: int, size: int = 6) -> Batches:
    labels = np.random.default_rng(seed).integers(0, 3, 20)
    return Batches(images_of(seed), labels, batch_size=size, seed=seed, device=CPU)


def preparing(dtype: torch.dtype):
    def prepare(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images, targets = MIX(AUGMENT(images, generator), one_hot(labels, 3), generator)
        return images.to(dtype), targets.to(dtype)

    return prepare


def alone(seed: int, recipe: Recipe, dtype: torch.dtype) -> nn.Module:
    prepare = preparing(dtype)

    def loss(network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        images, targets = prepare(images, labels, generator)
        return functional.cross_entropy(network(images), targets)

    trained = train(network(seed, dtype), batches(seed), recipe, loss, seed=seed, execution=Execution("cpu"))
    return copy.deepcopy(trained)


@pytest.mark.parametrize(
    ("changes", "dtype", "tolerance"),
    [
        ({}, torch.float64, 1e-10),
        ({}, torch.float32, 1e-4),
        ({"ema": 0.9, "clip_norm": 0.5}, torch.float64, 1e-10),
        ({"optimizer": "adamw", "lr": 0.01}, torch.float64, 1e-8),
    ],
)
def test_each_seed_is_left_with_what_it_has_alone(
    changes: dict[str, object], dtype: torch.dtype, tolerance: float
) -> None:
    recipe = dataclasses.replace(RECIPE, **changes)
    together = train_together(
        [network(seed, dtype) for seed in SEEDS],
        [batches(seed) for seed in SEEDS],
        recipe,
        preparing(dtype),
        functional.cross_entropy,
        seeds=SEEDS,
        execution=Execution("cpu"),
    )
    for seed, found in zip(SEEDS, together, strict=True):
        expected = alone(seed, recipe, dtype).state_dict()
        assert not found.training
        for name, value in found.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=tolerance)
    first, second = (one.state_dict()["1.weight"] for one in together[:2])
    assert (first - second).abs().max() > 1e-3


def test_a_seed_whose_loss_breaks_is_named() -> None:
    def broken(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        share = float("nan") if torch.equal(images, batches(11)(2)[0]) else 1.0
        return images * share, labels

    with pytest.raises(FloatingPointError, match=r"^seed 11: the loss became nan by step 3; try a smaller"):
        train_together(
            [network(seed, torch.float32) for seed in SEEDS],
            [batches(seed) for seed in SEEDS],
            RECIPE,
            broken,
            functional.cross_entropy,
            seeds=SEEDS,
            execution=Execution("cpu"),
        )


def test_as_many_of_each() -> None:
    with pytest.raises(ValueError, match="1 networks, 0 batches, 1 seeds; expected as many of each"):
        train_together(
            [network(0, torch.float32)],
            [],
            RECIPE,
            preparing(torch.float32),
            functional.cross_entropy,
            seeds=[0],
        )
