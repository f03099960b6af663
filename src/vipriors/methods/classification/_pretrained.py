"""What methods share that learn from images without labels first: what they see, and how they are judged.

Images are those of the challenge alone: its training images, their labels unseen, and its images without
labels. What was learned is judged by what few labels then make of it, in one of two ways: a linear probe on
frozen features, whose settings are fixed (`train.probe`), or the supervised training of all weights. Either
way the outcome is a classifier as any other, so that `vipriors bench --sizes` gives a number a label budget.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods._fitting import fit_network, fresh, parameters
from vipriors.methods.classification import _network
from vipriors.methods.classification._network import Scaffold, augmentation, validate
from vipriors.methods.classification.residual import Residual
from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.priors.augment import Augmentation, ColourJitter, Compose, Grayscale, ResizedCrop
from vipriors.train import (
    Batches,
    Execution,
    NetworkClassifier,
    Standardise,
    forward_flops,
    require,
    weights_hash,
)
from vipriors.train.probe import features, fit_probe

LOG_LINES = 20
"""Each has a probe, which takes as long as some hundred steps."""
STANDARDISED_BY = 1000
"""Images at most by whose features the probe standardises."""
WATCHED = 128
"""Images at most of which a second view is sought for a line of the log."""
LABELS_ALONE = ("mixup", "cutmix", "label_smoothing")


def pool(data: TrainingSet) -> NDArray[np.uint8]:
    """All images `(N, H, W, C)` that may be learned from without labels."""
    if data.unlabelled is None:
        return data.train.images
    return np.concatenate([data.train.images, data.unlabelled])


def some(images: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Evenly chosen images, at most so many."""
    return images[:: -(-len(images) // most)]


def split_head(network: nn.Module) -> tuple[nn.Sequential, nn.Linear]:
    """The layers of a classifier before its last, and the last; the weights are the same tensors."""
    standardise, body = network.children()
    *layers, head = body.children()
    assert isinstance(head, nn.Linear)
    return nn.Sequential(standardise, *layers), head


def probed(
    network: nn.Module, data: TrainingSet, images: NDArray[np.uint8], execution: Execution
) -> nn.Module:
    """A copy of a network whose last layer is the linear probe.

    Args:
        network: A standardisation, then layers of which the last is linear.
        data: The labelled images, and how many classes there are.
        images: All images there are to learn from, by which features are standardised.
        execution: Device and precision.
    """
    network = copy.deepcopy(network)
    encoder, head = split_head(network)
    x = features(encoder, data.train.images, execution)
    all_x = features(encoder, some(images, STANDARDISED_BY), execution)
    head.to(x.device)
    fit_probe(head, x, torch.from_numpy(data.train.labels).to(x.device), all_x)
    return network


@dataclass(frozen=True)
class PreTrained(Residual):
    """Hyper-parameters of learning without labels; `steps`, `batch_size`, `lr` and so on are of it alone.

    A method is a subclass with its hyper-parameters, `presets`, `pretraining` and `pretext_loss`.
    """

    evaluation: Literal["probe", "fine-tune"] = "probe"
    """What is done with the labels: a linear probe on frozen features, or training all weights."""
    tune_steps: int = 1000
    """Steps of fine-tuning, beside those of pre-training; 0 for as many as those."""
    tune_lr: float = 0.02
    """Learning rate of fine-tuning at its peak."""
    crop: float = 0.4
    """Least share of the image's area that a view shows."""
    jitter: float = 0.4
    """By how much brightness and contrast of a view vary; the colours of colour images likewise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expected = {
            "tune_steps": (self.tune_steps >= 0, "0 or more"),
            "tune_lr": (self.tune_lr > 0, "more than 0"),
            "crop": (0 < self.crop <= 1, "more than 0, at most 1"),
            "jitter": (0 <= self.jitter <= 1, "0 to 1"),
        }
        if self.evaluation == "probe":
            words = "0, for a probe sees no such labels, or evaluation=fine-tune"
            expected |= {name: (getattr(self, name) == 0, words) for name in LABELS_ALONE}
        require(self, **expected)

    @abstractmethod
    def pretraining(self, network: nn.Module, images: int) -> Scaffold:
        """What is trained without labels.

        Args:
            network: A standardisation, then layers of which the last, the classes', is of no use here.
            images: How many there are to learn from.
        """

    @abstractmethod
    def pretext_loss(
        self, network: nn.Module, images: Tensor, numbers: Tensor, views: Compose, generator: torch.Generator
    ) -> Tensor:
        """A scalar from a batch without labels.

        Args:
            network: What `pretraining` made, in training mode.
            images: `(B, C, H, W)` in [0, 1], as they are.
            numbers: `(B,)`, which images they are.
            views: Varies a batch; another call gives other views.
            generator: The step's random numbers.
        """

    def views(self, invariance: Invariance, image_shape: tuple[int, ...]) -> Compose:
        """A random view of each image: the challenge's own variation, a crop, and other colours."""
        channels, height, width = image_shape
        colour = (self.jitter, 0.1) if channels == 3 else (0.0, 0.0)
        steps: list[Augmentation] = [
            *augmentation(self, invariance).steps,
            ResizedCrop((height, width), (self.crop, 1.0)),
            ColourJitter(self.jitter, self.jitter, *colour),
        ]
        if channels == 3:
            steps.append(Grayscale(0.2))
        return Compose(steps)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Learns without labels from random weights, then with them."""
        execution = context.execution or Execution()
        device, images = execution.resolved_device(), pool(data)
        views = self.views(data.invariance, data.image_shape)

        def plain() -> nn.Module:
            body = self.network(data.image_shape, len(data.classes))
            return nn.Sequential(Standardise.of(images), body)

        def loss(network: nn.Module, batch: Tensor, numbers: Tensor, generator: torch.Generator) -> Tensor:
            return self.pretext_loss(network, batch, numbers, views, generator)

        def monitor(scaffold: nn.Module) -> dict[str, float]:
            network = scaffold.network
            assert isinstance(network, nn.Module)
            seen = {"found": views_found(network, some(images, WATCHED), views, execution)}
            if data.held_out:
                seen |= validate(probed(network, data, images, execution), data.held_out, execution)
            return seen

        tuned = self.evaluation == "fine-tune"
        folder = context.folder and (context.folder / "pretraining" if tuned else context.folder)
        numbers = np.arange(len(images))
        trained, facts = fit_network(
            self,
            fresh(lambda: self.pretraining(plain(), len(images)), context),
            Batches(images, numbers, batch_size=self.batch_size, seed=context.seed, device=device),
            loss,
            dataclasses.replace(context, folder=folder),
            monitor=monitor,
            log_lines=LOG_LINES,
            flops=lambda scaffold: forward_flops(scaffold, data.image_shape),
        )
        network = fresh(plain, context)
        network.load_state_dict(trained.network.state_dict())
        if tuned:
            return self.fine_tuned(network, data, context, facts)
        network = probed(network, data, images, execution)
        facts |= {"parameters": parameters(network), "final_weights_sha256": weights_hash(network)}
        return Fitted(NetworkClassifier(network, execution), facts)

    def fine_tuned(
        self, network: nn.Module, data: TrainingSet, context: Context, facts: dict[str, Any]
    ) -> Fitted:
        """The network after a supervised training of all weights, with the facts of both trainings."""
        method = dataclasses.replace(self, steps=self.tune_steps or self.steps, lr=self.tune_lr)
        fitted = _network.fit(method, data, context, network)
        both = {key: facts[key] + fitted.facts[key] for key in ("seconds", "steps")}
        both["initial_weights_sha256"] = facts["initial_weights_sha256"]
        return Fitted(fitted.model, fitted.facts | both)


def views_found(network: nn.Module, images: NDArray[np.uint8], views: Compose, execution: Execution) -> float:
    """The share of images to whose first view, by the features, no second view is nearer than their own."""
    encoder, _ = split_head(network)
    generator = torch.Generator().manual_seed(0)

    class Viewed(nn.Module):
        """Sees another view at each call."""

        def forward(self, batch: Tensor) -> Tensor:
            return functional.normalize(encoder(views(batch, generator)).float(), dim=1)

    first, second = (features(Viewed(), images, execution) for _ in range(2))
    nearest = (first @ second.T).argmax(1)
    return float((nearest.cpu() == torch.arange(len(nearest))).float().mean())
