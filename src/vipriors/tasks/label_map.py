"""Label maps: PNG images whose pixels are ids, decoded with caps and encoded reproducibly."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.findings import Findings, shown

Map = NDArray[np.uint8]
"""A label map, uint8 `(H, W)`."""

MOST_PIXELS = 2**26
"""Largest height × width of a map."""

MOST_CHUNKS = 20_000
"""Chunks of a PNG. Real files have one for every 8 to 64 KB; a flood of empty ones costs time."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {0: "grey", 2: "colour", 3: "palette", 4: "grey with alpha", 6: "colour with alpha"}
_LABELS = {(8, 0), (1, 3), (2, 3), (4, 3), (8, 3)}
_INSTANCES = {(8, 0), (16, 0)}

# What PIL raises on damaged PNG files; it documents no single type.
_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def decode(
    data: bytes, findings: Findings, entry: str | None = None, size: tuple[int, int] | None = None
) -> Map | None:
    """Decodes a label map: 8-bit grey, or a palette image, whose indices are the ids whatever its colours.

    Args:
        data: the PNG file, any bytes.
        findings: takes the problems.
        entry: what problems call the map.
        size: the `(height, width)` it must have; by default any of at most `MOST_PIXELS`.

    Returns:
        uint8 `(H, W)`, or None if it cannot be used.
    """
    expected = "an 8-bit grey or palette PNG of label ids"
    return _decode(data, _LABELS, expected, findings, entry, size)


def decode_instances(
    data: bytes, findings: Findings, entry: str | None = None, size: tuple[int, int] | None = None
) -> NDArray[np.uint16] | None:
    """Decodes a map of instance ids, 16-bit or 8-bit grey; as `decode`."""
    instances = _decode(data, _INSTANCES, "a 16-bit grey PNG of instance ids", findings, entry, size)
    return None if instances is None else instances.astype(np.uint16)


def encode(label_map: Map) -> bytes:
    """A PNG of a label map, 8-bit grey: the same bytes for the same map (and versions of Pillow and zlib)."""
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(label_map).save(stream, "PNG")
    return stream.getvalue()


def runs_of(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The value and length of each run of equal values, `(R,)`; `values` is `(P,)`, P at least 1."""
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    return values[ends], np.diff(ends, prepend=-1)


def count_values(values: NDArray[Any], bins: int) -> NDArray[np.int64]:
    """How often each value from 0 to `bins - 1` occurs.

    Maps are made of runs of one value. Finding where these end is several times faster than counting pixel by
    pixel, unless there is little but noise.

    Args:
        values: unsigned integers below `bins`, `(P,)`, P at least 1.
        bins: number of values.

    Returns:
        `(bins,)`.
    """
    if np.count_nonzero(values[1:] != values[:-1]) > len(values) // 8:
        return np.bincount(values, minlength=bins)
    found, lengths = runs_of(values)
    return np.bincount(found, weights=lengths, minlength=bins).astype(np.int64)


def ids_in(label_map: Map) -> frozenset[int]:
    """The ids that occur in a map."""
    return frozenset(np.flatnonzero(count_values(label_map.ravel(), 256)).tolist())


def _decode(
    data: bytes,
    kinds: set[tuple[int, int]],
    expected: str,
    findings: Findings,
    entry: str | None,
    size: tuple[int, int] | None,
) -> NDArray[Any] | None:
    fault = _fault_of_header(data, kinds, expected, size)
    pixel_data = None if fault else _without_extras(data)
    if pixel_data is None:
        fault = fault or f"more than {MOST_CHUNKS:,} chunks; expected {expected}"
        findings.add("images of another form", fault, entry=entry)
        return None
    from PIL import Image

    try:
        with Image.open(BytesIO(pixel_data), formats=("PNG",)) as image:
            return np.asarray(image)
    except _ERRORS as error:
        findings.add("damaged images", f"damaged: {shown(str(error))}; expected {expected}", entry=entry)
        return None


def _fault_of_header(
    data: bytes, kinds: set[tuple[int, int]], expected: str, size: tuple[int, int] | None
) -> str | None:
    """What is wrong with a PNG that shows before its pixels are decoded, if anything."""
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        return f"not a PNG: starts with {data[:8]!r}; expected {expected}"
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    if (bits, colour) not in kinds:
        return f"{bits}-bit {_COLOURS.get(colour, f'colour type {colour}')}; expected {expected}"
    if size is not None and (height, width) != size:
        return f"{width} x {height} pixels; expected {size[1]} x {size[0]}"
    if not 0 < width * height <= MOST_PIXELS:
        return f"{width} x {height} pixels; expected 1 to {MOST_PIXELS:,}"
    return None


def _without_extras(data: bytes) -> bytes | None:
    """The PNG with its header, palette and pixels alone; None if it has too many chunks.

    Decoders unpack other chunks (texts, colour profiles, frames), which may be far larger than the pixels.
    """
    place = len(_SIGNATURE)
    kept = [_SIGNATURE]
    for number in range(MOST_CHUNKS):
        if place + 8 > len(data):
            return b"".join(kept)
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind in (b"PLTE", b"IDAT", b"IEND") or number == 0:
            kept.append(data[place : place + 12 + length])
        place += 12 + length
    return None
