"""Clouds of a pole, a plate and a ball, turned by any yaw."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from method_cases import Case, Learning, _classes
from vipriors.challenges.schema import Invariance
from vipriors.methods.protocol import Labelled, TrainingSet
from vipriors.priors.augment.points import turn


def shapes(labels: np.ndarray, points: int, seed: int) -> np.ndarray:
    """Points of a pole (0), a plate (1) and a ball (2)."""
    rng = np.random.default_rng(seed)
    ball = rng.normal(size=(len(labels), points, 3))
    ball /= np.linalg.norm(ball, axis=2, keepdims=True)
    stretch = np.array([(0.15, 0.15, 1), (1, 0.7, 0.1), (0.7, 0.7, 0.7)])[labels]
    clouds = torch.from_numpy(ball * stretch[:, None] + 0.1)
    return turn(clouds, torch.from_numpy(rng.uniform(0, 6, len(labels)))).float().numpy()


def data_set(points: int = 40, each: int = 4) -> TrainingSet:
    train, held_out = np.arange(3 * each) % 3, np.arange(15) % 3
    return TrainingSet(
        train=Labelled(shapes(train, points, 0), train),
        classes=("pole", "plate", "ball"),
        invariance=Invariance(rotate=180, scale=0.05),
        held_out=Labelled(shapes(held_out, points, 1), held_out),
    )


def built(method: Any) -> Iterator[nn.Module]:
    network = method.network((3, 256), 7).eval()
    for points in (1, 33, 256):
        assert network(torch.empty(2, 3, points)).shape == (2, 7)
    yield network


def few(method: Any) -> Mapping[str, Any]:
    return {"batch_size": 6, "widths": (8, 16), "hidden": (8,), "points": 24}


def plain(method: Any) -> Mapping[str, Any]:
    return {"dropout": 0.0}


CASE = Case(
    data=data_set,
    others={"one point": {"points": 1}, "24 points": {"points": 24}},
    outputs=_classes.outputs,
    sound=_classes.sound,
    monitored=_classes.monitored,
    built=built,
    few=few,
    learning=Learning(
        _classes.accuracy,
        least=0.85,
        data={"each": 8},
        changes={"steps": 60, "lr": 0.02, "batch_size": 12},
        invariance=Invariance(rotate=180, scale=0.05),
        blind=("cloud-prior",),
    ),
    everything={"jitter": 0.02, "label_smoothing": 0.1, "ema": 0.9, "dropout": 0.5},
    varied=({"jitter": 0.02}, {"label_smoothing": 0.1}, {"dropout": 0.5}, {"points": 20}),
    plain=plain,
    invariances=(Invariance(), Invariance(flip=True), Invariance(rotate=10), Invariance(scale=0.1)),
)
