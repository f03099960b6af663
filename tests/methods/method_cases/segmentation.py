"""Images of bright and dark squares on noise; a row has no labels."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.metrics import jaccard_score
from torch import nn
from torch.nn import functional

from method_cases import Case, Learning
from vipriors.challenges.schema import Invariance
from vipriors.methods.protocol import IGNORED, Labelled, TrainingSet
from vipriors.methods.segmentation._iou import mean_iou
from vipriors.methods.segmentation._loss import resized

SHAPES = {"grey": (1, 16, 24), "colour": (3, 24, 16), "13 channels": (13, 15, 17)}
CLASSES = ("nothing", "bright", "dark")


def labelled(count: int, shape: tuple[int, int, int], seed: int) -> Labelled:
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    images = rng.integers(100, 156, (count, height, width, channels), dtype=np.uint8)
    maps = np.zeros((count, height, width), np.uint8)
    for image, map_ in zip(images, maps, strict=True):
        for class_, change in ((1, 90), (2, -90)):
            row, column = rng.integers(0, height - 7), rng.integers(0, width - 7)
            map_[row : row + 7, column : column + 7] = class_
            image[map_ == class_] = (image[map_ == class_].astype(int) + change).clip(0, 255)
    maps[:, -1] = IGNORED
    return Labelled(images, maps)


def data_set(shape: tuple[int, int, int] = SHAPES["colour"], count: int = 10) -> TrainingSet:
    invariance = Invariance(flip=True, shift=1, rotate=5, scale=0.05)
    return TrainingSet(labelled(count, shape, 0), CLASSES, invariance, labelled(4, shape, 1))


def maps_of(model: Any, images: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    return np.stack(list(model.maps(images, [size or images.shape[1:3]] * len(images))))


def outputs(model: Any, images: np.ndarray) -> list[np.ndarray]:
    """Maps at the images' own size, a larger and a smaller one."""
    sizes = (images.shape[1:3], (31, 50), (5, 4))
    maps = [maps_of(model, images, size).reshape(len(images), -1) for size in sizes]
    return list(np.concatenate(maps, axis=1))


def sound(model: Any, images: np.ndarray, data: TrainingSet) -> None:
    for size in (images.shape[1:3], (31, 50), (5, 4)):
        found = maps_of(model, images, size)
        assert found.shape == (len(images), *size)
        assert found.dtype == np.uint8
        assert found.max() < len(data.classes)


def monitored(model: Any, data: TrainingSet) -> Mapping[str, float]:
    truth, found = data.held_out.labels, maps_of(model, data.held_out.images)
    counts = truth != IGNORED
    occurring = sorted(set(truth[counts]) | set(found[counts]))
    iou = jaccard_score(truth[counts], found[counts], average="macro", labels=occurring)
    logits = resized(model.logits(data.held_out.images), truth.shape[1:])
    loss = functional.cross_entropy(logits, torch.from_numpy(truth).long(), ignore_index=IGNORED)
    return {"val_iou_class": iou, "val_loss": loss.item()}


def score(model: Any, data: TrainingSet) -> float:
    found = maps_of(model, data.held_out.images)
    return mean_iou(zip(data.held_out.labels, found, strict=True), CLASSES)


def built(method: Any) -> Iterator[nn.Module]:
    for shape in ((3, 96, 96), (1, 181, 243)):
        network = method.network(shape, 7).eval()
        logits = network(torch.empty(2, *shape))
        scale = shape[1] / logits.shape[2]
        assert logits.shape[:2] == (2, 7)
        assert scale < 2.01
        assert math.isclose(scale, shape[2] / logits.shape[3], rel_tol=0.02)
        yield network


def few(method: Any) -> Mapping[str, Any]:
    return {"batch_size": 4, "width": 4}


def nearly_all_pixels(one: np.ndarray, other: np.ndarray) -> bool:
    return (one == other).mean() > 0.99


def plain(method: Any) -> Mapping[str, Any]:
    return {"scale": 0.0, "crop": 1.0, "jitter": 0.0, "invert": 0.0, "mix": "none", "class_balance": 0.0}


CASE = Case(
    data=data_set,
    others={name: {"shape": SHAPES[name]} for name in ("grey", "13 channels")},
    outputs=outputs,
    sound=sound,
    monitored=monitored,
    built=built,
    few=few,
    learning=Learning(
        score,
        least=0.7,
        data={"count": 16},
        changes={"steps": 150, "width": 8, "batch_size": 8},
        blind=("majority-class",),
    ),
    everything={
        "scale": 0.4,
        "bend": 3.0,
        "crop": 0.7,
        "jitter": 0.3,
        "invert": 0.5,
        "mix": "classmix",
        "class_balance": 0.5,
        "label_smoothing": 0.1,
        "ema": 0.9,
        "clip_norm": 1.0,
    },
    varied=(
        {"scale": 0.3},
        {"bend": 3.0},
        {"crop": 0.7},
        {"jitter": 0.3},
        {"invert": 0.5},
        {"mix": "classmix"},
        {"mix": "cutmix"},
        {"mix": "cutmix", "mix_share": 0.9},
        {"class_balance": 0.5},
        {"label_smoothing": 0.1},
    ),
    plain=plain,
    invariances=(
        Invariance(),
        Invariance(flip=True),
        Invariance(shift=2),
        Invariance(rotate=10),
        Invariance(scale=0.1),
    ),
    most={"tiny": 2e6, "small": 2e7, "full": 1e8},
    alike=nearly_all_pixels,
)
