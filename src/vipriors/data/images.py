"""One image: read from any common file, brought to training size, written byte for byte reproducibly.

What reading does, each on purpose:

- The EXIF orientation is applied, so that pixels are as the photographer saw them.
- Transparent pixels show white, as on a page: black drawings on nothing stay visible.
- 16-bit grey is scaled to 8 bits (v / 257, rounded), never clipped. PIL itself reads 16-bit colour to 8 bits.
- The content decides the format, not the file's name. Animations and stacks give their first image.
- The size in the header is checked before any pixel is decoded.
"""

from __future__ import annotations

import struct
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from vipriors.data.files import FilePart
from vipriors.problems import BadInput

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 100_000_000
"""Largest height × width that is decoded."""

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".npy")
)

# A closed list: PIL also knows formats that start other programs (EPS).
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM")
_EXPECTED = f"an image ({', '.join(_FORMATS)} or npy)"

# What PIL's and numpy's readers raise on damaged files; neither documents a single type.
_DECODE_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    tokenize.TokenError,
)

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: Path | FilePart | bytes,
    *,
    channels: int | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Pixels:
    """Decode one image.

    Args:
        source: an image file, or its content.
        channels: 1 gives grey (ITU-R 601 luma), 3 gives RGB; any other number must be what an `.npy` file
            holds. None keeps grey as 1 and gives 3 for all else (for `.npy`: what the file holds).
        max_pixels: larger images are refused unread. PIL refuses more than 178,956,970 in any case.
        name: what to call the image in messages; by default its path.

    Returns:
        uint8 `(H, W, C)`.

    Raises:
        BadInput: not an image, damaged, too large, or with a number of channels that does not fit.
    """
    place = name or (str(source) if isinstance(source, Path) else "image")
    with _opened(source, place, max_pixels) as (stream, is_npy):
        decode = _decode_npy if is_npy else _decode_picture
        pixels = decode(stream, place, max_pixels)
    return _with_channels(pixels, channels, place)


def image_size(source: Path | FilePart | bytes, *, name: str | None = None) -> tuple[int, int]:
    """Height and width of an image as `read_image` turns it, from its header alone.

    Raises:
        BadInput: not an image, or a damaged header.
    """
    place = name or (str(source) if isinstance(source, Path) else "image")
    with _opened(source, place, MAX_PIXELS) as (stream, is_npy):
        if is_npy:
            shape = _npy_header(stream, place)
            return shape[0], shape[1]
        with Image.open(stream, formats=_FORMATS) as image:
            lies = _orientation(image) in (5, 6, 7, 8)
            return (image.width, image.height) if lies else (image.height, image.width)


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale an image to cover `size` with its aspect kept, and crop the centre.

    Antialiased bilinear, in one step: the largest centred box of the right aspect is resampled.

    Args:
        image: uint8 `(H, W, C)`, any number of channels.
        size: `(height, width)` in pixels.

    Returns:
        uint8 `(height, width, C)`; the image itself when it already has that size.
    """
    height, width, channels = image.shape
    if (height, width) == size:
        return image
    scale = max(size[0] / height, size[1] / width)
    box_height, box_width = min(height, size[0] / scale), min(width, size[1] / scale)
    top, left = (height - box_height) / 2, (width - box_width) / 2
    box = (left, top, left + box_width, top + box_height)

    def scaled(plane: Pixels) -> Pixels:
        picture = Image.fromarray(plane)
        return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))

    if channels == 3:
        return scaled(image)
    return np.stack([scaled(image[:, :, channel]) for channel in range(channels)], axis=2)


def stretch(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale an image to `size` whatever its aspect, so that positions scale by one factor a side.

    Antialiased bilinear.

    Args:
        image: uint8 `(H, W, C)`, C 1 or 3.
        size: `(height, width)` in pixels.

    Returns:
        uint8 `(height, width, C)`; the image itself when it already has that size.
    """
    if image.shape[:2] == size:
        return image
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    scaled = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return scaled.reshape(*size, image.shape[2])


def encode(pixels: npt.NDArray[Any]) -> tuple[str, bytes]:
    """The suffix and content of the file for an image: `.png` where `encode_png` can, else `.npy`.

    Args:
        pixels: uint8 or uint16, `(H, W)` or `(H, W, C)`.
    """
    if pixels.dtype == np.uint8 and (pixels.ndim == 2 or pixels.shape[2] in (1, 3)):
        return ".png", encode_png(pixels)
    return ".npy", encode_npy(pixels)


def encode_png(pixels: Pixels) -> bytes:
    """A PNG whose bytes depend on nothing but the pixels, for uint8 `(H, W)`, `(H, W, 1)` or `(H, W, 3)`.

    Manifests hash files, so the same pixels must give the same file everywhere; what a compressor writes
    depends on its version. Rows are therefore unfiltered and stored uncompressed (RFC 1950, 1951, 2083).
    """
    height, width = pixels.shape[:2]
    colour_type = {1: 0, 3: 2}[1 if pixels.ndim == 2 else pixels.shape[2]]
    lines = pixels.reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1).tobytes()
    stored = [b"\x78\x01"]
    for start in range(0, len(raw), 65535):
        block = raw[start : start + 65535]
        stored += [struct.pack("<BHH", start + 65535 >= len(raw), len(block), len(block) ^ 0xFFFF), block]
    stored.append(struct.pack(">I", zlib.adler32(raw)))
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = (b"IHDR" + header, b"IDAT" + b"".join(stored), b"IEND")
    framed = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def encode_npy(pixels: npt.NDArray[Any]) -> bytes:
    """An `.npy` file whose bytes depend on nothing but the values: uint8, uint16 or float32 of any shape."""
    # By hand because numpy has changed the padding of its header between versions.
    kind = {"uint8": "|u1", "uint16": "<u2", "float32": "<f4"}[pixels.dtype.name]
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {tuple(map(int, pixels.shape))}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + pixels.astype(kind).tobytes()


@contextmanager
def _opened(source: Path | FilePart | bytes, place: str, max_pixels: int) -> Iterator[tuple[BinaryIO, bool]]:
    """The stream of an image and whether it is an `.npy` file; turns what its reader raises to `BadInput`."""
    head = b""
    try:
        if isinstance(source, FilePart):
            source = source.read_bytes()
        with source.open("rb") if isinstance(source, Path) else BytesIO(source) as stream:
            head = stream.read(16)
            stream.seek(0)
            if not head:
                raise BadInput.single(place, f"found an empty file (0 bytes); expected {_EXPECTED}")
            yield stream, head.startswith(b"\x93NUMPY")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput.single(place, f"{error}; expected at most {max_pixels} pixels") from None
    except UnidentifiedImageError:
        raise BadInput.single(place, f"not an image: starts with {head!r}; expected {_EXPECTED}") from None
    except _DECODE_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise BadInput.single(place, f"cannot be read: {error.strerror}") from None
        raise BadInput.single(place, f"damaged image: {error}; expected {_EXPECTED}") from None


def _decode_picture(stream: BinaryIO, place: str, max_pixels: int) -> Pixels:
    with Image.open(stream, formats=_FORMATS) as opened:
        _check_size(opened.height, opened.width, place, max_pixels)
        opened.load()
        mode, kind = opened.mode, opened.format
        turn = _UPRIGHT.get(_orientation(opened))
        image: Image.Image = opened.transpose(turn) if turn is not None else opened
        if mode.startswith("I;16") or (mode == "I" and kind in ("PNG", "PPM")):
            return _eight_bits(np.asarray(image))[:, :, None]
        if mode in ("I", "F"):
            message = f"32-bit pixels (mode {mode}); expected 8 or 16 bits per channel"
            raise BadInput.single(place, message)
        if image.has_transparency_data:
            page = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(page, image.convert("RGBA"))
        if mode in ("1", "L", "LA", "La"):
            return np.asarray(image.convert("L"))[:, :, None]
        return np.asarray(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _DECODE_ERRORS:
        return 1  # A broken EXIF block says nothing; the pixels are still good.


def _decode_npy(stream: BinaryIO, place: str, max_pixels: int) -> Pixels:
    shape = _npy_header(stream, place)
    _check_size(shape[0], shape[1], place, max_pixels)
    if shape[2:] and shape[0] * shape[1] * shape[2] > 3 * max_pixels:
        raise BadInput.single(place, f"{shape} is too large; expected at most {3 * max_pixels} values")
    stream.seek(0)
    pixels = _eight_bits(np.lib.format.read_array(stream, allow_pickle=False))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _npy_header(stream: BinaryIO, place: str) -> tuple[int, ...]:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise BadInput.single(place, f"npy version {version}; expected 1.0 or 2.0")
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.kind != "u" or dtype.itemsize > 2 or len(shape) not in (2, 3) or min(shape) < 1:
        found = f"found {dtype} of shape {shape}"
        raise BadInput.single(place, f"{found}; expected uint8 or uint16 (H, W) or (H, W, C)")
    return shape


def _eight_bits(pixels: npt.NDArray[Any]) -> Pixels:
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _check_size(height: int, width: int, place: str, max_pixels: int) -> None:
    if height * width > max_pixels:
        found = f"{width} x {height} = {width * height} pixels"
        raise BadInput.single(place, f"{found} is too large to decode; expected at most {max_pixels}")


def _with_channels(pixels: Pixels, channels: int | None, place: str) -> Pixels:
    found = pixels.shape[2]
    if channels in (None, found):
        return pixels
    if (found, channels) == (1, 3):
        return np.repeat(pixels, 3, axis=2)
    if (found, channels) == (3, 1):
        return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    raise BadInput.single(place, f"found {found} channels; expected {channels}")
