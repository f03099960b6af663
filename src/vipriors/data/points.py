"""One cloud of points: read from an array or text file (`images.encode_npy` writes one).

A cloud is float32 `(N, 3)`: x, y and z of each point, in no order, in the file's own units, z upwards.
"""

from __future__ import annotations

import struct
import tokenize
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vipriors.data.clips import even_frames
from vipriors.data.files import FilePart, os_errors
from vipriors.problems import BadInput

Cloud = npt.NDArray[np.float32]

POINT_SUFFIXES = frozenset((".npy", ".xyz"))

MAX_POINTS = 10_000_000
"""More are refused unread."""

LARGEST = 1e6
"""Coordinates beyond this are no shape but a mistake, such as an identifier taken for one."""

_EXPECTED = "expected an npy array (N, 3) of floats, or text with x, y and z of a point in each line"


def read_points(
    source: Path | FilePart | bytes,
    *,
    channels: int = 3,
    points: int | None = None,
    name: str | None = None,
) -> Cloud:
    """Read a cloud, all of it or so many points.

    The content decides the format: an `.npy` array `(N, 3)` of float16, float32 or float64, or text (`.xyz`)
    with three numbers a line, parted by spaces, tabs or commas; further ones (a normal, a colour) and lines
    that start with `#` are left out.

    Args:
        source: a file, or its content.
        channels: numbers of a point; a cloud has 3.
        points: how many are wanted: as many of the file's as lie evenly in its order, or where it has fewer
            each of them, and some again. None takes all.
        name: what to call the cloud in messages; by default its path.

    Returns:
        float32 `(N, 3)`, at least one point.

    Raises:
        BadInput: no cloud, damaged, too large, or with coordinates that are not finite or beyond a million.
    """
    place = name or (str(source) if isinstance(source, Path) else "cloud")
    with os_errors(place):
        data = source if isinstance(source, bytes) else source.read_bytes()
    if channels != 3:
        raise BadInput.single(place, f"a point has 3 coordinates; expected {channels}")
    if not data:
        raise BadInput.single(place, f"found an empty file (0 bytes); {_EXPECTED}")
    cloud = _decode_npy(data, place) if data.startswith(b"\x93NUMPY") else _decode_text(data, place)
    # NaN compares as false.
    wrong = np.flatnonzero(~(np.abs(cloud) <= LARGEST).all(axis=1))
    if len(wrong):
        found = f"{len(wrong)} points such as {tuple(map(float, cloud[wrong[0]]))} (number {wrong[0]})"
        raise BadInput.single(
            place, f"{found} are out of range; expected finite coordinates up to {LARGEST:g}"
        )
    return cloud if points is None else cloud[even_frames(len(cloud), points)]


def _decode_npy(data: bytes, place: str) -> Cloud:
    stream = BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise BadInput.single(place, "is an npy file of another version; expected 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.kind != "f" or dtype.itemsize > 8 or len(shape) != 2 or shape[1] != 3 or shape[0] < 1:
            raise BadInput.single(place, f"found {dtype} of shape {shape}; expected floats (N, 3)")
        _check_count(shape[0], place)
        stream.seek(0)
        found = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TypeError, struct.error, tokenize.TokenError) as error:
        raise BadInput.single(place, f"damaged cloud: {error}; {_EXPECTED}") from None
    with np.errstate(over="ignore"):
        cloud: Cloud = found.astype(np.float32)
    return cloud


def _decode_text(data: bytes, place: str) -> Cloud:
    lines = data.splitlines()
    _check_count(len(lines), place)
    points = []
    for number, line in enumerate(lines, start=1):
        fields = line.replace(b",", b" ").split()
        if not fields or fields[0].startswith(b"#"):
            continue
        # `float` alone would take `1_0`.
        if len(fields) < 3 or any(field.translate(None, b"0123456789.eE+-") for field in fields[:3]):
            raise BadInput.single(f"{place}, line {number}", f"is no point: {line[:40]!r}; {_EXPECTED}")
        try:
            points.append([float(field) for field in fields[:3]])
        except ValueError:
            message = f"is no point: {line[:40]!r}; {_EXPECTED}"
            raise BadInput.single(f"{place}, line {number}", message) from None
    if not points:
        raise BadInput.single(place, f"has no point in it; {_EXPECTED}")
    with np.errstate(over="ignore"):
        return np.array(points, np.float64).astype(np.float32)


def _check_count(count: int, place: str) -> None:
    if count > MAX_POINTS:
        raise BadInput.single(place, f"{count} points are too many; expected at most {MAX_POINTS}")
