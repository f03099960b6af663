"""Maps of floors to plan on; to learn from, maps on which each node sees every other."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from method_cases import Case, Learning
from vipriors.challenges.schema import Invariance
from vipriors.data.maps import GOAL, LINKS, START, Maps
from vipriors.methods.planning._network import NeuralPlanner
from vipriors.methods.planning._planning import next_hops
from vipriors.methods.protocol import Labelled, TrainingSet
from vipriors.worlds.maps import floor


def floors(nodes: int, split: str, count: int) -> Labelled:
    found = [floor(f"maps/{nodes}/{split}/{number}") for number in range(count)]
    return Labelled(np.stack([one.map for one in found]), np.stack([one.links for one in found]))


def open_floors(count: int, seed: int) -> Labelled:
    """Three nodes without walls: wherever one stands, the goal is the next."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((count, 3, LINKS + 3 + 2), np.float32)
    maps[..., :2] = rng.uniform(0, 3, (count, 3, 2))
    maps[..., LINKS : LINKS + 3] = 0.9
    maps[:, range(3), range(LINKS, LINKS + 3)] = 1
    maps[..., LINKS + 3 :] = rng.uniform(0, 1, (count, 3, 2))
    for one in maps:
        start, goal = rng.permutation(3)[:2]
        one[start, START] = one[goal, GOAL] = 1
    return Labelled(maps, np.tile(~np.eye(3, dtype=bool), (count, 1, 1)))


def data_set(nodes: int = 10, walls: bool = True) -> TrainingSet:
    if not walls:
        return TrainingSet(open_floors(64, 0), ("goal",), held_out=open_floors(40, 1))
    return TrainingSet(floors(nodes, "train", 12), ("goal",), held_out=floors(nodes, "test", 6))


def outputs(model: Any, images: np.ndarray) -> list[np.ndarray]:
    """The next node from each."""
    nodes = images.shape[1]
    return list(np.stack([model.next_nodes(images, np.full(len(images), k)) for k in range(nodes)], 1))


def sound(model: Any, images: np.ndarray, data: TrainingSet) -> None:
    for one in outputs(model, images):
        assert one.shape == images.shape[1:2]
        assert one.dtype == np.int64
        assert (one >= 0).all() and (one < images.shape[1]).all()


def score(model: Any, data: TrainingSet) -> float:
    """Share of the right next nodes."""
    images = data.held_out.images
    goals = Maps.of(images).goal
    hops = next_hops(images, data.held_out.labels)[np.arange(len(images)), :, goals]
    asked = np.arange(images.shape[1]) != goals[:, None]
    return float((np.stack(outputs(model, images)) == hops)[asked].mean())


def monitored(model: Any, data: TrainingSet) -> Mapping[str, float]:
    if not isinstance(model, NeuralPlanner):
        return {}
    return {"val_next_node": score(NeuralPlanner(model.network, False, model.execution), data)}


def built(method: Any) -> Iterator[nn.Module]:
    network = method.network((60, 32), 1).eval()
    assert network(torch.empty(2, 60, 32)).shape == (2, 32, 32)
    yield network


def few(method: Any) -> Mapping[str, Any]:
    narrow = {"width": 16, "relaxations": 1} if hasattr(method, "relaxations") else {"hidden": (8,)}
    return {"batch_size": 6, **narrow}


CASE = Case(
    data=data_set,
    others={"16 nodes": {"nodes": 16}},
    outputs=outputs,
    sound=sound,
    monitored=monitored,
    built=built,
    few=few,
    learning=Learning(
        score,
        least=0.85,
        data={"walls": False},
        changes={"steps": 150, "lr": 0.01, "batch_size": 32},
    ),
    everything={"label_smoothing": 0.1, "ema": 0.9},
    varied=({"label_smoothing": 0.1}, {"lr": 0.02}),
    invariances=(Invariance(),),
)
