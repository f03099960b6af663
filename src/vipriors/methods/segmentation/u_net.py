"""U-Net with batch normalisation: the baseline of the 2020 challenge.

Source: Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI
2015; preset `full` is the published baseline of the 2020 MiniCity challenge (levels of 64, 128, 256, 512 and
512 channels, SGD, 200 epochs of 200 images in batches of 5), which reached a mean IoU of 0.40 on its
validation images.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K, H, W)`.

Deviations from the published baseline:
1. Images are mirrored. (There a coin that was drawn from zeros alone never was.)
2. The learning rate falls on a cosine to zero, not by a tenth when the training loss stops falling.
3. The last weights predict, not those of the epoch with the best validation score.
4. Momentum is Nesterov's, and weight decay leaves biases and normalisation scales alone.
5. Scales are drawn evenly in the logarithm, together with all that moves pixels in one bilinear resampling.
6. Features are upsampled with pixel centres aligned, not corners, straight to the size of the level above.
7. Logits are resized before the likeliest class is taken, not the classes after.
8. Convolutions before a normalisation have no bias, which it would take away again.
9. Presets `tiny` and `small` are narrower, work at half the resolution and let rare classes count more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.segmentation._network import SegmentationNetwork
from vipriors.train import require


def two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions, each normalised and rectified: `(B, inputs, H, W)` to `(B, outputs, H, W)`."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNetwork(nn.Module):
    """Levels of falling resolution, and back up with the features of each level at hand.

    Args:
        channels: Of the images.
        classes: Number of logits.
        widths: Channels of each level; every level but the first halves the resolution.
        stem: Stride of a convolution before the first level. With 2 all happens at half the resolution, in a
            quarter of the time, and each place gives the logits of four pixels (Shi et al. 2016).
    """

    def __init__(self, channels: int, classes: int, widths: tuple[int, ...], stem: int = 1) -> None:
        super().__init__()
        self.stem = None if stem == 1 else nn.Conv2d(channels, widths[0], 3, stem, padding=1)
        first = two_convolutions(channels if stem == 1 else widths[0], widths[0])
        below = [two_convolutions(a, b) for a, b in itertools.pairwise(widths)]
        self.down = nn.ModuleList([first, *below])
        self.up = nn.ModuleList()
        inputs = widths[-1]
        for level in reversed(range(len(widths) - 1)):
            outputs = widths[max(level - 1, 0)]
            self.up.append(two_convolutions(inputs + widths[level], outputs))
            inputs = outputs
        self.head = nn.Conv2d(inputs, classes * stem**2, 1)
        self.shuffle = nn.PixelShuffle(stem)

    def forward(self, images: Tensor) -> Tensor:
        """Images `(B, C, H, W)` to logits `(B, classes, H, W)`."""
        x = images if self.stem is None else self.stem(images)
        levels: list[Tensor] = []
        for convolutions in self.down:
            x = convolutions(functional.max_pool2d(x, 2, ceil_mode=True) if levels else x)
            levels.append(x)
        for convolutions, skip in zip(self.up, reversed(levels[:-1]), strict=True):
            x = functional.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=False)
            x = convolutions(torch.cat((skip, x), 1))
        logits: Tensor = self.shuffle(self.head(x))
        return logits[:, :, : images.shape[2], : images.shape[3]]


@dataclass(frozen=True)
class UNet(SegmentationNetwork):
    """Hyper-parameters of the U-Net."""

    width: int = 64
    """Channels of the first level; each later one has twice as many, the last as many as the one before."""
    levels: int = 5
    """Resolutions, each half of the one before; fewer where the last would be smaller than 2 x 2."""
    stem: int = 1
    """2 starts at half the resolution of the images."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # By hand on validation of digits-segmentation, one seed: SGD well above AdamW for the same steps. At
        # this rate and so few images a batch rounding alone moves the outcome; short gradients steady it a
        # little (two other seeds: mean validation loss 0.311 in place of 0.320).
        "tiny": {
            "steps": 2000,
            "batch_size": 4,
            "width": 16,
            "stem": 2,
            "class_balance": 0.3,
            "lr": 0.1,
            "clip_norm": 1.0,
        },
        # As tiny, wider and with more variation; not searched.
        "small": {
            "steps": 2000,
            "batch_size": 4,
            "width": 24,
            "stem": 2,
            "lr": 0.1,
            "clip_norm": 1.0,
            "class_balance": 0.3,
            "jitter": 0.3,
        },
        "full": {
            "steps": 8000,
            "batch_size": 5,
            "lr": 1e-2,
            "weight_decay": 1e-4,
            "warmup": 0.0,
            "scale": 0.3,
            "crop": 0.75,
            "jitter": 0.3,
        },
    }

    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-3, 0.3), "weight_decay": (1e-5, 1e-2)}
    """Ranges that are searched, both on a logarithmic scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self,
            width=(self.width >= 1, "1 or more"),
            levels=(2 <= self.levels <= 8, "2 to 8"),
            stem=(self.stem in (1, 2), "1 or 2"),
        )

    def network(self, image_shape: tuple[int, ...], classes: int) -> nn.Module:
        """The network with fresh weights, `(B, C, H, W)` to `(B, classes, H, W)`."""
        channels, *sides = image_shape
        # The last level keeps 2 pixels a side: one pixel of one image cannot be normalised.
        levels = min(self.levels, max(2, int(math.log2(min(sides) / self.stem))))
        widths = [self.width * 2**level for level in range(levels - 1)]
        return UNetwork(channels, classes, (*widths, widths[-1]), self.stem)
