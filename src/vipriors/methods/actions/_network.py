"""What the networks of this family share: the parts of clips that are looked at, fitting with the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods._fitting import fit_network, fresh
from vipriors.methods.actions._layers import to_clips, to_frames
from vipriors.methods.protocol import Context, Fitted, Labelled, TrainingSet
from vipriors.priors.augment import Augmentation, ColourJitter, Compose, ResizedCrop
from vipriors.priors.augment.clips import Colours, Geometry, SubClip, even_starts, fitting_stride
from vipriors.priors.augment.invariance import allowed
from vipriors.train import (
    Batches,
    Execution,
    NetworkModel,
    Recipe,
    Standardise,
    forward_flops,
    require,
    shown,
    with_weights,
)

LOG_LINES = 20
"""Of a training; each costs a look at all held-out clips."""


class StandardiseClips(Standardise):
    """Shifts and scales each channel of clips by the training clips' mean and deviation."""

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, C, T, H, W)` in [0, 1] to the same shape."""
        return to_clips(super().forward(to_frames(clips)), clips.shape[2])


@dataclass(frozen=True)
class ClipMethod(Recipe, ABC):
    """A recipe that makes its own network of clips, and says which parts of a clip are looked at.

    A method of this family is a subclass with its hyper-parameters, `presets` and `network`.
    """

    frames: int = 8
    """Frames of the part of a clip that is looked at; all of a clip that has fewer."""
    strides: tuple[int, ...] = (2,)
    """Steps between these frames, one drawn for each part; predicting uses the last."""
    views: int = 2
    """Parts that are looked at to predict a clip, evenly spaced; their probabilities are averaged."""
    crop: float = 1.0
    """Least share of the area that is cut out and enlarged in training; 1 cuts nothing."""
    jitter: float = 0.0
    """Largest change of a clip's brightness, contrast and saturation in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        SubClip(self.frames, self.strides)
        ResizedCrop(1, (self.crop, 1.0))
        ColourJitter(self.jitter, self.jitter, self.jitter, 0.0)
        require(self, views=(self.views >= 1, "1 or more"))

    @abstractmethod
    def network(self, clip_shape: tuple[int, ...], classes: int) -> nn.Module:
        """A network with fresh weights: standardised clips `(B, C, T, H, W)` to logits `(B, classes)`.

        Args:
            clip_shape: `(C, T, H, W)` of what it is shown.
            classes: Number of logits.
        """

    def seen(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the part that is looked at of clips `(C, T, H, W)`."""
        channels, total, *sides = image_shape
        return (channels, min(total, self.frames), *sides)

    def parts(self, total: int) -> list[Sequence[int]]:
        """The frames of each part by which clips of `total` frames are predicted."""
        frames = min(total, self.frames)
        stride = fitting_stride(total, frames, self.strides[-1])
        starts = even_starts(total, frames, stride, self.views)
        return [range(start, start + 1 + (frames - 1) * stride, stride) for start in starts]

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""
        return fit(self, data, context)

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> ClipClassifier:
        """Restores a network that `fit` trained."""
        standardise = StandardiseClips(torch.zeros(image_shape[0]), torch.ones(image_shape[0]))
        network = nn.Sequential(standardise, self.network(self.seen(image_shape), classes))
        return ClipClassifier(with_weights(network, folder), self.parts(image_shape[1]), execution)


class ClipClassifier(NetworkModel):
    """Class probabilities of clips: the mean of those of some of their parts.

    Args:
        network: Clips `(B, C, T, H, W)` in [0, 1] to logits `(B, K)`.
        parts: The frames of each part.
        execution: Device and precision.
    """

    def __init__(
        self, network: nn.Module, parts: Sequence[Sequence[int]], execution: Execution | None = None
    ) -> None:
        super().__init__(network, execution)
        self.parts = parts

    def probabilities(self, images: NDArray[np.uint8], batch_size: int = 32) -> NDArray[np.float32]:
        """Class probabilities `(N, K)` of uint8 clips `(N, T, H, W, C)`."""
        found = []
        with torch.inference_mode(), self.execution.autocast():
            for clips in shown(images, batch_size, self.device):
                logits = torch.stack([self.network(clips[:, :, list(part)]) for part in self.parts])
                found.append(logits.float().softmax(2).mean(0).cpu().numpy())
        return np.concatenate(found)


def augmentation(recipe: ClipMethod, image_shape: tuple[int, ...], invariance: Invariance) -> Compose:
    """How clips `(C, T, H, W)` are varied: the part seen, what leaves a label as it is, the recipe's own."""
    steps: list[Augmentation] = [SubClip(recipe.seen(image_shape)[1], recipe.strides)]
    steps += map(Geometry, allowed(invariance))
    if recipe.crop < 1:
        height, width = image_shape[2:]
        steps.append(Geometry(ResizedCrop((height, width), (recipe.crop, 1.0))))
    if recipe.jitter:
        steps.append(Colours(ColourJitter(recipe.jitter, recipe.jitter, recipe.jitter, 0.0)))
    return Compose(steps)


def fit(method: ClipMethod, data: TrainingSet, context: Context) -> Fitted:
    """Trains a method's network with the common loop."""
    execution = context.execution or Execution()
    clips, seen = data.train.images, method.seen(data.image_shape)
    standardise = StandardiseClips.of(clips.reshape(-1, *clips.shape[2:]))
    network = nn.Sequential(standardise, fresh(lambda: method.network(seen, len(data.classes)), context))
    augment = augmentation(method, data.image_shape, data.invariance)
    parts = method.parts(data.image_shape[1])

    def loss(network: nn.Module, clips: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        logits = network(augment(clips, generator))
        return functional.cross_entropy(logits, labels, label_smoothing=method.label_smoothing)

    held_out = data.held_out
    trained, facts = fit_network(
        method,
        network,
        Batches(
            clips,
            data.train.labels,
            batch_size=method.batch_size,
            seed=context.seed,
            device=execution.resolved_device(),
        ),
        loss,
        context,
        monitor=(lambda network: validate(ClipClassifier(network, parts, execution), held_out))
        if held_out
        else None,
        log_lines=LOG_LINES,
        flops=lambda trained: len(parts) * forward_flops(trained, seen),
    )
    return Fitted(ClipClassifier(trained, parts, execution), facts)


def validate(classifier: ClipClassifier, held_out: Labelled) -> dict[str, float]:
    """Mean accuracy over the classes, and cross-entropy, on the held-out clips, for the log."""
    probabilities, truth = classifier.probabilities(held_out.images), held_out.labels
    likelihood = probabilities[np.arange(len(truth)), truth].clip(1e-12)
    right = probabilities.argmax(1) == truth
    recalls = [right[truth == label].mean() for label in np.unique(truth)]
    return {"val_top1": float(np.mean(recalls)), "val_loss": float(-np.log(likelihood).mean())}
