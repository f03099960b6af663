"""Prepared images packed into one tar file a split: fewer files where a disk or a copy over a network minds.

`images/train/ants_0.jpg` is then member `ants_0.jpg` of `images/train.tar`. Manifests name the first in both
cases, so that packed and loose folders of the same images have the same manifest.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from vipriors.data.files import FilePart

_BLOCK = tarfile.BLOCKSIZE


class PreparedFiles:
    """Finds the files of a prepared folder, loose or packed.

    Args:
        root: the prepared folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _packed(self) -> dict[str, FilePart]:
        return {
            f"{tar.parent.name}/{tar.stem}/{name}": part
            for tar in sorted(self.root.glob("*/*.tar"))
            for name, part in members(tar).items()
        }

    def locate(self, file: str) -> Path | FilePart:
        """Where a file of the manifest lies: the path where it would be loose if it is nowhere."""
        loose = self.root / file
        return loose if loose.is_file() else self._packed.get(file, loose)


def members(tar: Path) -> dict[str, FilePart]:
    """The complete members of a tar file, in their order; none if there is no such file."""
    try:
        size = tar.stat().st_size
        with tarfile.open(tar, "r:") as archive:
            found = {}
            try:
                for member in archive:
                    if member.isreg() and member.offset_data + member.size <= size:
                        found[member.name] = FilePart(tar, member.offset_data, member.size)
            except tarfile.TarError:
                pass  # What follows was not written whole.
            return found
    except (FileNotFoundError, tarfile.ReadError):
        return {}


class Packer:
    """Writes a tar file member by member; begun anew with the same members it keeps those that are there.

    Args:
        tar: the file; what it holds from the first other member on is written again.
    """

    def __init__(self, tar: Path) -> None:
        self._kept = list(members(tar).items())
        self._file = tar.open("r+b" if tar.exists() else "w+b")
        self._end = 0
        """Bytes of the members so far."""

    def __enter__(self) -> Packer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Ends the archive; after an exception what is written so far is left for the next time."""
        if kind is None:
            self._file.seek(self._end)
            self._file.write(bytes(2 * _BLOCK))
            self._file.truncate()
        self._file.close()

    def add(self, chunk: Iterable[tuple[str, bytes]]) -> None:
        """Adds members in their order."""
        for name, data in chunk:
            header = _header(name, len(data))
            start = self._end + len(header)
            self._end = start + -(-len(data) // _BLOCK) * _BLOCK
            if self._kept:
                kept_name, part = self._kept.pop(0)
                if (kept_name, part.offset) == (name, start) and part.read_bytes() == data:
                    continue
                self._kept.clear()
            self._file.seek(start - len(header))
            self._file.write(header + data + bytes(self._end - start - len(data)))
            self._file.truncate()


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)
