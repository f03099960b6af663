"""What the networks of this family share: how their images are varied, and fitting with the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods._fitting import fit_network, fresh, parameters
from vipriors.methods.protocol import Context, Fitted, Labelled, TrainingSet
from vipriors.priors.augment import Compose, CutMix, Cutout, MixUp, TrivialAugment, one_hot
from vipriors.priors.augment.invariance import allowed
from vipriors.train import (
    Batches,
    Execution,
    NetworkClassifier,
    Recipe,
    Standardise,
    forward_flops,
    with_weights,
)


class Scaffold(nn.Module):
    """A network, and beside it what is needed only while it is trained.

    Args:
        network: Takes images `(B, C, H, W)` in [0, 1]; it is what predicts and what is kept.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Any) -> Any:
        """In evaluation the network's logits; in training whatever the method's loss asks for."""
        return self.learn(*inputs) if self.training else self.network(*inputs)

    def learn(self, *inputs: Any) -> Any:
        """What the loss is made of."""
        raise NotImplementedError


class Beside(Protocol):
    """A loss of other images than the labelled batch."""

    def __call__(self, network: nn.Module, augment: Compose, generator: torch.Generator) -> Tensor:
        """A scalar that is added to the loss of a step.

        Args:
            network: In training mode; it has seen the labelled batch already.
            augment: The recipe's augmentation.
            generator: The step's random numbers.
        """

    def watch(self, network: nn.Module) -> dict[str, float]:
        """What is worth a place in each line of the log; the network is in evaluation mode."""


@dataclass(frozen=True)
class NetworkMethod(Recipe, ABC):
    """A recipe that makes its own network, and its own loss where that is not cross-entropy.

    A method of this family is a subclass with its hyper-parameters, `presets` and `network`.
    """

    policy: Literal["none", "trivial"] = "none"
    """Augmentation on top of the challenge's own invariances; `trivial` is TrivialAugment."""
    cutout: int = 0
    """Side in pixels of a square that is blanked in each image; 0 blanks nothing."""
    mixup: float = 0.0
    """Beta parameter of mixup; 0 blends nothing."""
    cutmix: float = 0.0
    """Beta parameter of CutMix, where there is no mixup; 0 pastes nothing."""

    @abstractmethod
    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """A network with fresh weights: standardised images `(B, C, H, W)` to logits `(B, classes)`."""

    def loss(self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """A batch to a scalar: cross-entropy with the recipe's label smoothing, unless a method has its own.

        Args:
            network: In training mode.
            images: `(B, C, H, W)`, augmented.
            targets: Labels `(B,)`, or probabilities `(B, K)` where images are mixed.
            generator: The step's random numbers.
        """
        return functional.cross_entropy(network(images), targets, label_smoothing=self.label_smoothing)

    def beside(self, data: TrainingSet, execution: Execution) -> Beside | None:
        """What is learned beside the batches of labelled images; by default nothing.

        Args:
            data: All there is to learn from, with the images without labels.
            execution: Device and precision.
        """
        return None

    def scaffold(self, network: nn.Module, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """What is trained: the network, unless a method puts a `Scaffold` around it."""
        return network

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""
        return fit(self, data, context)

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> NetworkClassifier:
        """Restores a network that `fit` trained."""
        empty = Standardise(torch.zeros(image_shape[0]), torch.ones(image_shape[0]))
        network = nn.Sequential(empty, self.network(image_shape, classes))
        return NetworkClassifier(with_weights(network, folder), execution)


def augmentation(recipe: NetworkMethod, invariance: Invariance) -> Compose:
    """How each image is varied: what the challenge says leaves its label as it is, then the recipe's own."""
    steps = allowed(invariance)
    if recipe.policy == "trivial":
        steps.append(TrivialAugment())
    if recipe.cutout:
        steps.append(Cutout(recipe.cutout))
    return Compose(steps)


def fit(method: NetworkMethod, data: TrainingSet, context: Context, start: nn.Module | None = None) -> Fitted:
    """Trains a method's network with the common loop.

    Args:
        method: With its recipe.
        data: What is learned from.
        context: Seed, folder, device and so on.
        start: A standardisation and the method's network, already with weights; by default with fresh ones.
    """
    execution = context.execution or Execution()
    classes = len(data.classes)

    def make() -> nn.Module:
        network = start
        if network is None:
            body = method.network(data.image_shape, classes)
            network = nn.Sequential(Standardise.of(data.train.images), body)
        return method.scaffold(network, data.image_shape, classes)

    augment = augmentation(method, data.invariance)
    mix = MixUp(method.mixup) if method.mixup else CutMix(method.cutmix) if method.cutmix else None

    beside = method.beside(data, execution)

    def loss(network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        images, targets = augment(images, generator), labels
        if mix is not None:
            images, targets = mix(images, one_hot(labels, classes), generator)
        value = method.loss(network, images, targets, generator)
        return value if beside is None else value + beside(network, augment, generator)

    def monitor(network: nn.Module) -> dict[str, float]:
        seen = validate(network, data.held_out, execution) if data.held_out else {}
        return seen | (beside.watch(network) if beside else {})

    trained, facts = fit_network(
        method,
        fresh(make, context),
        Batches(
            data.train.images,
            data.train.labels,
            batch_size=method.batch_size,
            seed=context.seed,
            device=execution.resolved_device(),
        ),
        loss,
        context,
        monitor=monitor if data.held_out or beside else None,
        flops=lambda trained: forward_flops(trained, data.image_shape),
    )
    if isinstance(trained, Scaffold):
        trained = trained.network
        facts["parameters"] = parameters(trained)
    return Fitted(NetworkClassifier(trained, execution), facts)


def validate(network: nn.Module, held_out: Labelled, execution: Execution) -> dict[str, float]:
    """Accuracy and cross-entropy on the held-out images, for the log."""
    probabilities = NetworkClassifier(network, execution).probabilities(held_out.images)
    truth = held_out.labels
    likelihood = probabilities[np.arange(len(truth)), truth].clip(1e-12)
    return {
        "val_top1": float((probabilities.argmax(1) == truth).mean()),
        "val_loss": float(-np.log(likelihood).mean()),
        "val_calibrated_loss": calibrated_loss(probabilities, truth),
    }


def calibrated_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Cross-entropy at the temperature that suits these images best, of 81 between 1/20 and 20.

    It tells how well classes are told apart, and not how sure a loss makes its network: a cosine's softmax
    stays flat however good the features are (temperature scaling: Guo et al., ICML 2017).

    Args:
        probabilities: `(N, K)`, rows that sum to one.
        labels: `(N,)`.
    """
    logits = np.log(probabilities.astype(np.float64).clip(1e-12))
    scaled = logits / np.geomspace(1 / 20, 20, 81)[:, None, None]
    top = scaled.max(axis=2, keepdims=True)
    partition = top[..., 0] + np.log(np.exp(scaled - top).sum(axis=2))
    own = scaled[:, np.arange(len(labels)), labels]
    return float((partition - own).mean(axis=1).min())
