"""One clip: read from an array file, brought to training size (`images.encode_npy` writes one).

A clip is uint8 `(T, H, W, C)`: T frames in the order in which they are shown.
"""

from __future__ import annotations

import struct
import tokenize
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vipriors.data.files import FilePart
from vipriors.data.images import resize
from vipriors.problems import BadInput

Clip = npt.NDArray[np.uint8]

MAX_VALUES = 2_000_000_000
"""Largest frames × height × width × channels that is decoded."""


def read_clip(
    source: Path | FilePart | bytes, *, channels: int | None = None, name: str | None = None
) -> Clip:
    """Decode one clip.

    Args:
        source: a file, or its content: an `.npy` array `(T, H, W, C)` of uint8.
        channels: 1 or 3, or what the file holds; None takes what it holds.
        name: what to call the clip in messages; by default its path.

    Returns:
        uint8 `(T, H, W, C)`, at least one frame.

    Raises:
        BadInput: no clip, damaged, too large, or with a number of channels that does not fit.
    """
    place = name or (str(source) if isinstance(source, Path) else "clip")
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        clip = _decode_npy(data, place)
    except (ValueError, EOFError, SyntaxError, TypeError, struct.error, tokenize.TokenError) as error:
        raise BadInput.single(place, f"damaged clip: {error}; expected an npy array (T, H, W, C)") from None
    if channels not in (None, clip.shape[3]):
        raise BadInput.single(place, f"found {clip.shape[3]} channels; expected {channels}")
    return clip


def resize_clip(clip: Clip, size: tuple[int, int]) -> Clip:
    """Every frame of a clip as `resize` makes it: scaled to cover `(height, width)`, its centre cropped."""
    return clip if clip.shape[1:3] == size else np.stack([resize(frame, size) for frame in clip])


def even_frames(count: int, wanted: int) -> npt.NDArray[np.int64]:
    """Positions of `wanted` of `count` frames: the middles of as many equal parts; some repeat if few."""
    return ((np.arange(wanted) + 0.5) * count / wanted).astype(np.int64)


def _decode_npy(data: bytes, place: str) -> Clip:
    stream = BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise BadInput.single(place, "is an npy file of another version; expected 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.uint8 or len(shape) != 4 or min(shape) < 1 or np.prod(shape, dtype=float) > MAX_VALUES:
        expected = f"expected uint8 (T, H, W, C), at most {MAX_VALUES} values"
        raise BadInput.single(place, f"found {dtype} of shape {shape}; {expected}")
    stream.seek(0)
    clip: Clip = np.lib.format.read_array(stream, allow_pickle=False)
    return clip
