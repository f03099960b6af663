"""Zip archives handed in by people, listed and read without trusting anything they say of themselves.

Nothing is unpacked to disk. What zip tools add by themselves (`__MACOSX/`, `.DS_Store`, `Thumbs.db`,
`desktop.ini`) is passed over, and one folder around everything is taken off. Links, absolute and climbing
paths, archives in the archive, encryption and rare compressions are refused. Work and memory are linear in
the caps: entries are counted before the directory is read, and no two entries can share their bytes.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

from vipriors.tasks.findings import Findings, shown

RATIO = 200
"""Times its own size that an archive may unpack to, once that is more than `ALWAYS`."""

ALWAYS = 16 * 2**20
"""Bytes that an archive may unpack to whatever its ratio: small ones of plain masks compress very well."""

_STRAY_FILES = {".ds_store", "thumbs.db", "desktop.ini"}
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile reads others without a bound on memory
_DIRECTORY_ENTRY = b"PK\x01\x02"

# What zipfile raises on damaged files; it documents only the first.
_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    OverflowError,
    RuntimeError,
)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most; sizes in bytes."""

    archive_bytes: int
    entries: int
    entry_bytes: int
    total_bytes: int
    archives: bool = False
    """Whether archives may lie in it, which nobody is going to open."""


@dataclass(frozen=True)
class Archive:
    """A readable archive: its files by their path, without the folder around everything."""

    files: dict[str, zipfile.ZipInfo]
    opened: zipfile.ZipFile
    limits: Limits

    def read(self, path: str, findings: Findings) -> bytes | None:
        """The content of a file, or None if it cannot be had; the findings say why."""
        info = self.files[path]
        fault = _fault_of_content(info, self.limits)
        if fault:
            findings.add("files that cannot be read", fault, entry=path)
            return None
        try:
            with self.opened.open(info) as file:
                content = file.read(info.file_size)
        except _ERRORS as error:
            findings.add("damaged files", f"damaged: {shown(str(error))}; expected a whole file", entry=path)
            return None
        if len(content) != info.file_size:
            found = f"damaged: unpacks to {len(content):,} bytes"
            findings.add("damaged files", f"{found}; expected {info.file_size:,}", entry=path)
            return None
        return content


def open_archive(data: bytes, limits: Limits, findings: Findings) -> Archive | None:
    """Opens an archive and lists its files.

    Args:
        data: the file, any bytes.
        limits: the caps; those on entries and the whole are checked here, that on a file when it is read.
        findings: takes the problems.

    Returns:
        The archive, or None if `data` cannot be read as one at all. Files with an unfit path are left out.
    """
    fault = _fault_of_file(data, limits)
    if fault:
        findings.add("faults of the file", fault)
        return None
    try:
        opened = zipfile.ZipFile(BytesIO(data))
        infos = [info for info in opened.infolist() if not _is_stray(info.filename)]
    except _ERRORS as error:
        fault = f"a damaged zip archive: {shown(str(error))}; expected a whole one"
        findings.add("faults of the file", fault)
        return None
    fault = _fault_of_sizes(opened.infolist(), len(data), limits)
    if fault:
        findings.add("faults of the file", fault)
        return None
    files: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        fault = _fault_of_path(info, limits)
        if fault:
            findings.add("unfit entries", fault, entry=info.orig_filename)
        elif info.is_dir():
            continue
        elif info.filename in files:
            findings.add("duplicate entries", "occurs twice; expected once", entry=info.filename)
        else:
            files[info.filename] = info
    return Archive(_without_top_folder(files), opened, limits)


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip archive of files that are compressed already: the same bytes for the same files.

    Args:
        files: path and content of each, written in the order of the paths.
    """
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for path, content in sorted(files):
            info = zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix; by default the system this runs on
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return stream.getvalue()


def _fault_of_file(data: bytes, limits: Limits) -> str | None:
    if not data:
        return "the file is empty; expected a zip archive"
    if len(data) > limits.archive_bytes:
        return f"the file has {len(data):,} bytes; expected at most {limits.archive_bytes:,}"
    if not zipfile.is_zipfile(BytesIO(data)):
        if data.startswith(b"PK\x03\x04"):
            return "a damaged zip archive: its end is missing; expected a whole one"
        return f"not a zip archive: starts with {data[:8]!r}; expected one that starts with b'PK\\x03\\x04'"
    # zipfile makes an object for each entry before it can be asked for their number. Chance puts the mark
    # into compressed data once in 4 GB.
    if (entries := data.count(_DIRECTORY_ENTRY)) > limits.entries:
        return f"the archive has {entries:,} entries; expected at most {limits.entries:,}"
    return None


def _fault_of_sizes(infos: list[zipfile.ZipInfo], archive_bytes: int, limits: Limits) -> str | None:
    if sum(info.compress_size for info in infos) > archive_bytes:
        return "entries overlap: together they are larger than the archive; expected each to have its bytes"
    total = sum(info.file_size for info in infos)
    if total > limits.total_bytes:
        return f"the archive unpacks to {total:,} bytes; expected at most {limits.total_bytes:,}"
    if total > max(ALWAYS, RATIO * archive_bytes):
        return f"the archive unpacks to {total / archive_bytes:,.0f} times its size; expected at most {RATIO}"
    return None


def _fault_of_path(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    path = info.filename
    parts = path.removesuffix("/").split("/")
    if not path.isprintable() or not info.orig_filename.isprintable():
        return "has control characters in its name; expected plain text"
    if "\\" in path:
        return "has a backslash in its name; expected / between folders"
    if path.startswith("/") or re.match("[A-Za-z]:", path):
        return "is an absolute path; expected a relative one"
    if ".." in parts:
        return "climbs out of the archive; expected a path without '..'"
    if not all(parts) or "." in parts:
        return "has an empty part in its path; expected folder/file"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device; expected only files"
    if path.lower().endswith(_ARCHIVES) and not limits.archives:
        return "is an archive inside the archive; expected only files"
    return None


def _fault_of_content(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    if info.flag_bits & 1:
        return "is encrypted; expected a file that can be read without a password"
    if info.compress_type not in _METHODS:
        return f"is compressed by method {info.compress_type}; expected 0 (stored) or 8 (deflated)"
    if info.file_size > limits.entry_bytes:
        return f"has {info.file_size:,} bytes; expected at most {limits.entry_bytes:,}"
    return None


def _is_stray(path: str) -> bool:
    *folders, file = path.split("/")
    return "__MACOSX" in folders[:1] or file.lower() in _STRAY_FILES or file.startswith("._")


def _without_top_folder(files: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    tops = {path.partition("/")[0] for path in files}
    if len(tops) != 1 or not all("/" in path for path in files):
        return files
    return {path.partition("/")[2]: info for path, info in files.items()}
