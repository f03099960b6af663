"""Layers of clips made of layers of images: with channels last in memory, each is a view of the other.

A convolution over space is a 2-D one of all frames, and one over time a 2-D one over (time, pixels): the same
sums as those of `nn.Conv3d`. Their weights have four axes, as the training loop's layout of images asks.
"""

from __future__ import annotations

from torch import Tensor, nn


def to_frames(clips: Tensor) -> Tensor:
    """All frames of clips `(B, C, T, H, W)` as images `(B * T, C, H, W)`; a view where channels come last."""
    return clips.transpose(1, 2).flatten(0, 1)


def to_clips(frames: Tensor, count: int) -> Tensor:
    """Images `(B * count, C, H, W)` as clips `(B, C, count, H, W)` again."""
    return frames.reshape(-1, count, *frames.shape[1:]).transpose(1, 2)


class Spatial(nn.Conv2d):
    """A 1 x k x k convolution of clips, without bias, padded to keep their size.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        size: k.
        stride: In space.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, padding=size // 2, bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, inputs, T, H, W)` to `(B, outputs, T, H / stride, W / stride)`."""
        return to_clips(super().forward(to_frames(clips)), clips.shape[2])


class Temporal(nn.Conv2d):
    """A k x 1 x 1 convolution of clips, without bias, padded to keep their length.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        size: k.
        stride: In time.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(inputs, outputs, (size, 1), (stride, 1), padding=(size // 2, 0), bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, inputs, T, H, W)` to `(B, outputs, T / stride, H, W)`."""
        convolved = super().forward(clips.flatten(3))
        return convolved.view(*convolved.shape[:3], *clips.shape[3:])


class Norm(nn.BatchNorm2d):
    """Batch normalisation of clips `(B, C, T, H, W)`, over all their frames."""

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, C, T, H, W)` to the same shape."""
        return to_clips(super().forward(to_frames(clips)), clips.shape[2])
