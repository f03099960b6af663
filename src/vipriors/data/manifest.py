"""The manifest: one row for every image of a prepared data set, with the hash of its file."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from vipriors.data.files import write_atomic
from vipriors.data.sources.base import Media
from vipriors.data.subset import HIDDEN, SAFE_ID, SPLITS, UNLABELLED
from vipriors.problems import BadInput, Problem

HEADER = ("id", "split", "label", "file", "source", "sha256")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a prepared data set."""

    id: str
    """Names the image everywhere, and is the name of its file: `ants_0.jpg`, `img_17.png`."""
    split: str
    label: int | None
    """Class; None for test and unlabelled images, and where labels are more than a class."""
    file: str
    """Path from the prepared folder: `images/train/ants_0.jpg`, or `clips/…`, `points/…`, `maps/…`."""
    source: str
    """Key in the source. Empty for test and unlabelled images, where it would tell the class."""
    sha256: str


def read_manifest(path: Path) -> list[Row]:
    """Read a manifest.

    Raises:
        BadInput: with every row that is wrong.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        header, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    except OSError as error:
        raise BadInput.single(path, f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput.single(path, f"is not a CSV file in UTF-8: {error}") from None
    if header != list(HEADER):
        expected = ",".join(HEADER)
        raise BadInput.single(f"{path}, row 1", f"header is {','.join(header)!r}; expected {expected}")
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=2):
        faults = _faults(line)
        if line and (earlier := first.setdefault(line[0].casefold(), number)) != number:
            faults.append(f"id {line[0]!r} is a duplicate of row {earlier}")
        problems += [Problem(f"{path}, row {number}", fault) for fault in faults]
    if problems:
        raise BadInput(problems)
    return [
        Row(id, split, int(label) if label else None, file, source, sha256)
        for id, split, label, file, source, sha256 in lines
    ]


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write a manifest, whole or not at all."""
    write_atomic(path, manifest_bytes(rows))


def manifest_bytes(rows: Sequence[Row]) -> bytes:
    """The manifest as CSV: UTF-8, lines end in LF, quotes only where needed."""
    return csv_bytes(HEADER, [(r.id, r.split, r.label, r.file, r.source, r.sha256) for r in rows])


def manifest_hash(rows: Sequence[Row]) -> str:
    """SHA-256 of the manifest: equal hashes mean the same images with the same labels and ids."""
    return hashlib.sha256(manifest_bytes(rows)).hexdigest()


def csv_bytes(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """A CSV file as every machine writes it; None becomes empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _faults(line: list[str]) -> list[str]:
    if len(line) != len(HEADER):
        return [f"found {len(line)} values; expected {len(HEADER)}"]
    id, split, label, file, _, sha256 = line
    faults: list[str] = []
    if not SAFE_ID.fullmatch(id):
        faults.append(f"id {id!r} is no plain file name (letters, digits, _ . -)")
    if split not in (*SPLITS, UNLABELLED):
        faults.append(f"split {split!r} is unknown; expected train, val or test")
    if split in HIDDEN and label:
        article = "a" if split == "test" else "an"
        faults.append(f"label of {article} {split} image is {label!r}; expected none")
    elif label and not re.fullmatch(r"[0-9]{1,9}", label):
        faults.append(f"label {label!r} is no class; expected 0, 1, 2, …")
    if file not in [f"{media}/{split}/{id}" for media in get_args(Media)]:
        faults.append(f"file {file!r} is misplaced; expected 'images/{split}/{id}'")
    if not _SHA256.fullmatch(sha256):
        faults.append(f"sha256 {sha256!r} is no hash; expected 64 hexadecimal digits")
    return faults
