"""What the battery over all methods has to know of a task: a module of this folder for each, with its `CASE`.

A new method needs nothing here; a method of a new task, a module with data that it learns in seconds.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure, listing, listings, load
from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.train import Execution, Recipe

NAMES = [one.name for one in listings()]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]
FLOORS = [name for name in NAMES if name not in NETWORKS]
CPU = Execution("cpu")
STEPS = 6
"""Of a fit that is only to be there."""


def same_numbers(one: np.ndarray, other: np.ndarray) -> bool:
    return np.allclose(one, other, atol=1e-5)


def network_of(method: Any, data: TrainingSet) -> nn.Module:
    return method.network(data.image_shape, len(data.classes))


def nothing(method: Any) -> Mapping[str, Any]:
    return {}


def extremes(images: np.ndarray) -> list[np.ndarray]:
    """Images of one colour, of stripes and of noise; clouds of one place, and far off."""
    if images.dtype != np.uint8:
        return [np.zeros_like(images), np.full_like(images, 7)]
    stripes = np.zeros_like(images)
    stripes[..., ::2, :] = 255
    noise = np.random.default_rng(0).integers(0, 2, images.shape, np.uint8) * np.uint8(255)
    return [np.zeros_like(images), np.full_like(images, 255), stripes, noise]


def all_of(network: nn.Module) -> nn.Module:
    return network


@dataclass(frozen=True)
class Learning:
    """A fit that a method must learn by."""

    score: Callable[[Any, TrainingSet], float]
    """Of a model, on the held-out part of what it learned."""
    least: float
    data: Mapping[str, Any]
    """For `Case.data`."""
    changes: Mapping[str, Any]
    """Of a network's hyper-parameters."""
    narrow: bool = True
    """Whether networks are made narrow, as for the other checks."""
    invariance: Invariance = field(default_factory=Invariance)
    blind: tuple[str, ...] = ()
    """Floors that cannot learn this."""


@dataclass(frozen=True)
class Case:
    """A task in its smallest form."""

    data: Callable[..., TrainingSet]
    """Without arguments the usual training set; it has held-out data."""
    others: Mapping[str, Mapping[str, Any]]
    """Arguments of `data` for images of other shapes."""
    outputs: Callable[[Any, np.ndarray], list[np.ndarray]]
    """What a model says of images: an array for each."""
    sound: Callable[[Any, np.ndarray, TrainingSet], None]
    """Asserts that what a model says of images is of the right kind, and finite."""
    monitored: Callable[[Any, TrainingSet], Mapping[str, float]]
    """What a log says of the held-out data, computed otherwise."""
    built: Callable[[Any], Iterator[nn.Module]]
    """A method's networks for images of realistic sizes; asserts the shape of what they give."""
    learning: Learning
    few: Callable[[Any], Mapping[str, Any]]
    """Hyper-parameters that make a network's fit quick."""
    everything: Mapping[str, Any]
    """All that draws random numbers, or keeps something from step to step, turned on."""
    varied: tuple[Mapping[str, Any], ...]
    """Changes each of which makes another network."""
    plain: Callable[[Any], Mapping[str, Any]] = nothing
    """Of a method: what `varied` starts from."""
    extremes: Callable[[np.ndarray], list[np.ndarray]] = extremes
    """Images that differ from the given ones as far as can be."""
    invariances: tuple[Invariance, ...] = (
        Invariance(),
        Invariance(flip=True),
        Invariance(shift=1),
        Invariance(rotate=10),
        Invariance(scale=0.1),
    )
    most: Mapping[str, float] = field(default_factory=lambda: {"tiny": 2e6, "small": 3e7, "full": 2e8})
    """Parameters by preset."""
    network: Callable[[Any, TrainingSet], nn.Module] = network_of
    """The network that a method trains on a training set."""
    predicts: Callable[[nn.Module], nn.Module] = all_of
    """The part of a network whose parameters a fit reports."""
    looks: Callable[[nn.Module], nn.Module] = all_of
    """The part that sees whole images: each of its weights is used more than once."""
    alike: Callable[[np.ndarray, np.ndarray], bool] = same_numbers
    """Whether outputs for an image alone and among others are the same but for rounding."""
    special: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Methods that would otherwise do something many times in every fit."""


def case_of(name: str) -> Case:
    """The case of a method, by its task."""
    case: Case = import_module(f"{__name__}.{listing(name).family}").CASE
    return case


def made(name: str, narrow: bool, **changes: Any) -> Any:
    """A method at its tiny preset; a network narrow, if it is to be."""
    case, method = case_of(name), configure(name, "tiny", {})
    few = dict(case.few(method)) if narrow and name in NETWORKS else {}
    return dataclasses.replace(method, **few | dict(case.special.get(name, {})) | changes)


def small(name: str, steps: int = STEPS, **changes: Any) -> Any:
    """A narrow method, for a few steps."""
    return made(name, True, **({"steps": steps} if name in NETWORKS else {}) | changes)


def fitted(
    name: str,
    data: TrainingSet | None = None,
    folder: Path | None = None,
    seed: int = 0,
    steps: int = STEPS,
    **changes: Any,
) -> Fitted:
    """A small method, fitted to the usual data of its task."""
    context = Context(seed=seed, folder=folder, execution=CPU)
    return small(name, steps, **changes).fit(data or case_of(name).data(), context)
