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
from vipriors.methods.segmentation._loss import class_weights, pixel_cross_entropy
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
from vipriors.train import Batches, Execution, Recipe, Standardise, forward_flops, require, with_weights

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
        require(
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

    def loss(
        self, network: nn.Module, images: Tensor, maps: Tensor, weights: Tensor, generator: torch.Generator
    ) -> Tensor:
        """A batch to a scalar: cross-entropy of the logits at the maps' size, unless a method has its own.

        Args:
            network: In training mode, for images in [0, 1].
            images: `(B, C, H, W)`, varied.
            maps: `(B, h, w)`, varied.
            weights: How much a pixel of each class counts, `(K,)`.
            generator: The step's random numbers.
        """
        return pixel_cross_entropy(network(images), maps, weights, self.label_smoothing)

    def segmenter(self, network: nn.Module, execution: Execution) -> NetworkSegmenter:
        """What predicts with a trained network for images in [0, 1]."""
        return NetworkSegmenter(network, execution)

    def flops(self, network: nn.Module, image_shape: tuple[int, ...], size: tuple[int, int]) -> int:
        """Operations for one image whose map has a size `(h, w)`."""
        return forward_flops(network, image_shape)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""
        return fit(self, data, context)

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> NetworkSegmenter:
        """Restores a network that `fit` trained."""
        empty = Standardise(torch.zeros(image_shape[0]), torch.ones(image_shape[0]))
        network = Standardised(empty, self.network(image_shape, classes))
        return self.segmenter(with_weights(network, folder), execution)


class Standardised(nn.Sequential):
    """Two modules: what standardises images, and a network that gets them and whatever else is given."""

    def forward(self, input: Tensor, *more: Any, **named: Any) -> Any:
        """What the network gives."""
        standardise, network = self
        return network(standardise(input), *more, **named)


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
    network = Standardised(Standardise.of(data.train.images), body)
    _, height, width = data.image_shape
    augment = augmentation(method, data.invariance, (height, width))
    size = (data.train.labels.shape[1], data.train.labels.shape[2])
    weights = class_weights(data.train.labels, classes, method.class_balance).to(execution.resolved_device())

    def loss(network: nn.Module, images: Tensor, maps: Tensor, generator: torch.Generator) -> Tensor:
        images, maps = augment(images, maps, generator)
        return method.loss(network, images, maps, weights, generator)

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
        monitor=(lambda network: validate(method.segmenter(network, execution), held_out, data.classes))
        if held_out
        else None,
        log_lines=LOG_LINES,
        flops=lambda trained: method.flops(trained, data.image_shape, size),
    )
    return Fitted(method.segmenter(trained, execution), facts)


def validate(segmenter: NetworkSegmenter, held_out: Labelled, names: tuple[str, ...]) -> dict[str, float]:
    """Mean IoU and cross-entropy on the held-out images at the size of their maps, for the log."""
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
    losses, labelled = 0.0, 0
    for start in range(0, len(held_out.images), BATCH):
        truth = held_out.labels[start : start + BATCH]
        _, height, width = truth.shape
        logits = segmenter.logits(held_out.images[start : start + BATCH], (height, width))
        maps, pixels = torch.from_numpy(truth).to(logits.device), int((truth != IGNORED).sum())
        losses, labelled = losses + pixels * float(pixel_cross_entropy(logits, maps)), labelled + pixels
        pairs += zip(truth, logits.argmax(1).to(torch.uint8).cpu().numpy(), strict=True)
    return {"val_iou_class": mean_iou(pairs, names), "val_loss": losses / max(1, labelled)}
