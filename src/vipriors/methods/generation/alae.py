"""Adversarial latent autoencoder: codes are the same before the generator and behind the encoder.

Source: Pidhorskyi, Adjeroh, Doretto, "Adversarial latent autoencoders", CVPR 2020.

Mechanism: a GAN of two halves each: the generator is G after a mapping F, the discriminator D after an
encoder E. Three updates take turns, each of its own networks only: (1) E and D learn to tell real from
generated images, with the gradient penalty R1; (2) F and G learn to be taken for real; (3) E and G learn that
the code of a generated image is the code it was generated from (reciprocity). So images are compared by what
the encoder says of them, never pixel by pixel. All three count as steps.

Shapes: images `(B, C, H, W)` in [0, 1] to codes `(B, latent)` and back.

Deviations from the paper:
1. The dense variant alone, of the released code's form: no styles, no noise, no growing.
2. In update 3 the released code steps F, too, through G's input (its target is detached); the paper's text
   moves E and G alone. Here as in the code; `train_mapping=False` is as in the text.
3. One Adam over all networks. Those that an update leaves without a gradient are not moved and keep their
   moments, so it is two optimisers, as in the code. Its second beta is 0.999, not 0.99.
4. The learning rate warms up and falls by a cosine; in the code it is constant for each resolution.
5. The moving average is counted in updates, three to a batch. It is over all networks, as in the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from vipriors.card import Card, Claim
from vipriors.methods.generation._adversarial import Adversarial, critic_loss, frozen, generator_loss
from vipriors.methods.generation._network import GenerationMethod, flat
from vipriors.train import require

CARD = Card(
    system="G2",
    name="Adversarial latent autoencoder",
    source="Adversarial latent autoencoders, CVPR 2020",
    claims=(
        Claim(
            "generated digits closer than those of a variational autoencoder",
            "digits-generation",
            "kfd",
            baseline="vae",
            higher=False,
            published="FID on CelebA-HQ 256: 19.21, other autoencoders from 25.25 up (recalled, not checked)",
        ),
        Claim(
            "reconstructed digits keep their class more often than with an encoder fitted to a GAN's images",
            "digits-generation",
            "class_agreement",
            baseline="gan-encoder",
        ),
        Claim(
            "generated digits closer than those of the same GAN without reciprocity",
            "digits-generation",
            "kfd",
            baseline="gan-encoder",
            higher=False,
            published="the opposite: FID on FFHQ 13.09, StyleGAN 4.40 (recalled, not checked)",
        ),
    ),
)


@dataclass(frozen=True)
class AdversarialLatentAutoencoder(GenerationMethod):
    """Hyper-parameters of the adversarial latent autoencoder."""

    steps: int = 18000
    """Training budget in updates, three to a batch."""
    batch_size: int = 64
    """Images in a batch."""
    mapping_layers: int = 4
    """Layers of the mapping from random numbers to codes."""
    gamma: float = 0.1
    """Weight of the gradient penalty R1; of 0.1, 1 and 10 by the validation digits of one subset."""
    reciprocity: float = 1.0
    """Weight of the squared difference of codes."""
    train_mapping: bool = True
    """Whether the mapping learns from the difference of codes, too."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {},
        "small": {"steps": 90000, "width": 512, "latent": 32, "batch_size": 128, "mapping_layers": 6},
        "full": {
            "steps": 180000,
            "width": 1024,
            "latent": 50,
            "batch_size": 128,
            "mapping_layers": 6,
            "gamma": 10.0,
        },
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (5e-4, 5e-3), "gamma": (0.1, 10.0)}

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self,
            mapping_layers=(self.mapping_layers >= 1, "1 or more"),
            gamma=(0 <= self.gamma < 1e6, "0 or more"),
            reciprocity=(0 <= self.reciprocity < 1e6, "0 or more"),
        )

    def network(self, image_shape: tuple[int, ...]) -> Adversarial:
        """Networks with fresh weights."""
        return Adversarial(image_shape, *self.bodies(image_shape), self.mapping_layers, apart=False)

    def loss(self, network: Adversarial, images: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of the update whose turn it is; leaves gradients to the networks that it moves."""
        noise = torch.randn(len(images), self.latent, generator=generator).to(images.device)
        match network.next_update():
            case 0:
                return self.judging(network, images, noise)
            case 1:
                with frozen(network.encoder, network.discriminator):
                    return generator_loss(network.judge, network.generator(network.mapping(noise)))
            case _:
                codes = network.mapping(noise)
                start = codes if self.train_mapping else codes.detach()
                again = network.encoder(network.generator(start))
                return self.reciprocity * functional.mse_loss(again, codes.detach())

    def judging(self, network: Adversarial, images: Tensor, noise: Tensor) -> Tensor:
        """The loss of who tells images `(B, C, H, W)` from generated ones."""
        with torch.no_grad():
            fake = network.generator(network.mapping(noise))
        return critic_loss(network.judge, flat(images), fake, self.gamma)
