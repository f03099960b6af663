"""What the networks of this family share: how clouds are brought to scale and varied, and fitting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods._fitting import fit_network, fresh
from vipriors.methods.classification._network import validate
from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.priors.augment.mix import one_hot
from vipriors.priors.augment.points import VaryClouds, chosen
from vipriors.train import Batches, Execution, NetworkClassifier, Recipe, forward_flops, require, with_weights


@dataclass(frozen=True)
class Mix:
    """What is done to the features of points before one of the layers, in training."""

    layer: int
    change: Callable[[Tensor], Tensor]
    """`(B, N, C)` to the same shape."""


class PointNetwork(nn.Module):
    """Layers that look at each point alone, the largest value of each feature over the points, and a head.

    Args:
        layers: Of the points, `(B, C, N)` to `(B, C', N)`, the first from 3 coordinates.
        head: From `(B, C')` to logits `(B, K)`.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, layers: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.head = head
        # Buffers, so that they travel with the weights.
        self.register_buffer("centre", torch.zeros(3))
        self.register_buffer("scale", torch.ones(()))

    def standardise(self, clouds: NDArray[np.float32]) -> None:
        """Takes the middle of training clouds `(N, P, 3)` as origin and their deviation from it as unit."""
        points = torch.from_numpy(np.asarray(clouds, np.float64)).reshape(-1, 3)
        self.centre.copy_(points.mean(0))
        spread = (points - points.mean(0)).square().mean().sqrt()
        self.scale.copy_(spread if spread > 1e-9 else torch.ones(()))

    def forward(self, clouds: Tensor, mix: Mix | None = None) -> Tensor:
        """Clouds `(B, 3, N)` to logits `(B, K)`; `mix` changes what comes before one of the layers."""
        x = (clouds - self.centre[:, None]) / self.scale
        for number, layer in enumerate(self.layers):
            if mix is not None and number == mix.layer:
                x = mix.change(x.transpose(1, 2)).transpose(1, 2)
            x = layer(x)
        logits: Tensor = self.head(x.amax(2))
        return logits


@dataclass(frozen=True)
class PointMethod(Recipe, ABC):
    """A recipe that makes its own network of clouds, and its own loss where that is not cross-entropy."""

    points: int = 128
    """Of each cloud a step sees so many, drawn anew; all are seen in prediction."""
    jitter: float = 0.0
    """Standard deviation of noise on training points, in the clouds' own units."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, points=(self.points >= 1, "1 or more"))
        VaryClouds(jitter=self.jitter)

    @abstractmethod
    def network(self, image_shape: tuple[int, ...], classes: int) -> PointNetwork:
        """A network with fresh weights: clouds `(B, 3, N)` to logits `(B, classes)`."""

    def prepared(self, clouds: NDArray[np.float32]) -> NDArray[np.float32]:
        """Training clouds `(N, P, 3)` as they are learned from: as they are, unless a method turns them."""
        return clouds

    def loss(
        self,
        network: nn.Module,
        clouds: Tensor,
        targets: Tensor,
        vary: VaryClouds,
        generator: torch.Generator,
    ) -> Tensor:
        """A batch to a scalar: cross-entropy of varied clouds, unless a method has its own.

        Args:
            network: In training mode.
            clouds: `(B, N, 3)`.
            targets: `(B, K)`, probabilities.
            vary: What leaves a label as it is.
            generator: The step's random numbers.
        """
        logits = network(vary(clouds, generator).transpose(1, 2))
        return functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""
        execution, classes = context.execution or Execution(), len(data.classes)

        def make() -> PointNetwork:
            network = self.network(data.image_shape, classes)
            network.standardise(data.train.images)
            return network

        known = data.invariance
        vary = VaryClouds(known.flip, known.rotate, known.scale, self.jitter)

        def loss(network: nn.Module, clouds: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
            seen = chosen(clouds.transpose(1, 2), self.points, generator)
            return self.loss(network, seen, one_hot(labels, classes), vary, generator)

        held_out = data.held_out
        trained, facts = fit_network(
            self,
            fresh(make, context),
            Batches(
                self.prepared(data.train.images),
                data.train.labels,
                batch_size=self.batch_size,
                seed=context.seed,
                device=execution.resolved_device(),
            ),
            loss,
            context,
            monitor=(lambda network: validate(network, held_out, execution)) if held_out else None,
            flops=lambda network: forward_flops(network, data.image_shape),
        )
        return Fitted(NetworkClassifier(trained, execution), facts)

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> NetworkClassifier:
        """Restores a network that `fit` trained."""
        return NetworkClassifier(with_weights(self.network(image_shape, classes), folder), execution)
