"""What networks that find objects share: how images are varied, fitting with the engine, and finding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vipriors.methods._fitting import fit_network, fresh
from vipriors.methods.detection._backbone import Backbone
from vipriors.methods.detection._edges import Sees
from vipriors.methods.detection._precision import average_precision
from vipriors.methods.detection._variation import augmentation, gather
from vipriors.methods.protocol import Context, Fitted, Labelled, Objects, TrainingSet
from vipriors.priors.augment.boxes import Annotated
from vipriors.train import (
    Batches,
    Execution,
    NetworkModel,
    Recipe,
    Standardise,
    forward_flops,
    shown,
    with_weights,
)

MOST_FOUND = 100
"""Objects that are given for an image at most: as many as count."""

LOG_LINES = 20
"""Looking at the validation images is dear beside the steps of a short training."""


@dataclass(frozen=True)
class Found:
    """What is found in one image, the best first."""

    classes: Tensor
    """`(n,)` int64."""
    boxes: Tensor
    """`(n, 4)`: left, top, right, bottom in pixels."""
    scores: Tensor
    """`(n,)`."""
    masks: Tensor | None = None
    """`(n, H, W)` bool."""


@dataclass(frozen=True)
class ObjectMethod(Recipe, ABC):
    """A recipe that makes its own network, its loss, and objects of what the network says."""

    sees: Sees = "colours"
    """What is given to the network; edges are the same whatever the colours on their two sides."""
    colour: float = 0.0
    """Strength of the changes of brightness, contrast, saturation and hue; 0 changes nothing."""
    mosaic: float = 0.0
    """Probability that an image is put together of parts of four."""
    score_threshold: float = 0.01
    """Lowest score of a found object; low, because average precision rewards recall."""
    overlap: float = 0.6
    """Intersection over union from which on the worse of two boxes of a class is left out."""

    @abstractmethod
    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """A network with fresh weights and a `backbone`, for images `(B, C, H, W)` in [0, 1]."""

    @abstractmethod
    def loss(self, network: Any, images: Tensor, objects: Annotated, generator: torch.Generator) -> Tensor:
        """A batch to a scalar.

        Args:
            network: What `network` makes, perhaps compiled.
            images: `(B, C, H, W)`, varied.
            objects: Theirs.
            generator: The step's random numbers.
        """

    @abstractmethod
    def find(self, network: Any, images: Tensor) -> list[Found]:
        """What is found in each of the images `(B, C, H, W)`, at most `MOST_FOUND`."""

    def flops(self, network: nn.Module, image_shape: tuple[int, ...]) -> int:
        """Operations for one image."""
        return forward_flops(network, image_shape)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""
        return fit(self, data, context)

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> NetworkDetector:
        """Restores a network that `fit` trained."""
        return NetworkDetector(with_weights(self.network(image_shape, classes), folder), self.find, execution)


class NetworkDetector(NetworkModel):
    """Finds objects with a network."""

    def __init__(
        self,
        network: nn.Module,
        find: Callable[[Any, Tensor], list[Found]],
        execution: Execution | None = None,
    ) -> None:
        super().__init__(network, execution)
        self.find = find

    def detect(self, images: NDArray[np.uint8]) -> Iterator[Objects]:
        """What is found in each of the images `(N, H, W, C)`, with scores, in pixels of the input."""
        return detect(self.network, self.find, images, self.execution)


def detect(
    network: nn.Module,
    find: Callable[[Any, Tensor], list[Found]],
    images: NDArray[np.uint8],
    execution: Execution,
    batch_size: int = 16,
) -> Iterator[Objects]:
    """What a network, where it is to run and in evaluation mode, finds in images `(N, H, W, C)`."""
    for batch in shown(images, batch_size, execution.resolved_device()):
        with torch.inference_mode(), execution.autocast():
            found = find(network, batch)
        for one in found:
            yield Objects(
                classes=one.classes.cpu().numpy(),
                boxes=one.boxes.float().cpu().numpy(),
                masks=None if one.masks is None else one.masks.cpu().numpy(),
                scores=one.scores.float().cpu().numpy(),
            )


def fit(method: ObjectMethod, data: TrainingSet, context: Context) -> Fitted:
    """Trains a method's network with the common loop."""
    execution = context.execution or Execution()
    device = execution.resolved_device()
    network = fresh(lambda: method.network(data.image_shape, len(data.classes)), context)
    assert isinstance(network.backbone, Backbone)
    if network.backbone.sight.standardise is not None:
        network.backbone.sight.standardise = Standardise.of(data.train.images)
    vary, labels = augmentation(data.invariance, method.colour, method.mosaic), data.train.labels

    def loss(network: nn.Module, images: Tensor, indices: Tensor, generator: torch.Generator) -> Tensor:
        images, objects = vary(images, gather(labels, indices.tolist(), device), generator)
        return method.loss(network, images, objects, generator)

    held_out = data.held_out
    trained, facts = fit_network(
        method,
        network,
        Batches(
            data.train.images,
            np.arange(len(labels)),
            batch_size=method.batch_size,
            seed=context.seed,
            device=device,
        ),
        loss,
        context,
        monitor=(lambda network: validate(method, network, held_out, len(data.classes), execution))
        if held_out
        else None,
        log_lines=LOG_LINES,
        flops=lambda trained: method.flops(trained, data.image_shape),
    )
    return Fitted(NetworkDetector(trained, method.find, execution), facts)


def validate(
    method: ObjectMethod, network: nn.Module, held_out: Labelled, classes: int, execution: Execution
) -> dict[str, float]:
    """Loss and average precision on the held-out images, for the log."""
    device = execution.resolved_device()
    generator, total = torch.Generator().manual_seed(0), 0.0
    seen = 0
    for batch in shown(held_out.images, method.batch_size, device):
        objects = gather(held_out.labels, range(seen, seen + len(batch)), device)
        with execution.autocast():
            total += len(batch) * float(method.loss(network, batch, objects, generator))
        seen += len(batch)
    found = list(detect(network, method.find, held_out.images, execution))
    precision = average_precision(found, held_out.labels, classes)
    return {"val_loss": total / len(held_out.images)} | ({} if precision is None else {"val_AP": precision})
