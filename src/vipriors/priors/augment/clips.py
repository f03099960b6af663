"""Augmentation of clips: one draw for all frames of a clip, and draws of which frames are seen.

Clips are float `(B, C, T, H, W)` in [0, 1]: T frames of C channels. Whatever varies images varies clips, and
all frames of one alike, if they are shown to it as one image: with the channels of all frames where pixels
move (`Geometry`), one frame below the other where colours change (`Colours`).

>>> import torch
>>> from vipriors.priors.augment import ColourJitter, Flip
>>> clips, generator = torch.rand(8, 3, 16, 112, 112), torch.Generator().manual_seed(0)
>>> parts = SubClip(8, strides=(1, 2))(clips, generator)
>>> Colours(ColourJitter())(Geometry(Flip())(parts, generator), generator).shape
torch.Size([8, 3, 8, 112, 112])
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vipriors.priors.augment._batch import positions, require
from vipriors.priors.augment.compose import Augmentation


def sub_clip(clips: Tensor, start: Tensor, stride: Tensor, frames: int) -> Tensor:
    """The frames `start`, `start + stride`, … of each clip.

    Args:
        clips: `(B, C, T, H, W)`.
        start: first frame of each, whole numbers `(B,)`.
        stride: steps between its frames, whole numbers `(B,)`, 1 or more.
        frames: how many.

    Returns:
        `(B, C, frames, H, W)`.

    Raises:
        BadInput: frames are asked for that a clip does not have.
    """
    require_clips(clips)
    first, last = int(start.amin()), int((start + (frames - 1) * stride).amax())
    total = clips.shape[2]
    found = f"frames {first} to {last} are asked for; expected 0 to {total - 1}, in steps of 1 or more"
    require("sub_clip", (first >= 0 and last < total and int(stride.amin()) >= 1, found))
    places = (start[:, None] + stride[:, None] * torch.arange(frames, device=start.device)).to(clips.device)
    rows = torch.arange(len(clips), device=clips.device)[:, None]
    return clips[rows, :, places].transpose(1, 2)


def fitting_stride(total: int, frames: int, stride: int) -> int:
    """The stride, or the largest smaller one with which `frames` frames fit into `total`."""
    return min(stride, (total - 1) // (frames - 1)) if frames > 1 else stride


def even_starts(total: int, frames: int, stride: int, count: int) -> list[int]:
    """Where `count` sub-clips start, spread evenly over `total` frames; fewer if some were the same."""
    room = total - 1 - (frames - 1) * stride
    if count == 1:
        return [room // 2]
    return sorted({round(place * room / (count - 1)) for place in range(count)})


def require_clips(clips: Tensor) -> None:
    """Raise `BadInput` unless `clips` is a float batch `(B, C, T, H, W)`."""
    found = f"found {clips.dtype} {tuple(clips.shape)}"
    require(
        "clips", (clips.ndim == 5 and clips.is_floating_point(), f"{found}; expected float (B, C, T, H, W)")
    )


@dataclass(frozen=True)
class SubClip:
    """A part of each clip: its stride drawn from `strides`, its start evenly from all that leave room.

    A stride that is too large for a clip is cut down to the largest that fits.
    """

    frames: int
    strides: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        require(
            "SubClip",
            (self.frames >= 1, f"frames is {self.frames}; expected 1 or more"),
            (min(self.strides, default=0) >= 1, f"strides is {self.strides}; expected numbers from 1 up"),
        )

    def __call__(self, clips: Tensor, generator: Generator) -> Tensor:
        """Clips `(B, C, T, H, W)` to `(B, C, frames, H, W)`.

        Raises:
            BadInput: T is less than `frames`.
        """
        require_clips(clips)
        total = clips.shape[2]
        enough = self.frames <= total, f"a clip has {total} frames; expected {self.frames} or more"
        require("SubClip", enough)
        fitting = torch.tensor([fitting_stride(total, self.frames, one) for one in self.strides])
        drawn = torch.randint(len(fitting), (len(clips),), generator=generator, device=generator.device)
        stride = fitting.to(generator.device)[drawn]
        start = positions(total - 1 - (self.frames - 1) * stride, generator)
        return sub_clip(clips, start, stride, self.frames)


@dataclass(frozen=True)
class Geometry:
    """Moves all frames of a clip alike: `step` is shown one image with the channels of all frames.

    For what treats every channel the same: flips, shifts, warps, crops, blanked boxes.
    """

    step: Augmentation

    def __call__(self, clips: Tensor, generator: Generator) -> Tensor:
        """Clips `(B, C, T, H, W)` to `(B, C, T, h, w)`, where `step` makes images `(h, w)`."""
        require_clips(clips)
        # Frame by frame, as clips lie in memory: nothing is copied where there is one channel.
        images = self.step(clips.transpose(1, 2).flatten(1, 2), generator)
        count, channels, frames = clips.shape[:3]
        return images.reshape(count, frames, channels, *images.shape[2:]).transpose(1, 2)


@dataclass(frozen=True)
class Colours:
    """Changes the colours of all frames of a clip alike: `step` is shown the frames one below the other.

    For what looks at pixels and channels but not at places: brightness, contrast, hue. What is relative to an
    image's mean or range, as contrast is, is so to the whole clip's.
    """

    step: Augmentation

    def __call__(self, clips: Tensor, generator: Generator) -> Tensor:
        """Clips `(B, C, T, H, W)` to the same shape."""
        require_clips(clips)
        return self.step(clips.flatten(2, 3), generator).view(clips.shape)
