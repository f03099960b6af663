"""Small helpers for files: written whole or not at all, hashed, handled by several threads."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vipriors.problems import BadInput, Problem

Progress = Callable[[int, int], None]
"""Called with (items done, items in all) as work goes on."""

Item = TypeVar("Item")
Result = TypeVar("Result")

BLOCK = 4096
"""Bytes that the smallest file takes on common file systems."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file that lies inside a larger one, such as a member of a tar."""

    path: Path
    """The larger file."""
    offset: int
    """Bytes before it there."""
    size: int
    """Bytes that it has."""

    def read_bytes(self) -> bytes:
        """Its content."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds either what it held before or all of `data`, never a part."""
    temporary = temporary_name(path)
    temporary.write_bytes(data)
    temporary.replace(path)


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput.single(path, f"cannot be read: {error.strerror}") from None


def temporary_name(path: Path) -> Path:
    """Where `path` is written before it takes its name; the same each time, so a retry cleans up."""
    return path.with_name(f".{path.name}.tmp")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free_bytes(folder: Path) -> int:
    """Bytes that can still be written to the disk of `folder`, which need not exist yet."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(existing).free


@contextmanager
def os_errors(place: object) -> Iterator[None]:
    """Turn what the system refuses (no permission, no room) into a `BadInput`."""
    try:
        yield
    except OSError as error:
        raise BadInput.single(error.filename or place, error.strerror or str(error)) from None


def map_all(
    function: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None
) -> list[Result]:
    """Apply `function` to every item on a few threads; results come in the order of the items.

    Raises:
        BadInput: with the problems of every item that has any, after all items were tried.
    """

    def work(chunk: Sequence[Item]) -> tuple[list[Result], list[Problem]]:
        results: list[Result] = []
        problems: list[Problem] = []
        for item in chunk:
            try:
                with os_errors(item):
                    results.append(function(item))
            except BadInput as error:
                problems += error.problems
        return results, problems

    # One future per item would cost more than the work on a small image.
    chunks = [items[start : start + 32] for start in range(0, len(items), 32)]
    results: list[Result] = []
    problems: list[Problem] = []
    started = time.perf_counter()
    first = [work(chunk) for chunk in chunks[:1]]
    tiny = time.perf_counter() - started < 0.0005 * len(items[:32])
    # Images of a few kilobytes are so quick that threads would mostly wait for each other's interpreter lock.
    pool = ThreadPoolExecutor(1 if tiny else min(8, os.cpu_count() or 1))
    done = 0
    try:
        outcomes = itertools.chain(first, pool.map(work, chunks[1:]))
        for chunk, (some, faults) in zip(chunks, outcomes, strict=True):
            results += some
            problems += faults
            done += len(chunk)
            if progress:
                progress(done, len(items))
    finally:
        pool.shutdown(cancel_futures=True)
    if problems:
        raise BadInput(problems)
    return results
