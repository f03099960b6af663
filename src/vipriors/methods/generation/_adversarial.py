"""Adversarial losses, and a network of two sides whose updates take turns.

The losses stand alone: they take functions and tensors, and no network of this package.

Sources: Goodfellow et al., Generative adversarial networks, 2014 (the losses that do not saturate);
Mescheder et al., Which training methods for GANs do actually converge?, 2018 (the penalty R1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.generation._network import Autoencoder, Dense, PixelNorm, dense

Judge = Callable[[Tensor], Tensor]
"""Images `(B, …)` to logits `(B,)` or `(B, 1)`: high for real ones."""

UPDATES = 3
"""Of a turn: of the side that judges, of the side that generates, and one of codes."""
SLOW = 0.1
"""Pace of the mapping and of the discriminator, beside the other networks'."""


def critic_loss(judge: Judge, real: Tensor, fake: Tensor, gamma: float) -> Tensor:
    """Real images are to be judged high and fake ones low; `gamma` / 2 weighs the penalty R1."""
    real = real.detach().requires_grad_(gamma > 0)
    logits = judge(real)
    loss = functional.softplus(judge(fake.detach())).mean() + functional.softplus(-logits).mean()
    return loss + gamma / 2 * gradient_penalty(logits, real) if gamma > 0 else loss


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """R1: the mean over the images of the squared norm of the gradient of their logits by them."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def generator_loss(judge: Judge, fake: Tensor) -> Tensor:
    """Fake images are to be judged high."""
    return functional.softplus(-judge(fake)).mean()


class Adversarial(Autoencoder):
    """Mapping F, generator G, encoder E and discriminator D over a critic's codes.

    Args:
        image_shape: `(C, H, W)`.
        encoder_widths: of E's layers, from the flat image to the code.
        generator_widths: of G's.
        mapping_layers: of F.
        apart: Whether the critic is a network of its own; otherwise it is E, which then serves both ends.
    """

    turn: Tensor

    def __init__(
        self,
        image_shape: tuple[int, ...],
        encoder_widths: list[int],
        generator_widths: list[int],
        mapping_layers: int,
        *,
        apart: bool,
    ) -> None:
        latent = encoder_widths[-1]
        super().__init__(
            image_shape,
            # A rectifier behind the last layer, too, like that of the mapping, whose codes these are.
            dense(encoder_widths, last=True),
            dense(generator_widths),
            nn.Sequential(PixelNorm(), *dense([latent] * (mapping_layers + 1), rate=SLOW, last=True)),
            latent,
        )
        self.critic = dense(encoder_widths, last=True) if apart else self.encoder
        # Without an activation between: the logit is an affine function of the code.
        self.discriminator = nn.Sequential(
            Dense(latent, latent, SLOW), Dense(latent, latent, SLOW), Dense(latent, 1, SLOW)
        )
        # A buffer, so that a training that is taken up again goes on with the right update.
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    def judge(self, images: Tensor) -> Tensor:
        """Logits `(B,)` of flat images."""
        found: Tensor = self.discriminator(self.critic(images))[:, 0]
        return found

    def next_update(self) -> int:
        """Which update of a turn this is, from 0, and counts it."""
        update = int(self.turn) % UPDATES
        self.turn += 1
        return update


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """What is computed meanwhile passes gradients through these networks, and leaves them none."""
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
