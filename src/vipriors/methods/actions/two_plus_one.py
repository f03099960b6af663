"""R(2+1)D: space and time convolved one after the other, on frames and their differences.

Source: Tran, Wang, Torresani, Ray, LeCun, Paluri, "A closer look at spatiotemporal convolutions for action
recognition", CVPR 2018. Differences of frames as an input follow Wang et al., "Temporal segment networks",
ECCV 2016.

Shapes: clips `(B, C, T, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the papers:
1. `tiny` and `small` are narrower and shallower, with widths for 2 cores. Up to 64 px the stem is 3x3, and
   the first stage halves the resolution, too.
2. A convolution over space is a 2-D one of all frames, one over time a 2-D one over (time, pixels): the same
   sums as a 3-D convolution, a fifth to a third quicker on a CPU.
3. The budget is given in steps, not epochs, with a cosine schedule to zero.
4. Weight decay leaves biases and normalisation scales alone.
5. The differences are those of raw frames next to each other in what is shown, and nothing for the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.actions._layers import Norm, Spatial, Temporal
from vipriors.methods.actions._network import ClipMethod


def middle_channels(inputs: int, outputs: int) -> int:
    """Channels between space and time with which both have the weights of one 3 x 3 x 3 convolution."""
    return 27 * inputs * outputs // (9 * inputs + 3 * outputs)


def factorised(inputs: int, outputs: int, time: int = 1, space: int = 1) -> nn.Sequential:
    """A 3 x 3 x 3 convolution, first over space and then over time, normalised and rectified between.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        time: Stride in time.
        space: Stride in space.
    """
    middle = middle_channels(inputs, outputs)
    return nn.Sequential(
        Spatial(inputs, middle, 3, space), Norm(middle), nn.ReLU(), Temporal(middle, outputs, 3, time)
    )


class Block(nn.Module):
    """Two factorised convolutions around a shortcut.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        time: Stride in time, of the first convolution.
        space: Stride in space.
    """

    def __init__(self, inputs: int, outputs: int, time: int = 1, space: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(factorised(inputs, outputs, time, space), Norm(outputs))
        self.second = nn.Sequential(factorised(outputs, outputs), Norm(outputs))
        self.time, self.space = time, space
        same = inputs == outputs and time == space == 1
        self.shortcut = None if same else nn.Sequential(Spatial(inputs, outputs, 1), Norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, T, H, W)` to `(B, outputs, T / time, H / space, W / space)`."""
        y = self.second(functional.relu(self.first(x)))
        # Frames and pixels are skipped here and not by the shortcut's stride: the gradient of a strided 1x1
        # convolution of few channels overruns memory on a CPU (oneDNN issue 6035).
        kept = x[:, :, :: self.time, :: self.space, :: self.space]
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(kept)))


def factorised_network(
    channels: int, classes: int, *, widths: Sequence[int], blocks: int, large: bool, dropout: float = 0.0
) -> nn.Sequential:
    """R(2+1)D with average pooling over space and time.

    Args:
        channels: Of the clips.
        classes: Number of logits.
        widths: Channels of each stage; every stage but the first halves space and time.
        blocks: Blocks a stage; 2 in R(2+1)D-18.
        large: The published stem of 7 x 7, with 45 channels between. Else one of 3 x 3, and the first stage
            halves space.
        dropout: Share of features dropped before the logits.
    """
    size, middle = (7, 45) if large else (3, widths[0])
    layers: list[nn.Module] = [
        Spatial(channels, middle, size, 2),
        Norm(middle),
        nn.ReLU(),
        Temporal(middle, widths[0]),
        Norm(widths[0]),
        nn.ReLU(),
    ]
    inputs = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            time = 2 if stage > 0 and block == 0 else 1
            space = 2 if block == 0 and not large else time
            layers.append(Block(inputs, width, time, space))
            inputs = width
    head = nn.Linear(inputs, classes)
    layers += [nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Dropout(dropout), head]
    network = nn.Sequential(*layers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(head.bias)
    return network


def differences(clips: Tensor) -> Tensor:
    """Each frame less the one before, and nothing for the first: `(B, C, T, H, W)` to the same shape."""
    return functional.pad(clips.diff(dim=2), (0, 0, 0, 0, 1, 0))


class Differences(Norm):
    """Shows the differences of frames, at unit deviation.

    Args:
        channels: Of the clips.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, C, T, H, W)` to the same shape."""
        return super().forward(differences(clips))


class WithDifferences(Differences):
    """Shows the frames, and their differences as more channels."""

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, C, T, H, W)` to `(B, 2 * C, T, H, W)`."""
        return torch.cat((clips, super().forward(clips)), dim=1)


class TwoStreams(nn.Module):
    """Two networks side by side, whose logits are averaged."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, C, T, H, W)` to logits `(B, K)`."""
        logits: Tensor = (self.first(clips) + self.second(clips)) / 2
        return logits


@dataclass(frozen=True)
class TwoPlusOne(ClipMethod):
    """Hyper-parameters of R(2+1)D."""

    width: int = 16
    """Channels of the first stage; each later stage has twice as many."""
    stages: int = 3
    """Stages, each at half the resolution and length of the one before."""
    blocks: int = 1
    """Residual blocks a stage."""
    differences: Literal["none", "channels", "stream", "only"] = "channels"
    """Differences of frames: not shown, as more channels, to a second network, or without the frames."""
    dropout: float = 0.0
    """Share of features dropped before the logits."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Chosen on the validation clips of digits-actions, of a handful of trials.
        "tiny": {
            "steps": 600,
            "batch_size": 16,
            "crop": 0.4,
            "jitter": 0.5,
            "lr": 0.1,
            "weight_decay": 0.005,
        },
        # As tiny, wider and longer; not searched.
        "small": {
            "steps": 2000,
            "batch_size": 16,
            "width": 32,
            "frames": 16,
            "strides": (1,),
            "crop": 0.4,
            "jitter": 0.5,
            "lr": 0.1,
            "weight_decay": 0.005,
        },
        # R(2+1)D-18 with the authors' learning rate, batch and test for Kinetics; the budget is ours.
        "full": {
            "steps": 60_000,
            "batch_size": 32,
            "width": 64,
            "stages": 4,
            "blocks": 2,
            "frames": 16,
            "strides": (1,),
            "views": 10,
            "differences": "none",
            "crop": 0.57,
            "lr": 0.01,
            "weight_decay": 1e-4,
            "warmup": 0.2,
        },
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-3, 0.3), "weight_decay": (1e-4, 0.1)}
    """Ranges that are searched, both on a logarithmic scale."""

    def network(self, clip_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, T, H, W)` to `(B, classes)`."""
        channels, _, height, width = clip_shape

        def one(channels: int) -> nn.Module:
            return factorised_network(
                channels,
                classes,
                widths=[self.width * 2**stage for stage in range(self.stages)],
                blocks=self.blocks,
                large=min(height, width) > 64,
                dropout=self.dropout,
            )

        match self.differences:
            case "none":
                return one(channels)
            case "channels":
                return nn.Sequential(WithDifferences(channels), one(2 * channels))
            case "stream":
                changes = nn.Sequential(Differences(channels), one(channels))
                return TwoStreams(one(channels), changes)
            case "only":
                return nn.Sequential(Differences(channels), one(channels))
