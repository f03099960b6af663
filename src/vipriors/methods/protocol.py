"""What a method is: hyper-parameters that can be fitted to training data.

A method is one file: a frozen dataclass of hyper-parameters whose `fit` trains on a `TrainingSet` and
returns something that predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vipriors.challenges.schema import Invariance

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Labelled:
    """Images with their labels."""

    images: NDArray[np.uint8]
    """`(N, H, W, C)`, decoded, at the challenge's input size; perhaps memory-mapped."""
    labels: NDArray[np.int64]
    """`(N,)`"""


@dataclass(frozen=True)
class TrainingSet:
    """All that a method may learn from."""

    train: Labelled
    """What is fitted to."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""
    invariance: Invariance = field(default_factory=Invariance)
    held_out: Labelled | None = None
    """Validation images that a method may choose by but never fit to. None: fit with what is set."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(C, H, W)`"""
        _, height, width, channels = self.train.images.shape
        return channels, height, width


@dataclass(frozen=True)
class Context:
    """The circumstances of one fit."""

    seed: int = 0
    folder: Path | None = None
    """Where logs and checkpoints go."""
    resume: bool = False
    execution: Any = None
    """A `vipriors.train.Execution`; typed loosely so that methods without a network need no torch."""
    progress: Progress | None = None


class Classifier(Protocol):
    """A fitted method that tells images apart."""

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities `(N, K)` of images `(N, H, W, C)`."""

    def save(self, folder: Path) -> None:
        """Stores what `Method.load` needs."""


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves: the classifier, and facts worth recording (weights' hashes, parameters, FLOPs)."""

    classifier: Classifier
    facts: dict[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """The hyper-parameters of a classification method."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Values of `tiny`, `small` and `full`, over the defaults."""

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""

    def load(
        self, folder: Path, image_shape: tuple[int, int, int], classes: int, execution: Any
    ) -> Classifier:
        """Restores the classifier that a fit saved in `folder`, for images `(C, H, W)`."""


@runtime_checkable
class SelfTuning(Protocol):
    """A method quick enough to search its own hyper-parameters at the start of every run."""

    def tuned(self, data: TrainingSet) -> Method:
        """The same method with the values that did best on `data.held_out`, which is there."""
