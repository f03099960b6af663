"""The features that detectors work on: a residual network and a feature pyramid, with group normalisation.

Sources: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016; Lin et al.,
"Feature pyramid networks for object detection", CVPR 2017; Wu, He, "Group normalization", ECCV 2018:
detectors have few images a batch, too few for the statistics of batch normalisation, and here nothing is
pre-trained that could lend its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.detection._edges import Sight


def group_norm(channels: int) -> nn.GroupNorm:
    """At most 32 groups, of four channels or more where the channels divide so."""
    most = min(32, max(1, channels // 4))
    groups = next(groups for groups in range(most, 0, -1) if channels % groups == 0)
    return nn.GroupNorm(groups, channels)


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the resolution but for its stride, without a bias, as a norm follows."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut, as in ResNet-18.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.norm1 = convolution(inputs, outputs, stride=stride), group_norm(outputs)
        self.conv2, self.norm2 = convolution(outputs, outputs), group_norm(outputs)
        self.stride = stride
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else nn.Sequential(convolution(inputs, outputs, 1), group_norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`, rounded up."""
        # Rows and columns are skipped here and not by the shortcut's stride: the gradient of a strided 1x1
        # convolution of few channels overruns memory on a CPU (oneDNN issue 6035).
        skip = x if self.shortcut is None else self.shortcut(x[:, :, :: self.stride, :: self.stride])
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + skip)


class Backbone(nn.Module):
    """Gives features of images at several resolutions, all of as many channels.

    Args:
        sight: What is seen of the images.
        widths: Channels of the stages, the first at stride 4, each later one at twice the stride.
        blocks: Blocks a stage.
        pooled: A 7x7 stem with pooling as in ResNet-18, instead of a light one of 3x3.
        first: The first stage that features are taken of, from 0.
        outputs: Channels of the features.
        extra: Coarser levels beyond the last stage, each at twice the stride.
    """

    def __init__(
        self,
        sight: Sight,
        *,
        widths: Sequence[int],
        blocks: int,
        pooled: bool,
        first: int,
        outputs: int,
        extra: int = 0,
    ) -> None:
        super().__init__()
        self.sight = sight
        stem = widths[0] if pooled else max(8, widths[0] // 2)
        layers: list[nn.Module] = [
            convolution(sight.channels, stem, 7 if pooled else 3, 2),
            group_norm(stem),
            nn.ReLU(),
        ]
        if pooled:
            layers.append(nn.MaxPool2d(3, 2, padding=1))
        self.stem = nn.Sequential(*layers)
        stages, inputs = [], stem
        for stage, width in enumerate(widths):
            stride = 1 if pooled and stage == 0 else 2
            stages.append(
                nn.Sequential(
                    *(Block(width if k else inputs, width, 1 if k else stride) for k in range(blocks))
                )
            )
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.first, self.extra, self.outputs = first, extra, outputs
        self.lateral = nn.ModuleList(convolution(width, outputs, 1) for width in widths[first:])
        self.lateral_norm = nn.ModuleList(group_norm(outputs) for _ in widths[first:])
        self.smooth = nn.ModuleList(
            nn.Sequential(convolution(outputs, outputs), group_norm(outputs)) for _ in widths[first:]
        )
        self.strides = tuple(4 * 2**level for level in range(first, len(widths) + extra))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images `(B, C, H, W)` in [0, 1] to maps `(B, outputs, H / stride, W / stride)`, finest first."""
        x, found = self.stem(self.sight(images)), []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number >= self.first:
                level = number - self.first
                found.append(self.lateral_norm[level](self.lateral[level](x)))
        for level in range(len(found) - 2, -1, -1):
            size = found[level].shape[2:]
            found[level] = found[level] + functional.interpolate(found[level + 1], size)
        features = [smooth(level) for smooth, level in zip(self.smooth, found, strict=True)]
        for _ in range(self.extra):
            features.append(features[-1][:, :, ::2, ::2])
        return features
