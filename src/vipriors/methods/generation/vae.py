"""Variational autoencoder: codes near a standard normal, images rebuilt pixel by pixel.

Source: Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014; the weight of the divergence:
Higgins et al., "beta-VAE", ICLR 2017.

Mechanism: the encoder gives a mean and a variance for each number of a code; a code drawn from them is
decoded. Learned are a small squared error of pixels and a small divergence of the codes from a standard
normal, from which new images are drawn.

Shapes: images `(B, C, H, W)` in [0, 1] to codes `(B, latent)` and back.

Deviations from the paper:
1. Images are decoded to the mean of a Gaussian of fixed variance 1/2, in pixels from -1 to 1, and drawn
   without its noise. `beta` weighs the divergence, which is the same as another variance.
2. Dense layers, Adam, the learning rate and the moving average of `alae`, whose baseline this is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vipriors.methods.generation._network import Autoencoder, GenerationMethod, dense, flat
from vipriors.train import require


@dataclass(frozen=True)
class VariationalAutoencoder(GenerationMethod):
    """Hyper-parameters of the variational autoencoder."""

    steps: int = 18000
    """Training budget in updates."""
    batch_size: int = 64
    """Images in a batch."""
    beta: float = 0.5
    """Weight of the divergence beside the squared error summed over pixels from -1 to 1."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {},
        "small": {"steps": 90000, "width": 512, "latent": 32, "batch_size": 128},
        "full": {"steps": 180000, "width": 1024, "latent": 50, "batch_size": 128},
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (5e-4, 5e-3), "beta": (0.05, 4.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, beta=(0 <= self.beta < 1e6, "0 or more"))

    def network(self, image_shape: tuple[int, ...]) -> Autoencoder:
        """A network with fresh weights; the encoder gives means and logarithms of variances."""
        encoder, generator = self.bodies(image_shape)
        return Autoencoder(
            image_shape,
            dense([*encoder[:-1], 2 * self.latent]),
            dense(generator),
            nn.Identity(),
            self.latent,
        )

    def loss(self, network: Autoencoder, images: Tensor, generator: torch.Generator) -> Tensor:
        """The squared error of pixels and the divergence, each summed over an image, mean over the batch."""
        x = flat(images)
        mean, log_variance = network.encoder(x).chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator).to(mean.device)
        codes = mean + (0.5 * log_variance).exp() * noise
        error: Tensor = (network.generator(codes) - x).square().sum(1).mean()
        return error + self.beta * divergence(mean, log_variance)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Of Gaussians from a standard normal (Kullback-Leibler, in nats), mean over the batch; `(B, D)` each."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
