"""Contrastive pre-training on the same few images, then distillation while classifying.

Source: Zhao, Wen, "Distilling visual priors from self-supervised learning", VIPriors workshop 2020 (arXiv
2008.00261), second in the challenge of 2020.

Mechanism: for a share of the steps the network learns without labels to find an image's other view among
other images, by a margin. A frozen copy then is the teacher: while the network learns the classes, its
features before each rectification are kept close to the teacher's.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe; both phases share its steps and its one schedule.
2. Views are the challenge's own variation, random crops and jitter of brightness and contrast.
3. The queue is shorter than the training set, or it would hold the very images that are sought; keys follow
   the queries faster (0.99, not 0.999), steps being few. Batch statistics are not shuffled.
4. Distances are means and not sums over a map, weighted alike: at the published size and weights they are.
   Distillation acts from the first step of the second phase.
5. The teacher normalises by its stored statistics; in the authors' code by those of the batch.
6. Plain cross-entropy; their label smoothing and AutoAugment are options of every method here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification._phases import TwoPhases, frozen, idle
from vipriors.methods.classification.residual import Block, Residual
from vipriors.priors.augment import ColourJitter, Compose, ResizedCrop
from vipriors.priors.contrast import KeyQueue, follow, projection_head
from vipriors.priors.losses.feature_distillation import expected_negative, margin_relu_distance
from vipriors.priors.losses.info_nce import info_nce_loss

DIMENSIONS = 128
"""Of the vectors that are contrasted, as in momentum contrast."""


def stages(network: nn.Sequential, images: Tensor) -> tuple[list[Tensor], list[nn.BatchNorm2d], Tensor]:
    """Runs a residual network after its standardisation and looks at it after each stage.

    Returns:
        The maps after each stage, normalised as the next layer does but not rectified; the normalisations;
        and the features `(B, D)` before the head.
    """
    standardise, body = network
    assert isinstance(body, nn.Sequential)
    maps, norms, layers, x = [], [], list(body)[:-1], standardise(images)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        x = layer(x)
        last = isinstance(layer, Block) and not (isinstance(following, Block) and following.stride == 1)
        if last:
            norm = following.norm1 if isinstance(following, Block) else following
            assert isinstance(norm, nn.BatchNorm2d)
            # By the batch's own statistics in training, which are not to be counted twice.
            batch = body.training
            mean, var = (None, None) if batch else (norm.running_mean, norm.running_var)
            maps.append(functional.batch_norm(x, mean, var, norm.weight, norm.bias, batch))
            norms.append(norm)
    return maps, norms, x


class Distilling(TwoPhases):
    """The network, the keys' network and their queue, the teacher, and maps to its features.

    Args:
        network: Standardisation, then a residual network.
        first: Steps without labels.
        queue: Keys that are remembered.
        momentum: By how much the keys' network stays what it was at every step.
    """

    network: nn.Sequential
    teacher: nn.Sequential

    def __init__(self, network: nn.Sequential, first: int, queue: int, momentum: float) -> None:
        super().__init__(network, first)
        body = network[1]
        assert isinstance(body, nn.Sequential) and isinstance(body[-1], nn.Linear)
        width = body[-1].in_features
        self.momentum = momentum
        self.projector = projection_head(width, DIMENSIONS)
        self.key_network, self.key_projector = frozen(network), frozen(self.projector)
        self.teacher = frozen(network)
        self.queue = KeyQueue(queue, DIMENSIONS)
        blocks = [layer for layer in body if isinstance(layer, Block)]
        ends = [a for a, b in zip(blocks, [*blocks[1:], None], strict=True) if b is None or b.stride > 1]
        outs = [block.norm2.num_features for block in ends]
        self.connectors = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c)) for c in outs
        )

    @property
    def head(self) -> nn.Module:
        """The last layer of the network."""
        return [*self.network[1].children()][-1]

    def train(self, mode: bool = True) -> Distilling:
        """The teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def prepare(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries and keys `(B, D)` of two views, the negatives `(Q, D)`, and a zero."""
        queries = functional.normalize(self.projector(stages(self.network, first)[2]))
        with torch.no_grad():
            follow(self.key_network, self.network, self.momentum)
            follow(self.key_projector, self.projector, self.momentum)
            keys = functional.normalize(self.key_projector(stages(self.key_network, second)[2]))
        return queries, keys, self.queue(keys), idle([self.head, self.connectors])

    def turn(self) -> None:
        """The pre-trained network becomes the teacher."""
        self.teacher.load_state_dict(self.network.state_dict())

    def apply_prepared(self, images: Tensor, _other: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits `(B, K)`, and the distance of the stages' features from the teacher's."""
        maps, _, features = stages(self.network, images)
        with torch.no_grad():
            targets, norms, _ = stages(self.teacher, images)
        distance = idle([self.projector])
        for found, target, norm, connect in zip(maps, targets, norms, self.connectors, strict=True):
            least = expected_negative(norm.bias, norm.weight)
            distance = distance + margin_relu_distance(connect(found), target, least)
        return self.head(features), distance / len(maps)


@dataclass(frozen=True)
class DistilledPrior(Residual):
    """Hyper-parameters of pre-training and distillation."""

    share: float = 0.5
    """Share of the steps that goes into pre-training without labels."""
    margin: float = 0.4
    """By how much the other view must be closer than other images, in cosine."""
    temperature: float = 0.2
    """Divides cosines in the contrastive loss."""
    queue: int = 64
    """Keys of earlier images that are the negatives."""
    key_momentum: float = 0.99
    """By how much the keys' network stays what it was at every step."""
    distillation: float = 10.0
    """Weight of the distance from the teacher's features beside cross-entropy."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {**values, "queue": 1024 if name == "full" else 64} for name, values in Residual.presets.items()
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {**Residual.tuning, "distillation": (0.3, 30.0)}

    def scaffold(self, network: nn.Module, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with all that the two phases need."""
        assert isinstance(network, nn.Sequential)
        return Distilling(network, round(self.share * self.steps), self.queue, self.key_momentum)

    def loss(self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """The contrastive loss of two views; in the second phase cross-entropy and distillation."""
        zero: Tensor
        distance: Tensor
        if network.preparing:
            height, width = images.shape[2:]
            vary = Compose((ResizedCrop((height, width), (0.4, 1.0)), ColourJitter(saturation=0, hue=0)))
            first, second = vary(images, generator), vary(images, generator)
            queries, keys, negatives, zero = network(first, second)
            found = info_nce_loss(queries, keys, negatives, self.temperature, self.margin)
            return found + zero
        logits, distance = network(images)
        entropy = functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return entropy + self.distillation * distance
