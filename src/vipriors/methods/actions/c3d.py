"""C3D: eight 3x3x3 convolutions, the baseline promised for the first challenge and never released.

Source: Tran, Bourdev, Fergus, Torresani, Paluri, "Learning spatiotemporal features with 3D convolutional
networks", ICCV 2015. The recipe of `full` is the authors' for training on UCF101 from random weights, with a
smaller network (`examples/c3d_train_ucf101` of their code): batches of 30, learning rate 0.003, momentum 0.9,
weight decay 0.005, 60,000 steps.

Shapes: clips `(B, C, T, H, W)` in [0, 1] to logits `(B, K)`; published for 3 x 16 x 112 x 112.

Deviations from the paper:
1. `tiny` and `small` are narrower, with batch normalisation; their recipes are ours and not searched. On the
   validation clips of digits-actions, 250 steps of `tiny` with crops and jitter stayed at chance.
2. The learning rate falls by a cosine to zero, not to a tenth every 20,000 steps.
3. Weights start as He et al. (2015) propose, and biases at zero; published are a Gaussian of deviation 0.01
   and biases of one, and twice the learning rate for biases.
4. Crops vary in size and are enlarged to the challenge's input, which is fixed; published is one size of 112
   from 128 x 171 pixels, 0.57 of the area.
5. Each channel is standardised; published is the subtraction of a mean clip.
6. To predict, probabilities are averaged over a few parts of a clip, not over all 16 frames after another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.actions._layers import Norm
from vipriors.methods.actions._network import ClipMethod

WIDTHS = (1, 2, 4, 4, 8, 8, 8, 8)
"""Channels of the convolutions, in those of the first."""
POOLED = {0: (1, 2, 2), 1: (2, 2, 2), 3: (2, 2, 2), 5: (2, 2, 2), 7: (2, 2, 2)}
"""After which convolutions time, rows and columns are pooled, and how many into one."""


class Cubic(nn.Module):
    """A 3 x 3 x 3 convolution, padded to keep the size.

    Its weights are stored `(outputs, inputs, 27)`: training puts all weights with four or five axes into the
    layout of images, which those of `nn.Conv3d` cannot take.

    Args:
        inputs: Channels in.
        outputs: Channels out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 27))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, inputs, T, H, W)` to `(B, outputs, T, H, W)`."""
        return functional.conv3d(
            clips, self.weight.view(*self.weight.shape[:2], 3, 3, 3), self.bias, padding=1
        )


def c3d_network(
    clip_shape: tuple[int, ...],
    classes: int,
    *,
    width: int = 64,
    features: int = 4096,
    dropout: float = 0.5,
    normalise: bool = False,
) -> nn.Sequential:
    """C3D for clips of a given shape.

    Args:
        clip_shape: `(C, T, H, W)`.
        classes: Number of logits.
        width: Channels of the first convolution; the last has eight times as many.
        features: Of each of the two hidden layers.
        dropout: Share of them that is dropped.
        normalise: Normalise after each convolution, over the batch.
    """
    channels, *sides = clip_shape
    layers: list[nn.Module] = []
    for place, (inputs, outputs) in enumerate(pairwise([channels, *(width * times for times in WIDTHS)])):
        layers += [Cubic(inputs, outputs), *([Norm(outputs)] if normalise else []), nn.ReLU()]
        if window := POOLED.get(place):
            layers.append(nn.MaxPool3d(window, ceil_mode=True))
            sides = [-(-side // times) for side, times in zip(sides, window, strict=True)]
    inputs = width * WIDTHS[-1] * sides[0] * sides[1] * sides[2]
    layers.append(nn.Flatten())
    for outputs in (features, features):
        hidden = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(hidden.weight, nonlinearity="relu")
        nn.init.zeros_(hidden.bias)
        layers += [hidden, nn.ReLU(), nn.Dropout(dropout)]
        inputs = outputs
    head = nn.Linear(inputs, classes)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return nn.Sequential(*layers, head)


@dataclass(frozen=True)
class C3D(ClipMethod):
    """Hyper-parameters of C3D."""

    frames: int = 16
    """Frames of the part of a clip that is looked at; all of a clip that has fewer."""
    strides: tuple[int, ...] = (1,)
    """Steps between these frames, one drawn for each part; predicting uses the last."""
    width: int = 64
    """Channels of the first convolution; the last has eight times as many."""
    features: int = 4096
    """Of each of the two hidden layers."""
    dropout: float = 0.5
    """Share of them that is dropped."""
    normalise: bool = False
    """Normalise after each convolution, over the batch."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {
            "steps": 300,
            "batch_size": 16,
            "width": 8,
            "features": 128,
            "normalise": True,
            "lr": 0.02,
            "weight_decay": 0.005,
        },
        "small": {
            "steps": 2000,
            "batch_size": 16,
            "width": 16,
            "features": 256,
            "normalise": True,
            "lr": 0.02,
            "weight_decay": 0.005,
        },
        "full": {
            "steps": 60_000,
            "batch_size": 30,
            "lr": 0.003,
            "weight_decay": 0.005,
            "warmup": 0.0,
            "views": 10,
            "crop": 0.57,
        },
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (1e-3, 0.1), "weight_decay": (1e-4, 0.1)}
    """Ranges that are searched, both on a logarithmic scale."""

    def network(self, clip_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, T, H, W)` to `(B, classes)`."""
        return c3d_network(
            clip_shape,
            classes,
            width=self.width,
            features=self.features,
            dropout=self.dropout,
            normalise=self.normalise,
        )
