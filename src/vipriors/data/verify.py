"""Finds every difference between a prepared folder and its manifest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import get_args

from vipriors.data.files import Progress, map_all, sha256_file
from vipriors.data.manifest import Row, read_manifest
from vipriors.data.packed import PreparedFiles
from vipriors.data.prepared import ANNOTATIONS, HASHES, LABELS, MANIFEST, mismatches, read_dataset
from vipriors.data.sources.base import Media
from vipriors.problems import BadInput, Problem


def verify(out: Path, *, progress: Progress | None = None) -> list[Problem]:
    """Every file of a prepared folder that is missing, damaged or not in the manifest.

    `labels/` may be absent, as it is where the test labels are hidden.

    Args:
        out: the prepared folder.
        progress: called with (images done, images in all).

    Returns:
        One problem for each such file; none when the folder is as it was prepared.
    """
    try:
        dataset = read_dataset(out)
        rows = read_manifest(out / MANIFEST)
    except BadInput as error:
        return error.problems
    files = PreparedFiles(out)
    found = map_all(lambda row: _fault(files, row), rows, progress)
    problems = mismatches(out, dataset, rows) + [problem for problem in found if problem]
    listed = {row.file for row in rows} | {f"{row.file.rpartition('/')[0]}.tar" for row in rows}
    for folder in get_args(Media):
        problems += _strangers(out / folder, {file.removeprefix(f"{folder}/") for file in listed})
    return problems + _faults_by_sums(out / ANNOTATIONS) + _faults_by_sums(out / LABELS)


def _fault(files: PreparedFiles, row: Row) -> Problem | None:
    path, place = files.root / row.file, files.locate(row.file)
    if isinstance(place, Path) and not place.is_file():
        return Problem(str(path), "is missing")
    found = sha256_file(place) if isinstance(place, Path) else hashlib.sha256(place.read_bytes()).hexdigest()
    if found != row.sha256:
        return Problem(str(path), "is damaged or changed: its SHA-256 is not the one in the manifest")
    return None


def _faults_by_sums(folder: Path) -> list[Problem]:
    """What is missing, changed or strange in a folder whose files a `SHA256SUMS` lists."""
    sums = folder / HASHES
    if not folder.is_dir():
        return []
    if not sums.is_file():
        return [Problem(str(sums), "is missing")]
    found = re.findall(r"^([0-9a-f]{64})  (\S+)$", sums.read_text("utf-8", "replace"), re.MULTILINE)
    problems = _strangers(folder, {HASHES, *(name for _, name in found)})
    for digest, name in found:
        path = folder / name
        if not path.is_file():
            problems.append(Problem(str(path), "is missing"))
        elif sha256_file(path) != digest:
            problems.append(Problem(str(path), f"is damaged or changed: its SHA-256 is not in {HASHES}"))
    return problems


def _strangers(folder: Path, listed: set[str]) -> list[Problem]:
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    return [
        Problem(str(path), "is not in the manifest; expected no such file")
        for path in files
        if path.relative_to(folder).as_posix() not in listed
    ]
