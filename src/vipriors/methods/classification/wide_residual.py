"""Wide residual network WRN-d-k with tuned cross-entropy: the field's common yardstick.

Source: Zagoruyko, Komodakis, "Wide residual networks", BMVC 2016. WRN-16-8 with learning rate and weight
decay searched on validation, batches of ten and 500 passes is the tuned cross-entropy of Brigato et al.
(ICCV workshops 2021) and of their benchmark GEM.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. Learning rate falls by a cosine to zero, not in steps.
2. Weight decay leaves biases and normalisation scales alone.
3. Inputs over 64 px pass a stride-4 stem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import nn

from vipriors.methods.classification._network import NetworkMethod
from vipriors.methods.classification.residual import Block, Parts, residual_network
from vipriors.problems import BadInput


def wide_residual_network(
    depth: int, factor: int, channels: int, classes: int, *, image_size: int = 32, dropout: float = 0.0
) -> nn.Sequential:
    """WRN-depth-factor: a stem of 16 channels, then stages of 16k, 32k and 64k channels.

    Args:
        depth: Convolution layers, 6n + 4 for n blocks a stage.
        factor: How many times wider than a plain residual network (k).
        channels: Of the images.
        classes: Number of logits.
        image_size: Shorter side in pixels.
        dropout: Between the convolutions of a block.

    Raises:
        BadInput: The depth is not of the form 6n + 4.
    """
    return residual_network(
        channels,
        classes,
        stem=16,
        widths=(16 * factor, 32 * factor, 64 * factor),
        blocks=blocks_a_stage(depth),
        image_size=image_size,
        parts=Parts(block=partial(Block, dropout=dropout)),
    )


def blocks_a_stage(depth: int) -> int:
    """The n of a depth of 6n + 4: three stages of n blocks of two convolutions, and four more.

    Raises:
        BadInput: There is none.
    """
    blocks, rest = divmod(depth - 4, 6)
    if blocks < 1 or rest:
        raise BadInput.single("depth", f"is {depth}; expected 6n + 4: 10, 16, 22, …")
    return blocks


@dataclass(frozen=True)
class WideResidual(NetworkMethod):
    """Hyper-parameters of the wide residual network."""

    depth: int = 16
    """Convolution layers, 6n + 4."""
    factor: int = 8
    """Width factor k."""
    dropout: float = 0.0
    """Share of features dropped between the convolutions of a block."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Learning rate and decay as found on validation: results/tuning, cifar-10.
        "tiny": {"depth": 10, "factor": 2, "steps": 1000, "lr": 0.0147, "weight_decay": 0.057},
        "small": {"depth": 16, "factor": 2, "steps": 4000, "lr": 0.0147, "weight_decay": 0.057},
        # GEM's optimum for ciFAIR-10 at 50 a class: 500 passes over 500 images in batches of ten.
        "full": {"steps": 25_000, "batch_size": 10, "lr": 4.55e-3, "weight_decay": 5.29e-3},
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-3, 0.3), "weight_decay": (1e-4, 0.1)}
    """Ranges that are searched, both on a logarithmic scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        blocks_a_stage(self.depth)

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes)`."""
        channels, height, width = image_shape
        size = min(height, width)
        return wide_residual_network(
            self.depth, self.factor, channels, classes, image_size=size, dropout=self.dropout
        )
