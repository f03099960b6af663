"""What the networks of this family share: how images and maps are varied, and fitting with the engine."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vipriors.challenges.schema import Invariance
from vipriors.methods._fitting import fit_network, fresh
from vipriors.methods.protocol import IGNORED, Context, Fitted, Labelled, TrainingSet
from vipriors.methods.segmentation._iou import mean_iou
from vipriors.methods.segmentation._loss import class_weights, pixel_cross_entropy, resized
from vipriors.methods.segmentation._segmenter import BATCH, NetworkSegmenter
from vipriors.priors.augment import ColourJitter, Invert
from vipriors.priors.augment.dense import (
    ClassMix,
    DenseAugmentation,
    DenseCompose,
    DenseCrop,
    DenseCutMix,
    DenseMove,
    ImagesOnly,
)
from vipriors.problems import BadInput, Problem
from vipriors.train import Batches, Execution, Recipe, Standardise, forward_flops, with_weights

LOG_LINES = 25
"""Lines of the log, each with a look at the held-out images, which costs as much as some training steps."""


@dataclass(frozen=True)
class SegmentationNetwork(Recipe, ABC):
    """A recipe that makes its own network. A method of this family adds hyper-parameters and `presets`."""

    scale: float = 0.0
    """Growth or shrinking by up to this share, where the challenge says less."""
    bend: float = 0.0
    """Strength of elastic changes: pixels, of 100 of the shorter side, by which neighbouring parts move."""
    crop: float = 1.0
    """Share of each side that is seen at a training step."""
    jitter: float = 0.0
    """Strength of random changes of brightness, contrast, saturation and hue."""
    invert: float = 0.0
    """Share of the images whose colours are inverted."""
    mix: Literal["none", "cutmix", "classmix"] = "none"
    """What is pasted from one image into another: a box, or the pixels of some classes."""
    mix_share: float = 0.5
    """Share of the images that something is pasted into."""
    class_balance: float = 0.0
    """Power of a class's rarity in the loss; 1 makes all classes count the same."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(
            self,
            scale=(0 <= self.scale < 1, "0 to less than 1"),
            bend=(0 <= self.bend < math.inf, "0 or more"),
            crop=(0 < self.crop <= 1, "more than 0, at most 1"),
            jitter=(0 <= self.jitter < math.inf, "0 or more"),
            invert=(0 <= self.invert <= 1, "0 to 1"),
            mix_share=(0 <= self.mix_share <= 1, "0 to 1"),
            class_balance=(0 <= self.class_balance <= 1, "0 to 1"),
        )

    @abstractmethod
    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """A network with fresh weights: standardised images `(B, C, H, W)` to logits `(B, classes, h, w)`."""

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""
        return fit(self, data, context)

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> NetworkSegmenter:
        """Restores a network that `fit` trained."""
        empty = Standardise(torch.zeros(image_shape[0]), torch.ones(image_shape[0]))
        network = nn.Sequential(empty, self.network(image_shape, classes))
        return NetworkSegmenter(with_weights(network, folder), execution)


def expect(recipe: Recipe, **fields: tuple[bool, str]) -> None:
    """Raises `BadInput` with every field that is not what it should be: whether it is, and what that is."""
    problems = [
        Problem(name, f"is {getattr(recipe, name)}; expected {words}")
        for name, (holds, words) in fields.items()
        if not holds
    ]
    if problems:
        raise BadInput(problems)


def augmentation(recipe: SegmentationNetwork, invariance: Invariance, size: tuple[int, int]) -> DenseCompose:
    """How images of a size are varied: what the challenge allows, then the recipe's own."""
    steps: list[DenseAugmentation] = []
    scale = max(invariance.scale, recipe.scale)
    bend = recipe.bend * min(size) / 100
    if invariance.flip or invariance.shift or invariance.rotate or scale or bend:
        steps.append(DenseMove(invariance.flip, invariance.shift, invariance.rotate, scale, bend))
    if recipe.crop < 1:
        height, width = (max(1, round(recipe.crop * side)) for side in size)
        steps.append(DenseCrop((height, width)))
    if recipe.jitter:
        steps.append(ImagesOnly(ColourJitter(*3 * (recipe.jitter,), min(recipe.jitter, 0.5))))
    if recipe.invert:
        steps.append(ImagesOnly(Invert(recipe.invert)))
    if recipe.mix == "cutmix":
        steps.append(DenseCutMix(recipe.mix_share))
    if recipe.mix == "classmix":
        steps.append(ClassMix(recipe.mix_share))
    return DenseCompose(steps)


def fit(method: SegmentationNetwork, data: TrainingSet, context: Context) -> Fitted:
    """Trains a method's network with the common loop."""
    execution = context.execution or Execution()
    classes = len(data.classes)
    body = fresh(lambda: method.network(data.image_shape, classes), context)
    network = nn.Sequential(Standardise.of(data.train.images), body)
    _, height, width = data.image_shape
    augment = augmentation(method, data.invariance, (height, width))
    weights = class_weights(data.train.labels, classes, method.class_balance).to(execution.resolved_device())

    def loss(network: nn.Module, images: Tensor, maps: Tensor, generator: torch.Generator) -> Tensor:
        images, maps = augment(images, maps, generator)
        return pixel_cross_entropy(network(images), maps, weights, method.label_smoothing)

    held_out = data.held_out
    trained, facts = fit_network(
        method,
        network,
        Batches(
            data.train.images,
            torch.from_numpy(data.train.labels),
            batch_size=method.batch_size,
            seed=context.seed,
            device=execution.resolved_device(),
        ),
        loss,
        context,
        monitor=(lambda network: validate(network, held_out, data.classes, execution)) if held_out else None,
        log_lines=LOG_LINES,
        flops=lambda trained: forward_flops(trained, data.image_shape),
    )
    return Fitted(NetworkSegmenter(trained, execution), facts)


def validate(
    network: nn.Module, held_out: Labelled, names: tuple[str, ...], execution: Execution
) -> dict[str, float]:
    """Mean IoU and cross-entropy on the held-out images at the input size, for the log."""
    segmenter = NetworkSegmenter(network, execution)
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    losses, labelled = 0.0, 0
    for start in range(0, len(held_out.images), BATCH):
        truth = held_out.labels[start : start + BATCH]
        logits = resized(segmenter.logits(held_out.images[start : start + BATCH]), truth.shape[1:])
        maps, pixels = torch.from_numpy(truth).to(logits.device), int((truth != IGNORED).sum())
        losses, labelled = losses + pixels * float(pixel_cross_entropy(logits, maps)), labelled + pixels
        pairs += zip(truth, logits.argmax(1).to(torch.uint8).cpu().numpy(), strict=True)
    return {"val_iou_class": mean_iou(pairs, names), "val_loss": losses / max(1, labelled)}
