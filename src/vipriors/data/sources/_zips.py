"""Files in a folder, and in a zip, which is read in place."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vipriors.data.files import FilePart
from vipriors.problems import BadInput

LARGEST = 1 << 31
"""Bytes of one file; the largest label file of COCO has a quarter of it."""

_HEADER = struct.Struct("<4s22xHH")  # signature, and the lengths of name and extra field
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a zip."""

    archive: Path
    header: int
    """Bytes of the zip before the member's own header."""
    packed: int
    """Bytes that it takes in the zip."""
    size: int
    """Bytes that it has."""
    is_stored: bool

    def content(self) -> FilePart | bytes:
        """Where it lies if it is stored as it is, else its bytes.

        Raises:
            BadInput: the zip is damaged there.
        """
        with self.archive.open("rb") as file:
            file.seek(self.header)
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size or not header.startswith(b"PK\3\4"):
                raise BadInput.single(self.archive, f"is damaged at byte {self.header}; download it again")
            _, name, extra = _HEADER.unpack(header)
            part = FilePart(self.archive, self.header + _HEADER.size + name + extra, self.packed)
        if self.is_stored:
            return part
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(part.read_bytes(), self.size)
        except zlib.error as error:
            message = f"is damaged at byte {self.header}: {error}; download it again"
            raise BadInput.single(self.archive, message) from None
        if len(data) != self.size:
            raise BadInput.single(self.archive, f"is damaged at byte {self.header}; download it again")
        return data


Place = Path | Member
"""Where a file lies."""


def read_place(place: Place) -> bytes:
    """The content of a file, wherever it lies."""
    content = place if isinstance(place, Path) else place.content()
    return content if isinstance(content, bytes) else content.read_bytes()


def files_in(folder: Path, archive: Path | None = None) -> Mapping[str, Place] | None:
    """The files in a folder, or if there is none in the zip of it: by their path below the folder.

    Empty files are left out; of a zip also what `members_of` leaves out.

    Returns:
        None if there is neither.

    Raises:
        BadInput: the zip cannot be read.
    """
    if folder.is_dir():
        return dict(_below(folder))
    return members_of(archive, folder.name) if archive is not None and archive.is_file() else None


def members_of(archive: Path, folder: str) -> Mapping[str, Place]:
    """The files in a zip, by their path below its `folder`.

    Empty ones are left out, and those that are encrypted, packed in a rare way or larger than `LARGEST`.

    Raises:
        BadInput: it is no zip, or cut off.
    """
    return {name.removeprefix(f"{folder}/"): member for name, member in _members(archive)}


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    top = str(folder)
    for where, _, names in os.walk(top):
        below = where[len(top) + 1 :].replace(os.sep, "/")
        for name in names:
            path = Path(where, name)
            if path.is_file() and path.stat().st_size:
                yield f"{below}/{name}" if below else name, path


def _members(path: Path) -> Iterator[tuple[str, Member]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        message = f"cannot be read as a zip: {error}; is the download whole?"
        raise BadInput.single(path, message) from None
    for member in members:
        is_stored = member.compress_type == zipfile.ZIP_STORED
        is_plain = is_stored or member.compress_type == zipfile.ZIP_DEFLATED
        is_plain = is_plain and not member.flag_bits & _ENCRYPTED and member.header_offset >= 0
        if is_plain and 0 < member.file_size <= LARGEST:
            place = Member(path, member.header_offset, member.compress_size, member.file_size, is_stored)
            yield member.filename, place
