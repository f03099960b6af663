"""Images of persons: each is a pattern of bright cells, and every image of it has noise of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from method_cases import Case, Learning
from vipriors.challenges.schema import Invariance
from vipriors.methods.protocol import Labelled, TrainingSet
from vipriors.methods.reid._validation import retrieval


def images_of(persons: np.ndarray, seed: int, shape: tuple[int, int, int] = (12, 8, 3)) -> np.ndarray:
    height, width, channels = shape
    images = np.random.default_rng(seed).integers(0, 90, (len(persons), *shape), dtype=np.uint8)
    for image, person in zip(images, persons, strict=True):
        cells = np.random.default_rng(1000 + int(person)).integers(0, 160, (4, 2, channels), dtype=np.uint8)
        image += cells.repeat(-(-height // 4), 0).repeat(-(-width // 2), 1)[:height, :width]
    return images


def data_set(persons: int = 6, each: int = 5, shape: tuple[int, int, int] = (12, 8, 3)) -> TrainingSet:
    """`shape` is `(H, W, C)`; the held-out persons are others than those learned from."""
    train, held_out = np.arange(persons * each) % persons, np.arange(4 * 3) % 4
    return TrainingSet(
        train=Labelled(images_of(train, 0, shape), train),
        classes=("person",),
        invariance=Invariance(shift=1, rotate=5, scale=0.05),
        held_out=Labelled(images_of(held_out + 100, 1, shape), held_out),
    )


def outputs(model: Any, images: np.ndarray) -> list[np.ndarray]:
    return list(model.embeddings(images))


def sound(model: Any, images: np.ndarray, data: TrainingSet) -> None:
    found = model.embeddings(images)
    assert found.ndim == 2
    assert len(found) == len(images)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def monitored(model: Any, data: TrainingSet) -> Mapping[str, float]:
    found = retrieval(model.embeddings(data.held_out.images), data.held_out.labels)
    return {f"val_{name}": value for name, value in found.items()}


def score(model: Any, data: TrainingSet) -> float:
    """Mean average precision, less what shuffled names are given too much."""
    points, truth = model.embeddings(data.held_out.images), data.held_out.labels
    shuffled = np.random.default_rng(0).permutation(truth)
    assert retrieval(points, shuffled)["mAP"] < 0.6
    return retrieval(points, truth)["mAP"]


def built(method: Any) -> Iterator[nn.Module]:
    for shape in ((3, 48, 48), (1, 256, 128)):
        network = method.network(shape, 120).eval()
        points, logits = network(torch.empty(2, *shape))
        assert points.shape == (2, method.dimensions)
        assert logits.shape == (2, 120)
        network.neck.bias.requires_grad_()  # held at 0 on purpose
        yield network


def few(method: Any) -> Mapping[str, Any]:
    return {"batch_size": 8, "images_per_person": 2, "width": 4, "dimensions": 6}


def embedding(network: nn.Module) -> nn.Module:
    return network.embedding


def plain(method: Any) -> Mapping[str, Any]:
    return {"erase": 0.5, "label_smoothing": 0.1}


CASE = Case(
    data=data_set,
    others={"grey": {"shape": (7, 9, 1)}, "4 channels": {"shape": (70, 40, 4)}},
    outputs=outputs,
    sound=sound,
    monitored=monitored,
    built=built,
    few=few,
    learning=Learning(
        score,
        least=0.8,
        data={"persons": 20},
        changes={"steps": 80, "batch_size": 16, "width": 8, "lr": 0.05},
    ),
    everything={"erase": 0.5, "label_smoothing": 0.1, "ema": 0.9, "clip_norm": 1.0},
    varied=({"triplet": 0.0}, {"erase": 0.0}, {"label_smoothing": 0.0}, {"images_per_person": 4}),
    plain=plain,
    predicts=embedding,
    looks=embedding,
)
