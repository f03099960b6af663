"""What a method is: hyper-parameters that can be fitted to training data.

A method is one file: a frozen dataclass of hyper-parameters whose `fit` trains on a `TrainingSet` and
returns something that predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vipriors.challenges.schema import Invariance

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Labelled:
    """Images, clips, clouds or maps with their labels.

    Labels by task: classification, points, actions and reid (the person) int64 `(N,)`, all 0 for generation;
    segmentation uint8 `(N, sH, sW)` with positions in `classes`, or `IGNORED`, where s is 1 unless the
    challenge's `input.map_scale` is another; detection and instances one `Objects` for each image; planning
    bool `(N, P, P)`, the true links of each map.
    """

    images: NDArray[Any]
    """`(N, H, W, C)`, clips `(N, T, H, W, C)`, both uint8; clouds and maps `(N, P, C)`, float32. Decoded, at
    the challenge's input size, perhaps mapped."""
    labels: Any


IGNORED = 255
"""In a label map: a pixel without a class."""


@dataclass(frozen=True)
class Objects:
    """Objects in one image: annotated ones, or with `scores` found ones."""

    classes: NDArray[np.int64]
    """`(n,)`, positions in the training set's `classes`."""
    boxes: NDArray[np.float32]
    """`(n, 4)`: left, top, right, bottom in pixels of the input."""
    masks: NDArray[np.bool_] | None = None
    """`(n, H, W)` at the input size; None where the task has none."""
    scores: NDArray[np.float32] | None = None
    """`(n,)`, of found objects, the highest first."""
    crowds: NDArray[np.bool_] | None = None
    """`(n,)`, of annotated objects: whether it is a crowd, which is neither to be found nor background."""


@dataclass(frozen=True)
class TrainingSet:
    """All that a method may learn from."""

    train: Labelled
    """What is fitted to."""
    classes: tuple[str, ...]
    """Names of the classes, by label. For reid it is not used: persons are counted by their labels."""
    invariance: Invariance = field(default_factory=Invariance)
    held_out: Labelled | None = None
    """Validation images that a method may choose by but never fit to. None: fit with what is set."""
    unlabelled: NDArray[np.uint8] | None = None
    """Images `(N, H, W, C)` without labels that may be learned from too. None: there are none."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(C, H, W)`, of clips `(C, T, H, W)`, of clouds and maps `(C, P)`."""
        _, *sides, channels = self.train.images.shape
        return (channels, *sides)


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


class Model(Protocol):
    """A fitted method; what it can do besides depends on its task."""

    def save(self, folder: Path) -> None:
        """Stores what `Method.load` needs."""


class Classifier(Model, Protocol):
    """Tells images, clips or clouds apart: tasks classification, actions and points."""

    def probabilities(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Class probabilities `(N, K)` of images, clips or clouds, as in `Labelled`."""


class Segmenter(Model, Protocol):
    """Gives every pixel a class."""

    def maps(
        self, images: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[NDArray[np.uint8]]:
        """Positions of classes `(h, w)` for each of the images `(N, H, W, C)`, at the sizes asked for."""


class Detector(Model, Protocol):
    """Finds objects, with masks for the task instances."""

    def detect(self, images: NDArray[np.uint8]) -> Iterator[Objects]:
        """What is found in each of the images `(N, H, W, C)`, with scores, in pixels of the input."""


class Embedder(Model, Protocol):
    """Places images so that those of one person are close."""

    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Points `(N, D)` of images `(N, H, W, C)`, to be compared by Euclidean distance."""


class Planner(Model, Protocol):
    """Says where to go next on maps with missing and with false links."""

    def next_nodes(self, maps: NDArray[np.float32], here: NDArray[np.int64]) -> NDArray[np.int64]:
        """The nodes `(B,)` to try next on maps `(B, N, C)`, standing at `here`, `(B,)`.

        Maps are as `vipriors.data.maps` has them; a link that proved false has probability 0.
        """


class Generator(Model, Protocol):
    """Makes images: new ones, and others from the few numbers that it describes them by.

    What is random depends on the fit's seed alone, so that the same model always makes the same images.
    """

    def generate(self, count: int) -> NDArray[np.uint8]:
        """New images `(count, H, W, C)`."""

    def reconstruct(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the model makes of images `(N, H, W, C)`."""

    def interpolate(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], steps: int
    ) -> NDArray[np.uint8]:
        """Images from `(N, H, W, C)` to others, `(N, steps, H, W, C)`; reconstructions at the ends."""


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves: the model, and facts worth recording (weights' hashes, parameters, FLOPs)."""

    model: Any
    """A `Classifier`, `Segmenter`, `Detector`, `Embedder`, `Planner` or `Generator`, as the task asks."""
    facts: dict[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """The hyper-parameters of a method."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Values of `tiny`, `small` and `full`, over the defaults."""

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Any:
        """Restores the model that a fit saved in `folder`, for `TrainingSet.image_shape` and K classes."""


@runtime_checkable
class SelfTuning(Protocol):
    """A method quick enough to search its own hyper-parameters at the start of every run."""

    def tuned(self, data: TrainingSet) -> Method:
        """The same method with the values that did best on `data.held_out`, which is there."""
