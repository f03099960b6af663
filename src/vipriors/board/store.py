"""Where a board's files are: a local folder, or anything else that fsspec reaches, such as S3.

Every file gets a new random name, is written once, and is never changed or deleted.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec  # type: ignore[import-untyped]

from vipriors.data.files import os_errors
from vipriors.problems import BadInput, Problem

CHUNK = 2**20


class TooLarge(BadInput):
    """More bytes than are taken."""


@dataclass(frozen=True)
class StoredFile:
    """A file in a store."""

    key: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Received:
    """What somebody sent, in a file that is gone when it is no longer looked at."""

    path: Path
    sha256: str
    size: int


def too_large(limit: int) -> TooLarge:
    """What to raise when an upload has, or will have, more bytes."""
    return TooLarge([Problem("upload", f"is larger than {limit:,} bytes, the most that is taken")])


@contextmanager
def receive(stream: BinaryIO, limit: int) -> Iterator[Received]:
    """Reads a stream to its end, piece by piece, into a temporary file.

    Args:
        stream: what is sent.
        limit: most bytes that are taken.

    Raises:
        TooLarge: it has more bytes than the limit.
        BadInput: it is empty.
    """
    digest, size = hashlib.sha256(), 0
    with tempfile.TemporaryDirectory(prefix="vipriors-upload-") as folder:
        path = Path(folder) / "upload"
        with path.open("wb") as file:
            while piece := stream.read(CHUNK):
                size += len(piece)
                if size > limit:
                    raise too_large(limit)
                digest.update(piece)
                file.write(piece)
        if not size:
            raise BadInput.single("upload", "is empty; expected a file")
        yield Received(path, digest.hexdigest(), size)


class FileStore:
    """The files of a board, by their keys.

    Args:
        url: a folder as `file://…`, or an fsspec URL such as `s3://bucket/board`, whose credentials fsspec
            finds where it always does.

    Raises:
        BadInput: there is no such kind of store, or the folder cannot be made.
    """

    def __init__(self, url: str, **options: Any):
        try:
            self._system, self._root = fsspec.core.url_to_fs(url, **options)
        except (ValueError, ImportError) as error:
            raise BadInput.single(f"file store {url}", f"{error}; expected file://… or s3://…") from None
        self._local = "file" in self._system.protocol
        if self._local:
            with os_errors(self._root):
                Path(self._root).mkdir(parents=True, exist_ok=True)

    def put(self, stream: BinaryIO, limit: int) -> StoredFile:
        """Keeps what is in a stream.

        Raises:
            BadInput: it is empty, or has more than `limit` bytes.
        """
        with receive(stream, limit) as received:
            return self.keep(received)

    def keep(self, received: Received) -> StoredFile:
        """Keeps what was received. When this returns, the file survives a power cut."""
        key = _new_key()
        if self._local:
            _copy_durably(received.path, Path(self._root) / key)
        else:
            self._system.put_file(str(received.path), f"{self._root}/{key}")
        return StoredFile(key, received.sha256, received.size)

    def open(self, key: str) -> BinaryIO:
        """A file, to read. A key that never was one raises `FileNotFoundError`."""
        return cast(BinaryIO, self._system.open(self._place(key), "rb"))

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """A path on this machine at which a file can be read."""
        place = self._place(key)
        if self._local:
            yield Path(place)
            return
        with tempfile.TemporaryDirectory(prefix="vipriors-file-") as folder:
            copy = Path(folder) / "file"
            self._system.get_file(place, str(copy))
            yield copy

    def _place(self, key: str) -> str:
        if not _is_key(key):
            raise FileNotFoundError(key)
        return f"{self._root}/{key}"


def _new_key() -> str:
    # The first two digits are a folder, so that none gets too large.
    name = secrets.token_hex(16)
    return f"{name[:2]}/{name}"


def _is_key(key: str) -> bool:
    folder, _, name = key.partition("/")
    return len(name) == 32 and set(name) <= set("0123456789abcdef") and folder == name[:2]


def _copy_durably(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with source.open("rb") as original, part.open("xb") as copy:
        shutil.copyfileobj(original, copy, CHUNK)
        copy.flush()
        os.fsync(copy.fileno())
    part.rename(target)
    for folder in (target.parent, target.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
