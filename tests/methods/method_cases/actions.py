"""Clips of a bright bar that stays, moves right or moves left."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from method_cases import Case, Learning, _classes
from vipriors.challenges.schema import Invariance
from vipriors.methods.protocol import Labelled, TrainingSet

SHAPES = {"grey": (1, 6, 12, 10), "colour": (3, 5, 9, 12), "one frame": (3, 1, 8, 8), "tiny": (2, 3, 1, 2)}


def moving(labels: np.ndarray, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A bright bar on noise that stays (0), moves right (1) or moves left (2), from anywhere."""
    rng = np.random.default_rng(seed)
    channels, frames, height, width = shape
    clips = rng.integers(0, 80, (len(labels), frames, height, width, channels), dtype=np.uint8)
    for clip, label in zip(clips, labels, strict=True):
        start = rng.integers(width)
        for number, frame in enumerate(clip):
            frame[:, (start + (0, 1, -1)[label] * number) % width] += 150
    return clips


def data_set(shape: tuple[int, ...] = SHAPES["colour"], each: int = 4) -> TrainingSet:
    train, held_out = np.arange(3 * each) % 3, np.arange(3 * 5) % 3
    return TrainingSet(
        train=Labelled(moving(train, shape, 0), train),
        classes=("stay", "right", "left"),
        invariance=Invariance(shift=1, scale=0.05),
        held_out=Labelled(moving(held_out, shape, 1), held_out),
    )


def built(method: Any) -> Iterator[nn.Module]:
    for shape in ((1, 16, 48, 48), (3, 16, 112, 112), (3, 5, 70, 90)):
        network = method.network(method.seen(shape), 7).eval()
        assert network(torch.empty(2, *method.seen(shape))).shape == (2, 7)
        yield network


def network_of(method: Any, data: TrainingSet) -> nn.Module:
    return method.network(method.seen(data.image_shape), len(data.classes))


def few(method: Any) -> Mapping[str, Any]:
    return {"batch_size": 6, "width": 4, "frames": 3}


CASE = Case(
    data=data_set,
    others={name: {"shape": SHAPES[name]} for name in ("grey", "one frame", "tiny")},
    outputs=_classes.outputs,
    sound=_classes.sound,
    monitored=_classes.monitored,
    built=built,
    few=few,
    learning=Learning(
        _classes.accuracy,
        least=0.8,
        # The bar may be anywhere in every frame, so that only its way tells.
        data={"shape": (1, 6, 8, 12), "each": 12},
        changes={"steps": 120, "lr": 0.1, "batch_size": 12, "width": 8, "frames": 4},
        blind=("class-prior", "frame-nearest-neighbour"),
    ),
    everything={
        "strides": (1, 2),
        "crop": 0.5,
        "jitter": 0.4,
        "dropout": 0.3,
        "label_smoothing": 0.1,
        "ema": 0.9,
    },
    varied=({"crop": 0.5}, {"jitter": 0.4}, {"strides": (1, 2)}, {"label_smoothing": 0.1}),
    network=network_of,
    most={"tiny": 1e6, "small": 1e7, "full": 1e8},
)
