"""Frames of a video file, decoded by PyAV (FFmpeg's libraries) from its bytes alone.

The content decides the format, one of a closed list, and nothing but these bytes is ever opened: no playlist,
no address, no second file. A damaged frame is shown as a player shows it, patched up or not at all; a video
with many of them is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vipriors.problems import BadInput

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream

MAX_FRAMES = 200_000
"""Most frames of a video: two hours at 25 a second."""

MAX_PIXELS = 36_000_000
"""Largest height × width of a frame: 8K."""

MAX_DECODED = 7_000_000_000
"""Most frames × height × width that are decoded, seconds of work for a core."""

_SOUND = 3 / 4
"""Share of the stored frames that must decode undamaged: old encoders wrote some that no decoder likes."""

_SHOWN = 1 / 2
"""Share of the promised frames that must be shown: a frame may be promised, and its repeats not stored."""

_CODECS = (
    *("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "h264", "hevc", "vp8", "vp9", "av1", "libdav1d"),
    *("mjpeg", "huffyuv", "ffv1", "rawvideo"),
)

_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"uuid"))


@dataclass(frozen=True)
class Video:
    """A video for one pass over its frames."""

    place: str
    stream: VideoStream
    packets: list[Packet[Any]]
    most: int
    """Most frames × height × width to be decoded."""

    @property
    def likely(self) -> int:
        """How many frames it will show; known for certain only when all are decoded."""
        return sum(packet.size > 0 for packet in self.packets)


def format_of(data: bytes) -> str | None:
    """Which of the known containers some bytes are: `avi`, `mp4`, `matroska` (WebM too), or none."""
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "avi"
    if data[4:8] in _BOXES:
        return "mp4"
    return "matroska" if data[:4] == b"\x1a\x45\xdf\xa3" else None


def open_video(data: bytes, place: str, most: int = MAX_DECODED) -> Video:
    """Open a video of a known format.

    Args:
        data: all of the file.
        place: what messages call it.
        most: frames × height × width beyond which it is refused.

    Raises:
        BadInput: it is cut short or damaged, holds no video, is too large, or PyAV is missing.
    """
    av = load_av(place)
    if (end := _end(data)) > len(data):
        raise BadInput.single(place, f"is cut short: {len(data)} of {end} bytes are there")
    try:
        container = av.open(
            BytesIO(data),
            format=format_of(data),
            options={"codec_whitelist": ",".join(_CODECS)},
            metadata_errors="replace",
            io_open=_refuse,
        )
        if not container.streams.video:
            raise BadInput.single(place, f"holds no video{', but sound' if container.streams.audio else ''}")
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec is None or codec.name not in _CODECS:
            found = "an unknown codec" if codec is None else f"codec {codec.name}"
            raise BadInput.single(place, f"has {found}; expected one of {', '.join(_CODECS)}")
        codec.thread_count = 1  # Clips are many and short: several at once beats several threads for one.
        codec.options = {"max_pixels": str(MAX_PIXELS)}
        packets = list(itertools.islice(container.demux(stream), MAX_FRAMES + 1))
    except av.FFmpegError as error:
        raise BadInput.single(place, f"damaged video: {error.strerror}") from None
    if len(packets) > MAX_FRAMES:
        raise BadInput.single(place, f"has more than {MAX_FRAMES} frames; expected a short clip")
    video = Video(place, stream, packets, most)
    _check_size(video, video.likely, codec.height, codec.width)
    return video


def frames_of(video: Video) -> Iterator[VideoFrame]:
    """Every frame, in the order in which they are shown.

    Raises:
        BadInput: at the end, if too few frames could be decoded; before it, if the video is too large or its
            frames change their size.
    """
    av = load_av(video.place)
    shown = lost = patched = 0
    size: tuple[int, int] | None = None
    for packet in video.packets:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            lost += 1
            continue
        for frame in frames:
            size = size or (frame.height, frame.width)
            if (frame.height, frame.width) != size:
                change = f"from {size[1]} x {size[0]} to {frame.width} x {frame.height} pixels"
                raise BadInput.single(video.place, f"changes its size {change} at frame {shown}")
            shown += 1
            patched += frame.is_corrupt
            _check_size(video, shown, *size)
            yield frame
    sound, promised = shown - patched, video.stream.frames
    if sound <= 0 or sound < _SOUND * (shown + lost) or shown < _SHOWN * promised:
        found = f"{sound} of {max(promised, shown + lost)} frames can be decoded undamaged"
        raise BadInput.single(video.place, f"damaged video: {found}")


def picture(frame: VideoFrame, channels: int) -> npt.NDArray[np.uint8]:
    """A frame as uint8 `(H, W, channels)`, RGB or luma over the full range, turned as its file says."""
    image = frame.to_ndarray(format="gray" if channels == 1 else "rgb24")
    upright = np.rot90(image, round(frame.rotation / 90))
    return np.ascontiguousarray(upright, np.uint8).reshape(*upright.shape[:2], channels)


def load_av(place: object) -> ModuleType:
    """PyAV.

    Raises:
        BadInput: it is not installed.
    """
    try:
        import av
    except ImportError:
        how = "PyAV, which is not installed: pip install vipriors[video]"
        raise BadInput.single(place, f"video files are read with {how}") from None
    return av


def _check_size(video: Video, frames: int, height: int, width: int) -> None:
    if frames * height * width > video.most:
        found = f"{frames} frames of {width} x {height} pixels"
        raise BadInput.single(video.place, f"has {found}; expected at most {video.most} pixels in all")


def _end(data: bytes) -> int:
    """Where a file of a known format ends by its own account."""
    match format_of(data):
        case "avi":
            return _end_of_riff(data)
        case "mp4":
            return _end_of_boxes(data)
    return _end_of_segment(data)


def _end_of_riff(data: bytes) -> int:
    end = 0
    while data[end : end + 4] == b"RIFF":  # Large files have several.
        end += 8 + int.from_bytes(data[end + 4 : end + 8], "little")
    return end


def _end_of_boxes(data: bytes) -> int:
    end = 0
    while data[end + 4 : end + 8] in _BOXES:
        size = int.from_bytes(data[end : end + 4])
        if size == 1:
            size = int.from_bytes(data[end + 8 : end + 16])
        if size < 8:  # 0: to the end of the file; less is none.
            return len(data)
        end += size
    return end


def _end_of_segment(data: bytes) -> int:
    """Of EBML: a header and a segment, each an id of four bytes, its length, and as much content."""
    end = 0
    for _ in ("header", "segment"):
        at = end + 4
        first = data[at] if at < len(data) else 0
        width = 9 - first.bit_length()
        length = int.from_bytes(data[at : at + width]) - (1 << 7 * width)
        if first == 0 or length == (1 << 7 * width) - 1:  # Of no known length, as in a stream.
            return len(data)
        end = at + width + length
    return end


def _refuse(url: str, *_: object) -> None:
    raise PermissionError(f"a clip may not open {url}")
