"""Embedding network with a batch-normalised neck, cross-entropy over persons and batch-hard triplets.

Source: Luo, Gu, Liao, Lai, Jiang, "Bag of tricks and a strong baseline for deep person re-identification",
CVPR workshops 2019 (BNNeck, label smoothing, random erasing, batches of 16 persons with 4 images); Hermans,
Beyer, Leibe, "In defense of the triplet loss for person re-identification", 2017 (the hardest triplets). The
preset `full` has the size of the organizers' baseline of 2021: ResNet-50, 128 numbers, SGD.

Shapes: images `(B, C, H, W)` in [0, 1] to points `(B, dimensions)`. The triplet loss sees the points before
the neck's batch normalisation; persons are told apart, and images compared, by what comes after it, scaled to
length 1: their Euclidean distance ranks as the cosine does.

Deviations from the papers:
1. Features are projected to `dimensions` numbers before the neck, as the baseline of 2021 does (2048 to 128);
   its rectifier and dropout behind the normalisation are left out.
2. Weights are random at the start, and all learn at one rate (that baseline gave its backbone a tenth of it).
3. No centre loss; the last stage of the network halves the resolution as the others do.
4. SGD with a cosine schedule in steps, in place of Adam (or SGD) with drops at given epochs.
5. `tiny` and `small` use the small residual network of the method `residual`, with a stem that halves images
   of 33 to 64 pixels.
6. The ResNet-50 averages pixels where its shortcuts skip them.
7. Besides random erasing, images are varied as the challenge says leaves a person the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods._fitting import fit_network, fresh, parameters
from vipriors.methods.protocol import Context, Fitted, Labelled, TrainingSet
from vipriors.methods.reid._backbones import residual_features, resnet50_features
from vipriors.methods.reid._network import NetworkEmbedder, PersonBatches
from vipriors.methods.reid._triplet import batch_hard_triplet
from vipriors.methods.reid._validation import retrieval
from vipriors.priors.augment import Compose, RandomErasing
from vipriors.priors.augment.invariance import allowed
from vipriors.problems import BadInput
from vipriors.train import Execution, Recipe, Standardise, forward_flops, with_weights


class PersonNetwork(nn.Module):
    """An embedding and, for training alone, a classifier of the persons behind it.

    Args:
        features: Images `(B, C, H, W)` to features `(B, width)`.
        width: Number of features.
        dimensions: Of the points.
        persons: To tell apart.
    """

    def __init__(self, features: nn.Module, width: int, dimensions: int, persons: int) -> None:
        super().__init__()
        self.points = nn.Sequential(features, nn.Linear(width, dimensions))
        self.neck = nn.BatchNorm1d(dimensions)
        # A shift would move the persons away from the origin, from which cosines are taken.
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(dimensions, persons, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, C, H, W)` to points `(B, dimensions)` before the neck, and logits `(B, persons)`."""
        points = self.points(images)
        return points, self.classifier(self.neck(points))

    @property
    def embedding(self) -> nn.Sequential:
        """What predicts: `(B, C, H, W)` to points `(B, dimensions)` after the neck."""
        return nn.Sequential(self.points, self.neck)


@dataclass(frozen=True)
class Embedding(Recipe):
    """Hyper-parameters of the embedding network."""

    batch_size: int = 64
    """Images in a batch."""
    label_smoothing: float = 0.1
    """Share of each target spread evenly over all persons."""
    images_per_person: int = 4
    """Images of each person in a batch."""
    dimensions: int = 128
    """Numbers that an image becomes."""
    triplet: float = 1.0
    """Weight of the triplet loss beside the cross-entropy."""
    margin: float = 0.3
    """By how much another person must be farther than the same one, before the neck."""
    erase: float = 0.5
    """Probability that a box of an image is erased."""
    backbone: Literal["residual", "resnet-50"] = "residual"
    """The network up to its pooling; `width`, `stages` and `blocks` are those of `residual`."""
    width: int = 32
    """Channels of the first stage; each later stage has twice as many."""
    stages: int = 3
    """Stages, each at half the resolution of the one before."""
    blocks: int = 1
    """Residual blocks a stage."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # As did best on the validation persons of digits-reid, of 18 trials by hand with one seed: in so few
        # steps erasing and smoothing only slow it down.
        "tiny": {"steps": 450, "width": 24, "lr": 0.1, "erase": 0.0, "label_smoothing": 0.0},
        "small": {"steps": 4000, "width": 32, "lr": 0.1},
        # 50 passes over the 9,529 images of SynergyReID's train and val, as published; never run here.
        "full": {"steps": 7450, "backbone": "resnet-50", "lr": 0.05, "weight_decay": 5e-4},
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-3, 0.3), "weight_decay": (1e-4, 0.1)}
    """Ranges that are searched, both on a logarithmic scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            self.images_per_person not in range(1, self.batch_size)
            or self.batch_size % self.images_per_person
        ):
            expected = (
                f"expected a divisor of batch_size, {self.batch_size}, that leaves room for two persons"
            )
            raise BadInput.single("images_per_person", f"is {self.images_per_person}; {expected}")

    def network(self, image_shape: tuple[int, ...], persons: int) -> PersonNetwork:
        """The network with fresh weights, for standardised images `(B, C, H, W)`."""
        channels, height, width = image_shape
        if self.backbone == "resnet-50":
            features, size = resnet50_features(channels)
        else:
            features, size = residual_features(
                channels, self.width, self.stages, self.blocks, image_size=min(height, width)
            )
        return PersonNetwork(features, size, self.dimensions, persons)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights. Persons are counted by their labels, not by `data.classes`."""
        execution = context.execution or Execution()
        persons = int(data.train.labels.max()) + 1
        network = fresh(lambda: self.network(data.image_shape, persons), context)
        network.points.insert(0, Standardise.of(data.train.images))
        augment = self.augmentation(data.invariance)

        def loss(network: nn.Module, images: Tensor, persons: Tensor, generator: torch.Generator) -> Tensor:
            points, logits = network(augment(images, generator))
            told_apart = functional.cross_entropy(logits, persons, label_smoothing=self.label_smoothing)
            return told_apart + self.triplet * batch_hard_triplet(points.float(), persons, self.margin)

        held_out = data.held_out
        trained, facts = fit_network(
            self,
            network,
            PersonBatches(
                data.train.images,
                data.train.labels,
                images_per_person=self.images_per_person,
                batch_size=self.batch_size,
                seed=context.seed,
                device=execution.resolved_device(),
            ),
            loss,
            context,
            monitor=(lambda network: validate(network, held_out, execution)) if held_out else None,
            flops=lambda trained: forward_flops(trained.embedding, data.image_shape),
        )
        facts["parameters"] = parameters(trained.embedding)  # the classifier of persons is left behind
        return Fitted(NetworkEmbedder(trained.embedding, execution), facts)

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> NetworkEmbedder:
        """Restores what `fit` trained, without the classifier; `classes` is not used."""
        network = self.network(image_shape, 1)
        network.points.insert(0, Standardise(torch.zeros(image_shape[0]), torch.ones(image_shape[0])))
        return NetworkEmbedder(with_weights(network.embedding, folder), execution)

    def augmentation(self, invariance: Invariance) -> Compose:
        """How each image is varied: what leaves a person the same, then random erasing."""
        steps = allowed(invariance)
        if self.erase:
            steps.append(RandomErasing(self.erase, scale=(0.02, 0.4), fill=0.5))
        return Compose(steps)


def validate(network: nn.Module, held_out: Labelled, execution: Execution) -> dict[str, float]:
    """How well images of held-out persons find each other, for the log."""
    assert isinstance(network, PersonNetwork)
    points = NetworkEmbedder(network.embedding, execution).embeddings(held_out.images)
    return {f"val_{name}": value for name, value in retrieval(points, held_out.labels).items()}
