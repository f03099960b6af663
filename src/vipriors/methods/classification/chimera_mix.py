"""Mixing of two images of a class by a small generator, learned beside the classifier.

Source: Reinders, Schubert, Rosenhahn, "ChimeraMix: image classification on small datasets via masked feature
mixing", IJCAI 2022.

Mechanism: a generator encodes two images of a class, takes each place of a coarse grid from the one or the
other, and decodes. It learns to give back an image whose features are not mixed, and to make mixed ones that
a discriminator takes for real; the classifier sees mixed images in the place of some real ones.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, optimiser and schedule for everything, not Adam.
2. Generator, discriminator and classifier learn in the same steps, not one after the other.
3. A smaller generator that reduces images by two, not by four, with layer in the place of instance
   normalisation.
4. The grid variant of the mask only; no masks by segmentation.
5. Partners are drawn from the batch; an image without one of its class is mixed with itself.
6. Reconstruction by squared error alone, without a Laplacian pyramid, at the published 1000 times the
   adversarial weight, both a hundredth of the published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from vipriors.methods.classification._network import Scaffold
from vipriors.methods.classification.residual import Residual
from vipriors.priors.losses import as_labels


def partners(labels: Tensor, generator: torch.Generator) -> Tensor:
    """For each image another of its class in the batch, drawn evenly, or itself: `(B,)` to `(B,)`."""
    same = labels[:, None] == labels
    same &= ~torch.eye(len(labels), dtype=torch.bool, device=labels.device) | (same.sum(1) == 1)[:, None]
    draws = torch.rand(same.shape, generator=generator, device=generator.device).to(labels.device)
    return torch.where(same, draws, -1.0).argmax(1)


def mix_by_grid(one: Tensor, other: Tensor, grid: Tensor) -> Tensor:
    """Features `(B, C, H, W)` of the one where the grid `(B, 1, g, g)` is 1, of the other where it is 0."""
    mask = functional.interpolate(grid, one.shape[2:], mode="nearest")
    return one * mask + other * (1 - mask)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    layers = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.GroupNorm(1, outputs)
    return nn.Sequential(*layers, nn.ReLU())


class Generator(nn.Module):
    """Encodes images `(B, C, H, W)` to `(B, 2 width, H / 2, W / 2)`, and decodes features to images."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            _convolution(channels, width),
            _convolution(width, 2 * width, 2),
            _convolution(2 * width, 2 * width),
        )
        self.deep = _convolution(2 * width, 2 * width)
        self.fine = nn.Sequential(_convolution(2 * width, width), nn.Conv2d(width, channels, 3, padding=1))

    def decode(self, features: Tensor, size: torch.Size) -> Tensor:
        """Features to images of a size `(H, W)`."""
        large = functional.interpolate(self.deep(features), size, mode="nearest")
        image: Tensor = self.fine(large).sigmoid()
        return image


class Discriminator(nn.Module):
    """Scores `(B,)` of images of a class: 1 for real, 0 for generated."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3, 2, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Linear(2 * width, 1)
        self.of_class = nn.Embedding(classes, 2 * width)
        nn.init.normal_(self.of_class.weight, std=0.02)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """`(B, C, H, W)` and `(B,)` to `(B,)`."""
        features = self.features(images).mean((2, 3))
        score: Tensor = self.score(features)[:, 0] + (self.of_class(labels) * features).sum(1)
        return score


class Mixing(Scaffold):
    """The classifier, the generator and the discriminator."""

    def __init__(self, network: nn.Module, channels: int, classes: int, width: int) -> None:
        super().__init__(network)
        self.generator = Generator(channels, width)
        self.discriminator = Discriminator(channels, width, classes)

    def learn(self, images: Tensor, labels: Tensor, partner: Tensor, grid: Tensor, shown: Tensor) -> Any:
        """Logits of the batch, some of it mixed, and what generator and discriminator lose.

        Args:
            images: `(B, C, H, W)`.
            labels: `(B,)`.
            partner: Index of the image that each is mixed with, `(B,)`.
            grid: Where each image is kept, `(B, 1, g, g)`, 0 or 1.
            shown: Which images the classifier sees mixed, `(B,)` bool.

        Returns:
            Logits `(B, K)`, and three scalars: squared error of what is given back, the generator's and the
            discriminator's adversarial loss.
        """
        features, size = self.generator.encode(images), images.shape[2:]
        mixed = self.generator.decode(mix_by_grid(features, features[partner], grid), size)
        error = functional.mse_loss(self.generator.decode(features, size), images)
        fixed = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        fooled = (functional_call(self.discriminator, fixed, (mixed, labels)) - 1).square().mean()
        real, fake = self.discriminator(images, labels), self.discriminator(mixed.detach(), labels)
        judged = (real - 1).square().mean() + fake.square().mean()
        logits = self.network(
            torch.where(shown[:, None, None, None], mixed.detach().to(images.dtype), images)
        )
        return logits, error, fooled, judged


@dataclass(frozen=True)
class ChimeraMix(Residual):
    """Hyper-parameters of classifier and generator."""

    mixed: float = 0.5
    """Share of the images that the classifier sees mixed."""
    grid: int = 4
    """Places of the mask along a side."""
    generator_width: int = 16
    """Channels of generator and discriminator at full resolution; twice as many at half of it."""
    reconstruction: float = 10.0
    """Weight of the squared error of images that are given back unmixed."""
    adversarial: float = 0.01
    """Weight of the generator's adversarial loss."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {**values, "generator_width": width}
        for (name, values), width in zip(Residual.presets.items(), (8, 16, 64), strict=True)
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {**Residual.tuning, "adversarial": (1e-3, 1.0)}

    def scaffold(self, network: nn.Module, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network beside generator and discriminator."""
        return Mixing(network, image_shape[0], classes, self.generator_width)

    def loss(self, network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of real and mixed images, and what generator and discriminator lose."""
        labels, count = as_labels(targets), len(images)
        grid = torch.randint(2, (count, 1, self.grid, self.grid), generator=generator).to(images)
        shown = (torch.rand(count, generator=generator) < self.mixed).to(images.device)
        logits, error, fooled, judged = network(images, labels, partners(labels, generator), grid, shown)
        prepared: Tensor = self.reconstruction * error + self.adversarial * fooled + judged
        entropy = functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        return entropy + prepared
