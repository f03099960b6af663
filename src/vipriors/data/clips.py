"""One clip: read from a video or array file, brought to training size (`images.encode_npy` writes one).

A clip is uint8 `(T, H, W, C)`: T frames in the order in which they are shown.
"""

from __future__ import annotations

import struct
import tokenize
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from vipriors.data import _video
from vipriors.data.files import FilePart, os_errors
from vipriors.data.images import resize
from vipriors.problems import BadInput

if TYPE_CHECKING:
    from av import VideoFrame

Clip = npt.NDArray[np.uint8]

MAX_VALUES = 2_000_000_000
"""Most frames × height × width × channels that are held at once."""


def read_clip(
    source: Path | FilePart | bytes,
    *,
    channels: int | None = None,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    name: str | None = None,
) -> Clip:
    """Decode one clip: all of it, or some frames, and then it takes memory for these alone.

    The content decides the format: AVI, MP4, WebM or Matroska, or an `.npy` array `(T, H, W, C)` of uint8.
    A video that says it was taken with the camera turned is turned back.

    Args:
        source: a file, or its content.
        channels: 1 gives grey, 3 gives RGB; any other number must be what an `.npy` file holds. None takes
            what an `.npy` file holds, and 3 of a video.
        frames: how many, chosen by `even_frames`; None takes all.
        size: `(height, width)` that `resize_clip` brings them to; None leaves them as they are.
        name: what to call the clip in messages; by default its path.

    Returns:
        uint8 `(T, H, W, C)`, at least one frame.

    Raises:
        BadInput: no clip, damaged, cut short, too large, or with channels that do not fit; or a video where
            PyAV is not installed.
    """
    data, place = _content(source, name)
    if _video.format_of(data) is None:
        clip = _decode_npy(data, place)
        clip = clip if frames is None else clip[even_frames(len(clip), frames)]
        clip = _with_channels(clip, channels, place)
        return clip if size is None else resize_clip(clip, size)
    channels = _channels_of_video(channels, place)
    if frames is None:
        chosen = _video.frames_of(_video.open_video(data, place, MAX_VALUES // channels))
    else:
        chosen = _choose(data, place, frames)
    pictures = (_video.picture(frame, channels) for frame in chosen)
    return np.stack([p if size is None else resize(p, size) for p in pictures])


def check_clip(
    source: Path | FilePart | bytes, *, channels: int | None = None, name: str | None = None
) -> None:
    """Raise what `read_clip` would for some frames, without keeping any."""
    data, place = _content(source, name)
    if _video.format_of(data) is None:
        _with_channels(_decode_npy(data, place)[:1], channels, place)
        return
    _channels_of_video(channels, place)
    for _ in _video.frames_of(_video.open_video(data, place)):
        pass


def resize_clip(clip: Clip, size: tuple[int, int]) -> Clip:
    """Every frame of a clip as `resize` makes it: scaled to cover `(height, width)`, its centre cropped."""
    return clip if clip.shape[1:3] == size else np.stack([resize(frame, size) for frame in clip])


def even_frames(count: int, wanted: int) -> npt.NDArray[np.int64]:
    """Positions of `wanted` of `count` frames: the middles of as many equal parts; some repeat if few."""
    return ((np.arange(wanted) + 0.5) * count / wanted).astype(np.int64)


def _content(source: Path | FilePart | bytes, name: str | None) -> tuple[bytes, str]:
    place = name or (str(source) if isinstance(source, Path) else "clip")
    with os_errors(place):
        return source if isinstance(source, bytes) else source.read_bytes(), place


def _choose(data: bytes, place: str, wanted: int) -> Iterator[VideoFrame]:
    """What `even_frames` chooses of all frames, though their number is known only when all are decoded.

    Frames are kept that it would choose of as many as there should be, or of one less: DivX files with packed
    B-frames are one frame short. Should it be yet another number, the video is decoded once more.
    """
    video = _video.open_video(data, place)
    places = {int(k) for count in (video.likely, video.likely - 1) for k in even_frames(count, wanted)}
    kept, count = _keep(video, places)
    places = {int(k) for k in even_frames(count, wanted)}
    if not places <= kept.keys():
        kept, count = _keep(_video.open_video(data, place), places)
    yield from (kept[int(k)] for k in even_frames(count, wanted))


def _keep(video: _video.Video, places: set[int]) -> tuple[dict[int, VideoFrame], int]:
    """The frames at some places, and how many there are in all."""
    kept: dict[int, VideoFrame] = {}
    count = 0
    for count, frame in enumerate(_video.frames_of(video), start=1):
        if 3 * len(places) * frame.height * frame.width > MAX_VALUES:
            size = f"{frame.width} x {frame.height} pixels"
            raise BadInput.single(video.place, f"is too large for {len(places)} frames of {size} to be held")
        if count - 1 in places:
            kept[count - 1] = frame
    return kept, count


def _channels_of_video(channels: int | None, place: str) -> int:
    if channels not in (None, 1, 3):
        raise BadInput.single(place, f"is a video, which has 3 channels; expected {channels}")
    return channels or 3


def _with_channels(clip: Clip, channels: int | None, place: str) -> Clip:
    found = clip.shape[3]
    if channels in (None, found):
        return clip
    if (found, channels) == (1, 3):
        return np.repeat(clip, 3, axis=3)
    if (found, channels) == (3, 1):
        return np.stack([np.asarray(Image.fromarray(frame).convert("L"))[:, :, None] for frame in clip])
    raise BadInput.single(place, f"found {found} channels; expected {channels}")


def _decode_npy(data: bytes, place: str) -> Clip:
    expected = "expected a video (AVI, MP4, WebM, Matroska) or an npy array (T, H, W, C)"
    if not data:
        raise BadInput.single(place, f"found an empty file (0 bytes); {expected}")
    if not data.startswith(b"\x93NUMPY"):
        raise BadInput.single(place, f"not a clip: starts with {data[:16]!r}; {expected}")
    try:
        return _read_array(data, place)
    except (ValueError, EOFError, SyntaxError, TypeError, struct.error, tokenize.TokenError) as error:
        raise BadInput.single(place, f"damaged clip: {error}; {expected}") from None


def _read_array(data: bytes, place: str) -> Clip:
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
