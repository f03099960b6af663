"""Makes tiny but true video files, and copies of UCF101 and Kinetics400ViPriors of them."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import numpy as np

from vipriors.data.sources.ucf101 import all_clips

FORMS = {
    "xvid": ("avi", "mpeg4", "yuv420p", {}),
    "xvid-b": ("avi", "mpeg4", "yuv420p", {"bf": "2"}),
    "mjpeg": ("avi", "mjpeg", "yuvj420p", {}),
    "h264": ("mp4", "libx264", "yuv420p", {"preset": "ultrafast"}),
    "h264-mkv": ("matroska", "libx264", "yuv420p", {"preset": "ultrafast"}),
    "webm": ("webm", "libvpx", "yuv420p", {"cpu-used": "8"}),
}
"""Container, codec, pixel format and options of an encoder."""


def moving(frames: int, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """Blocks of colour that move: uint8 `(frames, height, width, 3)`."""
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.stack([np.roll(blocks, k, 1).repeat(4, 0).repeat(4, 1) for k in range(frames)])


def video(pixels: np.ndarray, form: str = "xvid", *, sound: bool = False) -> bytes:
    """Encode frames `(T, H, W, 3)` at 25 a second."""
    container, codec, pixel_format, options = FORMS[form]
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as output:
        out = output.add_stream(codec, rate=25, options=options)
        out.height, out.width, out.pix_fmt = pixels.shape[1], pixels.shape[2], pixel_format
        if codec == "mpeg4":
            out.codec_context.codec_tag = "XVID"
        audio = output.add_stream("aac", rate=8000) if sound else None
        for frame in pixels:
            output.mux(out.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(out.encode(None))
        if audio is not None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 8000), np.float32), format="fltp", layout="mono"
            )
            silence.rate = 8000
            output.mux(audio.encode(silence))
            output.mux(audio.encode(None))
    return stream.getvalue()


def packets(data: bytes) -> list[bytes]:
    """The encoded frames of a video, in the order in which they are stored."""
    with av.open(io.BytesIO(data)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def avi(chunks: Sequence[bytes], fourcc: bytes = b"XVID", height: int = 24, width: int = 32) -> bytes:
    """An AVI file of encoded frames as they are, written by hand."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    n, pixels = len(chunks), height * width
    main = struct.pack("<14I", 40_000, 0, 0, 0x10, n, 0, 1, 0, width, height, 0, 0, 0, 0)
    header = (
        b"vids"
        + fourcc
        + struct.pack("<11I4H", 0, 0, 0, 1, 25, 0, n, 0, 2**32 - 1, 0, 0, 0, 0, width, height)
    )
    form = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, fourcc, 3 * pixels, 0, 0, 0, 0)
    stream = chunk(b"LIST", b"strl" + chunk(b"strh", header) + chunk(b"strf", form))
    body, index = b"movi", b""
    for k, content in enumerate(chunks):
        index += b"00dc" + struct.pack("<III", 0x10 * (k == 0), len(body), len(content))
        body += chunk(b"00dc", content)
    headers = chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + stream)
    return chunk(b"RIFF", b"AVI " + headers + chunk(b"LIST", body) + chunk(b"idx1", index))


def repeated_frame(time: int) -> bytes:
    """An MPEG-4 frame that is not coded: nothing is shown for it. `time` is its place in the second."""
    bits = f"01{0:b}1{time:05b}100"
    return b"\0\0\1\xb6" + int(bits.ljust(16, "1"), 2).to_bytes(2)


def tiny_clips(n: int, form: str = "xvid", frames: int = 2) -> list[bytes]:
    """Different clips."""
    return [video(moving(frames, seed=seed), form) for seed in range(n)]


def make_ucf101(root: Path, contents: Sequence[bytes]) -> Path:
    """Make all 13,320 clips of UCF101; clip k has content k, from the first again after the last."""
    _write(root, [(clip.key, contents[k % len(contents)]) for k, clip in enumerate(all_clips())])
    return root


def make_kinetics(
    root: Path,
    contents: Sequence[bytes],
    *,
    actions: int = 4,
    train: int = 5,
    val: int = 2,
    test: int = 6,
    test_labels: bool = False,
) -> dict[str, list[tuple[str, str]]]:
    """Make a copy of so many actions with so many clips of each, and of the test in all.

    Returns:
        Action and id of each clip, by split, in the order of the tables.
    """
    names = [f"{'zxyabcdefg'[k % 10]}-action, {k}" for k in range(actions)]
    labels = {
        split: [name for name in names for _ in range(n)] for split, n in (("train", train), ("val", val))
    }
    labels["test"] = [names[k % actions] for k in range(test)]
    number = 0
    clips: dict[str, list[tuple[str, str]]] = {}
    for split, of_split in labels.items():
        clips[split] = []
        for name in of_split:
            clips[split].append((name, _scrambled(number)))
            number += 1
    for split, rows in clips.items():
        _write(root / split, [(f"{id}.mp4", contents[k % len(contents)]) for k, (_, id) in enumerate(rows)])
        if split == "test" and not test_labels:
            lines = ["videoid,split", *(f"{id},test" for _, id in rows)]
            write_table(root, "kinetics400ViPriors-test-public.csv", lines)
        else:
            lines = ["label,videoid,split", *(f'"{name}",{id},{split}' for name, id in rows)]
            write_table(root, f"kinetics400ViPriors-{split}.csv", lines)
    return clips


def write_table(root: Path, name: str, lines: Iterable[str]) -> Path:
    """Write a table of the copy."""
    file = root / "annotations" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def _scrambled(number: int) -> str:
    """Ten letters, different for each number."""
    mixed = number * 7_919_317_283 % 26**10
    return "".join(chr(ord("A") + mixed // 26**place % 26) for place in range(10))


def _write(folder: Path, files: list[tuple[str, bytes]]) -> None:
    """Write each content once, and link it wherever it occurs again: a link is made much sooner."""
    for parent in {os.path.dirname(name) for name, _ in files}:  # noqa: PTH120 - ten thousand times
        (folder / parent).mkdir(parents=True, exist_ok=True)
    first: dict[bytes, str] = {}
    for name, content in files:
        path = f"{folder}/{name}"
        if content in first:
            os.link(first[content], path)
        else:
            Path(path).write_bytes(content)
            first[content] = path
