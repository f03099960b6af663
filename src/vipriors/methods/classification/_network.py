"""What the networks of this family share: fitting with the engine, and cross-entropy under augmentation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from vipriors.challenges.schema import Invariance
from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.priors.augment import (
    Augmentation,
    Compose,
    CutMix,
    Cutout,
    Flip,
    MixUp,
    Shift,
    TrivialAugment,
    one_hot,
)
from vipriors.priors.augment.affine import TurnAndScale
from vipriors.train import (
    Batches,
    Execution,
    NetworkClassifier,
    Recipe,
    Standardise,
    forward_flops,
    seed_everything,
    step_seed,
    train,
    weights_hash,
)


@dataclass(frozen=True)
class ClassifierRecipe(Recipe):
    """How an image classifier is trained: the loop's fields, and how its images are varied."""

    policy: Literal["none", "trivial"] = "none"
    """Augmentation on top of the challenge's own invariances; `trivial` is TrivialAugment."""
    cutout: int = 0
    """Side in pixels of a square that is blanked in each image; 0 blanks nothing."""
    mixup: float = 0.0
    """Beta parameter of mixup; 0 blends nothing."""
    cutmix: float = 0.0
    """Beta parameter of CutMix; 0 pastes nothing. Not together with mixup."""


class NetworkMethod(Protocol):
    """A method of this family, as seen from here: a recipe that can make its network and its loss."""

    @property
    def recipe(self) -> ClassifierRecipe:
        """Its own fields."""

    def network(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Images `(B, C, H, W)` in [0, 1], standardised, to logits `(B, classes)`."""

    def loss(
        self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator
    ) -> Tensor:
        """A batch to a scalar: targets are labels `(B,)`, or `(B, K)` probabilities where images are mixed."""


def augmentation(recipe: ClassifierRecipe, invariance: Invariance) -> Compose:
    """How each image is varied: what the challenge says leaves its label as it is, then the recipe's own."""
    steps: list[Augmentation] = []
    if invariance.rotate or invariance.scale:
        steps.append(TurnAndScale(invariance.rotate, invariance.scale))
    if invariance.shift:
        steps.append(Shift(invariance.shift))
    if invariance.flip:
        steps.append(Flip())
    if recipe.policy == "trivial":
        steps.append(TrivialAugment())
    if recipe.cutout:
        steps.append(Cutout(recipe.cutout))
    return Compose(steps)


def mixing(recipe: ClassifierRecipe) -> MixUp | CutMix | None:
    """How pairs of images are mixed, if they are."""
    if recipe.mixup:
        return MixUp(recipe.mixup)
    return CutMix(recipe.cutmix) if recipe.cutmix else None


def fit(method: Any, data: TrainingSet, context: Context) -> Fitted:
    """Trains a method's network with the common loop."""
    execution = context.execution or Execution()
    seed_everything(step_seed(context.seed, -1), torch.device("cpu"))
    network = nn.Sequential(
        Standardise.of(data.train.images), method.network(data.image_shape, len(data.classes))
    )
    initial = weights_hash(network)
    augment, mix = augmentation(method, data.invariance), mixing(method)
    batches = Batches(
        data.train.images,
        data.train.labels,
        batch_size=method.batch_size,
        seed=context.seed,
        device=execution.resolved_device(),
    )

    def loss(network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        images = augment(images, generator)
        if mix is None:
            return method.loss(network, images, labels, generator)
        images, targets = mix(images, one_hot(labels, len(data.classes)), generator)
        return method.loss(network, images, targets, generator)

    def held_out(network: nn.Module) -> dict[str, float]:
        predicted = NetworkClassifier(network, execution).probabilities(data.held_out.images)
        truth = data.held_out.labels
        likelihood = predicted[np.arange(len(truth)), truth].clip(1e-12)
        accuracy = float((predicted.argmax(1) == truth).mean())
        return {"val_top1": accuracy, "val_loss": float(-np.log(likelihood).mean())}

    began = time.monotonic()
    trained = train(
        network,
        batches,
        method,
        loss,
        seed=context.seed,
        execution=execution,
        folder=context.folder,
        resume=context.resume,
        monitor=held_out if data.held_out is not None else None,
        progress=context.progress,
    )
    facts = {
        "seconds": round(time.monotonic() - began, 2),
        "steps": method.steps,
        "parameters": sum(p.numel() for p in network.parameters()),
        "flops_per_image": forward_flops(trained, data.image_shape),
        "initial_weights_sha256": initial,
        "final_weights_sha256": weights_hash(trained),
    }
    return Fitted(NetworkClassifier(trained, execution), facts)


def load(
    method: Any, folder: Path, image_shape: tuple[int, int, int], classes: int, execution: Any
) -> NetworkClassifier:
    """Restores a network that `fit` trained."""
    channels = image_shape[0]
    empty = Standardise(torch.zeros(channels), torch.ones(channels))
    network = nn.Sequential(empty, method.network(image_shape, classes))
    return NetworkClassifier.load(folder, network, execution)
