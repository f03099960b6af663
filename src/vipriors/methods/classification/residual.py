"""Small residual network with tuned cross-entropy: the baseline to beat.

Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016; the recipe (nothing
but cross-entropy, learning rate and weight decay searched on validation, small batches, a long schedule)
follows Brigato, Barz, Iocchi, Denzler, "Tune it or don't use it", ICCV workshops 2021, who found that it
beats most published methods for few images.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the papers:
1. Pre-activation blocks without a bottleneck, three stages, widths chosen for 2 cores.
2. Inputs over 64 px pass a stride-4 stem, smaller ones a stride-1 stem.
3. The budget is given in steps, not epochs, with a cosine schedule to zero.
4. Weight decay leaves biases and normalisation scales alone.
5. Augmentation is what the challenge says leaves a label as it is (mirroring, shift, turn, scale).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification._network import NetworkMethod


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut, normalised and rectified before each (He et al. 2016b).

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the first convolution.
        dropout: Share of features dropped between the convolutions.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1: nn.Module = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2: nn.Module = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.stride, self.dropout = stride, dropout
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`."""
        active = functional.relu(self.norm1(x))
        # Rows and columns are skipped here and not by the shortcut's stride: the gradient of a strided 1x1
        # convolution of few channels overruns memory on a CPU (oneDNN issue 6035).
        skip = x if self.shortcut is None else self.shortcut(active[:, :, :: self.stride, :: self.stride])
        y = functional.relu(self.norm2(self.conv1(active)))
        if self.dropout:
            y = functional.dropout(y, self.dropout, self.training)
        residual: Tensor = self.conv2(y)
        return skip + residual


def stem(channels: int, outputs: int, reduces: bool) -> list[nn.Module]:
    """The first convolution; with a stride and max pooling where large images are reduced by four."""
    if not reduces:
        return [nn.Conv2d(channels, outputs, 3, padding=1, bias=False)]
    return [nn.Conv2d(channels, outputs, 7, 2, padding=3, bias=False), nn.MaxPool2d(3, 2, padding=1)]


def neck(inputs: int) -> list[nn.Module]:
    """From the last block's maps `(B, inputs, H, W)` to features `(B, inputs)`."""
    return [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def head(inputs: int, classes: int) -> nn.Module:
    """From features to logits."""
    linear = nn.Linear(inputs, classes)
    nn.init.zeros_(linear.bias)
    return linear


@dataclass(frozen=True)
class Parts:
    """What a residual network is built of; a method that builds one part in its own way replaces that one."""

    stem: Callable[[int, int, bool], list[nn.Module]] = stem
    """Of the images' channels, the channels out, and whether large images are to be reduced by four."""
    block: Callable[[int, int, int], nn.Module] = Block
    """Of channels in, channels out and stride."""
    neck: Callable[[int], list[nn.Module]] = neck
    """Of the channels of the last block."""
    head: Callable[[int, int], nn.Module] = head
    """Of the number of features and of classes."""


def residual_network(
    channels: int,
    classes: int,
    *,
    stem: int,
    widths: tuple[int, ...],
    blocks: int,
    image_size: int,
    strides: tuple[int, ...] | None = None,
    parts: Parts | None = None,
) -> nn.Sequential:
    """A pre-activation residual network with global average pooling.

    Args:
        channels: Of the images.
        classes: Number of logits.
        stem: Channels after the first convolution.
        widths: Channels of each stage.
        blocks: Blocks a stage.
        image_size: Shorter side in pixels; over 64 the stem reduces by four.
        strides: Of each stage's first block; by default every stage but the first halves the resolution.
        parts: What it is built of.
    """
    parts = parts or Parts()
    strides = strides or (1,) + (2,) * (len(widths) - 1)
    layers = parts.stem(channels, stem, image_size > 64)
    inputs = stem
    for width, stride in zip(widths, strides, strict=True):
        for block in range(blocks):
            layers.append(parts.block(inputs, width, stride if block == 0 else 1))
            inputs = width
    network = nn.Sequential(*layers, *parts.neck(inputs), parts.head(inputs, classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


@dataclass(frozen=True)
class Residual(NetworkMethod):
    """Hyper-parameters of the small residual network."""

    width: int = 32
    """Channels of the first stage; each later stage has twice as many."""
    stages: int = 3
    """Stages, each at half the resolution of the one before."""
    blocks: int = 1
    """Residual blocks a stage."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Learning rates and decays as found on validation: results/tuning, digits and fashion-mnist.
        "tiny": {"steps": 1000, "width": 16, "lr": 0.0325, "weight_decay": 0.0169},
        "small": {"steps": 4000, "width": 32, "lr": 0.0147, "weight_decay": 0.057},
        # As WRN-16-8's published optimum at 50 a class; not searched here.
        "full": {
            "steps": 25_000,
            "batch_size": 10,
            "width": 64,
            "blocks": 2,
            "lr": 4.55e-3,
            "weight_decay": 5.29e-3,
        },
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-3, 0.3), "weight_decay": (1e-4, 0.1)}
    """Ranges that are searched, both on a logarithmic scale."""

    def parts(self) -> Parts:
        """What the network is built of: a method that swaps one thing says so here."""
        return Parts()

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes)`."""
        channels, height, width = image_shape
        return residual_network(
            channels,
            classes,
            stem=self.width,
            widths=tuple(self.width * 2**stage for stage in range(self.stages)),
            blocks=self.blocks,
            image_size=min(height, width),
            parts=self.parts(),
        )
