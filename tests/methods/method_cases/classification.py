"""Images of a bright spot on noise; where it is, is the class."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from method_cases import Case, Learning, _classes
from vipriors.challenges.schema import Invariance
from vipriors.methods.protocol import Labelled, TrainingSet

FINE_TUNED = {"evaluation": "fine-tune", "tune_steps": 0, "tune_lr": 0.05}
SHAPES = {"grey": (1, 8, 8), "colour": (3, 12, 8), "13 channels": (13, 7, 9)}


def images_of(labels: np.ndarray, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    images = rng.integers(0, 100, (len(labels), height, width, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 1 : 2 * label + 3, 2:5] += 150
    return images


def data_set(shape: tuple[int, int, int] = SHAPES["colour"], classes: int = 3, each: int = 6) -> TrainingSet:
    train, held_out = np.arange(classes * each) % classes, np.arange(classes * 4) % classes
    return TrainingSet(
        train=Labelled(images_of(train, shape, 0), train),
        classes=tuple("abcdefgh"[:classes]),
        invariance=Invariance(shift=1, rotate=5, scale=0.05),
        held_out=Labelled(images_of(held_out, shape, 1), held_out),
    )


def built(method: Any) -> Iterator[nn.Module]:
    for shape in ((3, 32, 32), (1, 224, 160)):
        network = method.network(shape, 7).eval()
        assert network(torch.empty(2, *shape)).shape == (2, 7)
        yield network


def few(method: Any) -> Mapping[str, Any]:
    return {"batch_size": 8} | ({"stages": 2, "width": 8} if hasattr(method, "stages") else {})


CASE = Case(
    data=data_set,
    others={
        "grey, two classes": {"shape": SHAPES["grey"], "classes": 2},
        "13 channels": {"shape": SHAPES["13 channels"]},
    },
    outputs=_classes.outputs,
    sound=_classes.sound,
    monitored=_classes.monitored,
    built=built,
    few=few,
    learning=Learning(
        _classes.accuracy,
        least=0.7,
        data={"shape": SHAPES["grey"], "each": 12},
        changes={"steps": 60, "lr": 0.05, "batch_size": 12},
        narrow=False,
    ),
    everything={
        "policy": "trivial",
        "cutout": 3,
        "mixup": 0.3,
        "label_smoothing": 0.1,
        "ema": 0.9,
        "clip_norm": 1.0,
    },
    varied=({"policy": "trivial"}, {"cutout": 3}, {"mixup": 0.3}, {"cutmix": 0.3}, {"label_smoothing": 0.1}),
    special={
        "strong-wide": {"rates": 2, "decays": 1},
        # A probe has no use for much of what is varied, and contrast with a queue becomes harder before it
        # becomes easier, the first negatives being noise.
        "moco": FINE_TUNED,
        "end-to-end-contrast": FINE_TUNED,
    },
)


def few_labels(few: int, many: int) -> TrainingSet:
    """`few` labelled images of three classes and `many` without labels: a bright spot says the class."""

    def images(count: int, seed: int) -> np.ndarray:
        return spots(np.arange(count) % 3, seed)

    return TrainingSet(
        train=Labelled(images(few, 0), np.arange(few) % 3),
        classes=("a", "b", "c"),
        invariance=Invariance(shift=1),
        unlabelled=images(many, 1),
    )


def spots(labels: np.ndarray, seed: int) -> np.ndarray:
    """A bright spot on noise; how far down it is, is the class."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 90, (len(labels), 8, 8, 1), dtype=np.uint8)
    for image, label in zip(found, labels, strict=True):
        image[2 * label + 1 : 2 * label + 3, 2:6] += 150
    return found
