"""Pictures of a bright column on dark noise, or of a dark one on bright."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from method_cases import Case, Learning
from vipriors.methods.protocol import Labelled, TrainingSet

SHAPES = {"grey": (5, 4, 1), "colour": (3, 4, 3), "one pixel": (1, 1, 1)}


def pictures(count: int, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """A blank image and a full one among them."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 60, (count, *shape))
    found[np.arange(count), :, rng.integers(shape[1], size=count)] += 180
    found[::3] = 255 - found[::3]
    found[0], found[-1] = 0, 255
    return found.astype(np.uint8)


def data_set(shape: str = "grey", count: int = 24) -> TrainingSet:
    parts = [pictures(n, SHAPES[shape], seed) for n, seed in ((count, 0), (10, 1))]
    train, held_out = (Labelled(images, np.zeros(len(images), np.int64)) for images in parts)
    return TrainingSet(train=train, classes=tuple("ab"), held_out=held_out)


def outputs(model: Any, images: np.ndarray) -> list[np.ndarray]:
    """Each one's reconstruction, behind the first images that are generated."""
    new = model.generate(3)
    return [np.concatenate([new, found[None]]) for found in model.reconstruct(images)]


def sound(model: Any, images: np.ndarray, data: TrainingSet) -> None:
    for found in (model.generate(len(images)), model.reconstruct(images)):
        assert found.shape == images.shape
        assert found.dtype == np.uint8
    between = model.interpolate(images[:2], images[2:4], 3)
    assert between.shape == (2, 3, *images.shape[1:])
    assert between.dtype == np.uint8
    for place, ends in ((0, images[:2]), (2, images[2:4])):
        assert nearly(between[:, place], model.reconstruct(ends))
    assert np.array_equal(model.generate(7), model.generate(7))


def monitored(model: Any, data: TrainingSet) -> Mapping[str, float]:
    return {}


def network_of(method: Any, data: TrainingSet) -> nn.Module:
    return method.network(data.image_shape)


def built(method: Any) -> Iterator[nn.Module]:
    network = method.network((3, 16, 12)).eval()
    assert network(torch.empty(2, 3, 16, 12)).shape == (2, 3, 16, 12)
    yield network


def few(method: Any) -> Mapping[str, Any]:
    return {"batch_size": 8, "width": 12, "latent": 5}


def nearly(one: np.ndarray, other: np.ndarray) -> bool:
    return np.abs(one.astype(int) - other).max() <= 1


CASE = Case(
    data=data_set,
    others={name: {"shape": name} for name in ("colour", "one pixel")},
    outputs=outputs,
    sound=sound,
    monitored=monitored,
    built=built,
    network=network_of,
    few=few,
    # What each learns is asked of it by its own tests: their losses do not fall alike.
    learning=Learning(lambda model, data: 1.0, least=0.0, data={}, changes={"steps": 30}),
    everything={"ema": 0.9, "clip_norm": 1.0},
    varied=(),
    invariances=(),
    alike=nearly,
    looks=lambda network: nn.Identity(),  # all layers are dense: each weight is used once
)
