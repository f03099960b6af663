"""What methods of generation share: dense networks between images and latent codes, and how they are fitted.

All networks see images in [-1, 1], flattened, and give them back so.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods._fitting import fit_network, fresh
from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.train import (
    Batches,
    Execution,
    NetworkModel,
    Recipe,
    forward_flops,
    require,
    shown,
    with_weights,
)

SAMPLING_SEED = 0
"""Of what is generated; no training draws from it."""


class Dense(nn.Module):
    """A dense layer whose weights are drawn at unit deviation and scaled when used.

    So every layer learns at the same pace, whatever its width. `rate` slows it down.

    Source: Karras et al., Progressive growing of GANs, 2018 (equalised learning rate).
    """

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.rate, self.scale = rate, math.sqrt(2 / inputs) * rate

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs)` to `(B, outputs)`."""
        return functional.linear(x, self.weight * self.scale, self.bias * self.rate)


class PixelNorm(nn.Module):
    """Each row `(B, D)` at a mean square of 1."""

    def forward(self, x: Tensor) -> Tensor:
        """`(B, D)` to `(B, D)`."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


def dense(widths: Sequence[int], *, rate: float = 1.0, last: bool = False) -> nn.Sequential:
    """Dense layers with leaky rectifiers between, and with `last` behind the last one, too."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [Dense(inputs, outputs, rate), nn.LeakyReLU(0.2)]
    return nn.Sequential(*(layers if last else layers[:-1]))


class Autoencoder(nn.Module):
    """Images to codes and back; `forward` reconstructs.

    Args:
        image_shape: `(C, H, W)`.
        encoder: flat images to codes, of which the first `latent` numbers describe the image.
        generator: codes to flat images.
        mapping: random numbers to codes.
        latent: numbers of a code.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        encoder: nn.Module,
        generator: nn.Module,
        mapping: nn.Module,
        latent: int,
    ) -> None:
        super().__init__()
        self.image_shape, self.latent = image_shape, latent
        self.encoder, self.generator, self.mapping = encoder, generator, mapping

    def encode(self, images: Tensor) -> Tensor:
        """Images `(B, C, H, W)` in [0, 1] to codes `(B, latent)`."""
        found: Tensor = self.encoder(flat(images))[:, : self.latent]
        return found

    def decode(self, codes: Tensor) -> Tensor:
        """Codes to images in [0, 1]."""
        images: Tensor = self.generator(codes).unflatten(1, self.image_shape)
        return ((images + 1) / 2).clamp(0, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions of images in [0, 1]."""
        return self.decode(self.encode(images))


def flat(images: Tensor) -> Tensor:
    """Images `(B, C, H, W)` in [0, 1] as networks take them: `(B, C * H * W)` in [-1, 1]."""
    return 2 * images.flatten(1) - 1


class NetworkGenerator(NetworkModel):
    """New images, reconstructions and steps between images, from a trained autoencoder."""

    network: Autoencoder

    def generate(self, count: int) -> NDArray[np.uint8]:
        """New images `(count, H, W, C)`; always the same from the same network."""
        random = torch.Generator().manual_seed(SAMPLING_SEED)
        noise = torch.randn(count, self.network.latent, generator=random)
        with torch.inference_mode():
            return pixels(self.network.decode(self.network.mapping(noise.to(self.device))))

    def reconstruct(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the network makes of images `(N, H, W, C)`."""
        with torch.inference_mode():
            return np.concatenate([pixels(self.network(batch)) for batch in shown(images, 256, self.device)])

    def interpolate(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], steps: int
    ) -> NDArray[np.uint8]:
        """Images of the codes on the way from one image's code to another's, `(N, steps, H, W, C)`."""
        with torch.inference_mode():
            start, end = (
                self.network.encode(batch)
                for images in (first, second)
                for batch in shown(images, len(images), self.device)
            )
            shares = torch.linspace(0, 1, steps, device=self.device)[:, None]
            codes = start[:, None] * (1 - shares) + end[:, None] * shares
            images = pixels(self.network.decode(codes.flatten(0, 1)))
        return images.reshape(len(first), steps, *images.shape[1:])


def pixels(images: Tensor) -> NDArray[np.uint8]:
    """Images `(B, C, H, W)` in [0, 1] as uint8 `(B, H, W, C)`."""
    found: NDArray[np.uint8] = (images.float() * 255).round().to(torch.uint8).movedim(1, -1).cpu().numpy()
    return found


@dataclass(frozen=True)
class GenerationMethod(Recipe, ABC):
    """A recipe that makes its own autoencoder and its own loss."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    """`adamw`, which without weight decay is Adam."""
    lr: float = 0.002
    """Learning rate at its peak."""
    momentum: float = 0.0
    """AdamW's first beta."""
    weight_decay: float = 0.0
    """Weight decay on matrices."""
    ema: float = 0.998
    """Decay of the moving average of the weights of all networks, which is what generates."""
    latent: int = 16
    """Numbers of a code."""
    width: int = 256
    """Features of the two hidden layers of encoder and generator."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, latent=(self.latent >= 1, "1 or more"), width=(self.width >= 1, "1 or more"))

    @abstractmethod
    def network(self, image_shape: tuple[int, ...]) -> Autoencoder:
        """A network with fresh weights for images `(C, H, W)`."""

    @abstractmethod
    def loss(self, network: Any, images: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of an update.

        Args:
            network: What `network` made, in training mode.
            images: `(B, C, H, W)` in [0, 1].
            generator: The update's random numbers.
        """

    def bodies(self, image_shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """Widths of the layers of encoder and generator, the same for all methods here."""
        size, hidden = math.prod(image_shape), [self.width, self.width]
        return [size, *hidden, self.latent], [self.latent, *hidden, size]

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""
        execution, held_out = context.execution or Execution(), data.held_out

        def monitor(network: Autoencoder) -> dict[str, float]:
            assert held_out is not None
            made = NetworkGenerator(network, execution).reconstruct(held_out.images)
            apart = (made.astype(np.float64) - held_out.images) / 255
            return {"val_pixel_error": float((apart**2).mean())}

        trained, facts = fit_network(
            self,
            fresh(lambda: self.network(data.image_shape), context),
            Batches(
                data.train.images,
                data.train.labels,
                batch_size=self.batch_size,
                seed=context.seed,
                device=execution.resolved_device(),
            ),
            lambda network, images, _, generator: self.loss(network, images, generator),
            context,
            monitor=monitor if held_out else None,  # type: ignore[arg-type]
            flops=lambda network: forward_flops(network, data.image_shape),
        )
        return Fitted(NetworkGenerator(trained, execution), facts)

    def load(
        self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any
    ) -> NetworkGenerator:
        """Restores a network that `fit` trained."""
        return NetworkGenerator(with_weights(self.network(image_shape), folder), execution)
