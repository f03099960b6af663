"""Images, clips, clouds or maps of a split as one array: decoded once, at training size, perhaps mapped."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vipriors.data.clips import read_clip
from vipriors.data.files import Progress, free_bytes, map_all, os_errors
from vipriors.data.images import read_image, resize, stretch
from vipriors.data.manifest import Row
from vipriors.data.maps import read_map
from vipriors.data.packed import PreparedFiles
from vipriors.data.points import read_points
from vipriors.data.sources.base import Media
from vipriors.problems import BadInput

_DECODING = "1"
"""Part of the cache's key: to be raised when the same file decodes or resizes to other pixels."""


@dataclass(frozen=True)
class Form:
    """What every image, clip, cloud or map is brought to."""

    size: tuple[int, int]
    """Height and width in pixels; of clouds the number of points, of maps that of nodes, and 1."""
    channels: int
    """1 or 3, or what the files hold; see `read_image`."""
    fit: Literal["crop", "stretch"] = "crop"
    """`crop` keeps the aspect and cuts what does not fit; `stretch` keeps everything and the aspect not."""
    frames: int | None = None
    """Evenly spaced frames of each clip; None for images."""
    media: Media = "images"

    @property
    def shape(self) -> tuple[int, ...]:
        """`(H, W, C)`, of clips `(T, H, W, C)`, of clouds and maps `(P, C)`."""
        if self.media in ("points", "maps"):
            return (self.size[0], self.channels)
        return (*((self.frames,) if self.frames else ()), *self.size, self.channels)

    @property
    def dtype(self) -> type[np.uint8 | np.float32]:
        """Of the array: whole numbers but for clouds and maps."""
        return np.float32 if self.media in ("points", "maps") else np.uint8

    def decode(self, data: bytes, name: str) -> npt.NDArray[Any]:
        """One image, clip, cloud or map from its file's content; `name` is what messages call it."""
        if self.media == "maps":
            return read_map(data, channels=self.channels, nodes=self.size[0], name=name)
        if self.media == "points":
            return read_points(data, channels=self.channels, points=self.size[0], name=name)
        if self.frames:
            return read_clip(data, channels=self.channels, frames=self.frames, size=self.size, name=name)
        image = read_image(data, channels=self.channels, name=name)
        return resize(image, self.size) if self.fit == "crop" else stretch(image, self.size)


@dataclass(frozen=True)
class Split:
    """The images, clips, clouds or maps of a split."""

    ids: list[str]
    images: npt.NDArray[Any]
    """uint8 `(N, H, W, C)`, of clips `(N, T, H, W, C)`, of clouds and maps float32 `(N, P, C)`;
    read-only and memory-mapped where it is large."""
    labels: npt.NDArray[np.int64] | None
    """int64 `(N,)`; None for test and unlabelled images, and where labels are more than a class."""


def load_split(
    root: Path,
    rows: Sequence[Row],
    form: Form,
    *,
    memory_limit: int = 2 << 30,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Split:
    """Load images of a prepared folder at training size.

    Args:
        root: the prepared folder.
        rows: the images, as its manifest lists them.
        form: what they are brought to.
        memory_limit: most bytes held in memory; more are mapped from `cache`.
        cache: folder for decoded arrays, which the next call with the same images and form reads.
        progress: called with (images done, images in all) while decoding.

    Raises:
        BadInput: with every image that is missing, damaged or changed; or too much for memory and no cache.
    """
    ids = [row.id for row in rows]
    known = [row.label for row in rows if row.label is not None]
    labels = np.array(known, np.int64) if len(known) == len(rows) else None
    shape = (len(rows), *form.shape)
    size = math.prod(shape) * np.dtype(form.dtype).itemsize
    large = size > memory_limit

    files = PreparedFiles(root)

    def fill(images: npt.NDArray[Any]) -> None:
        def decode(item: tuple[int, Row]) -> None:
            index, row = item
            images[index] = form.decode(_read(files, row), str(root / row.file))

        map_all(decode, list(enumerate(rows)), progress)

    if cache is None or not rows:
        if large:
            found = f"the images take {size} bytes, more than the limit of {memory_limit}"
            raise BadInput.single(root, f"{found}; expected a cache folder, a smaller size or a higher limit")
        images = np.empty(shape, form.dtype)
        fill(images)
        return Split(ids, images, labels)

    file = cache / f"{_cache_key(rows, form)}.npy"
    if not _holds(file, shape, form.dtype):
        # A disk that fills up under a memory map kills the process instead of raising an error.
        if size > (free := free_bytes(cache)):
            raise BadInput.single(cache, f"the images need {size} bytes, but {free} are free")
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        with os_errors(cache):
            cache.mkdir(parents=True, exist_ok=True)
            try:
                mapped = np.lib.format.open_memmap(temporary, "w+", form.dtype, shape)
                fill(mapped)
                mapped.flush()
                del mapped
                temporary.replace(file)
            finally:
                temporary.unlink(missing_ok=True)
    return Split(ids, np.load(file, mmap_mode="r" if large else None), labels)


def _read(files: PreparedFiles, row: Row) -> bytes:
    path = files.root / row.file
    try:
        data = files.locate(row.file).read_bytes()
    except FileNotFoundError:
        raise BadInput.single(path, "is missing") from None
    if hashlib.sha256(data).hexdigest() != row.sha256:
        message = "is damaged or changed: its SHA-256 is not the one in the manifest"
        raise BadInput.single(path, message)
    return data


def _cache_key(rows: Sequence[Row], form: Form) -> str:
    parts = [_DECODING, repr(form), *(row.sha256 for row in rows)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _holds(file: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> bool:
    """Whether the cache has this array; a file that is anything else is made anew."""
    try:
        found = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return bool(found.shape == shape and found.dtype == dtype)
