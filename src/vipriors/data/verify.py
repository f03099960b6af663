"""Finds every difference between a prepared folder and its manifest."""

from __future__ import annotations

import re
from pathlib import Path

from vipriors.data.files import Progress, map_all, sha256_file
from vipriors.data.manifest import Row, read_manifest
from vipriors.data.prepared import LABEL_HASHES, MANIFEST, TEST_LABELS, TEST_SOURCES, mismatches, read_dataset
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
    found = map_all(lambda row: _fault(out, row), rows, progress)
    problems = mismatches(out, dataset, rows) + [problem for problem in found if problem]
    listed = {row.file for row in rows} | {TEST_LABELS, TEST_SOURCES, LABEL_HASHES}
    for folder in ("images", "labels"):
        for path in sorted((out / folder).rglob("*")):
            if not path.is_dir() and path.relative_to(out).as_posix() not in listed:
                problems.append(Problem(str(path), "is not in the manifest; expected no such file"))
    return problems + _label_faults(out)


def _fault(out: Path, row: Row) -> Problem | None:
    path = out / row.file
    if not path.is_file():
        return Problem(str(path), "is missing")
    if sha256_file(path) != row.sha256:
        return Problem(str(path), "is damaged or changed: its SHA-256 is not the one in the manifest")
    return None


def _label_faults(out: Path) -> list[Problem]:
    hashes = out / LABEL_HASHES
    if not (out / "labels").is_dir():
        return []
    if not hashes.is_file():
        return [Problem(str(hashes), "is missing")]
    sums = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", hashes.read_text("utf-8", "replace"), re.MULTILINE))
    expected = {name: digest for digest, name in sums.items()}
    problems: list[Problem] = []
    for name in (TEST_LABELS, TEST_SOURCES):
        path = out / name
        if not path.is_file():
            problems.append(Problem(str(path), "is missing"))
        elif sha256_file(path) != expected.get(path.name):
            problems.append(Problem(str(path), "is damaged or changed: its SHA-256 is not in SHA256SUMS"))
    return problems
