"""A plain GAN, and beside it an encoder fitted to the images that it generates.

Source: Goodfellow et al., "Generative adversarial networks", 2014; the encoder is the usual way to get codes
of images from a GAN that has none (Zhu et al., "Generative visual manipulation on the natural image
manifold", 2016). The baseline of `alae`, whose networks, losses and updates these are.

Mechanism: mapping, generator and discriminator as in `alae`, but the discriminator's encoder is its own. A
third network of the same form learns to find the code that an image was generated from. Neither does the
generator learn from that, nor does the encoder ever see a real image.

Shapes: images `(B, C, H, W)` in [0, 1] to codes `(B, latent)` and back.

Deviations from the usual way:
1. The encoder is fitted beside the GAN, one update of three, not afterwards, so that all networks have the
   same schedule and as many updates as in `alae`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from vipriors.methods.generation import alae
from vipriors.methods.generation._adversarial import Adversarial, frozen, generator_loss


@dataclass(frozen=True)
class GanEncoder(alae.AdversarialLatentAutoencoder):
    """Hyper-parameters of the GAN; `reciprocity` weighs the encoder's loss, and the mapping never has it."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = alae.AdversarialLatentAutoencoder.presets
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = alae.AdversarialLatentAutoencoder.tuning

    def network(self, image_shape: tuple[int, ...]) -> Adversarial:
        """Networks with fresh weights; the critic is not the encoder."""
        return Adversarial(image_shape, *self.bodies(image_shape), self.mapping_layers, apart=True)

    def loss(self, network: Adversarial, images: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of the update whose turn it is."""
        noise = torch.randn(len(images), self.latent, generator=generator).to(images.device)
        match network.next_update():
            case 0:
                return self.judging(network, images, noise)
            case 1:
                with frozen(network.critic, network.discriminator):
                    return generator_loss(network.judge, network.generator(network.mapping(noise)))
            case _:
                with torch.no_grad():
                    codes = network.mapping(noise)
                    fake = network.generator(codes)
                return self.reciprocity * functional.mse_loss(network.encoder(fake), codes)
