"""Looks into a report or a run's folder that somebody sent, in a process of its own (see `scoring`).

A report's pages are counted. Of a run, which is a zip of its folder, recipe and record are read as
`vipriors audit` does, and its predictions are held against the file that was submitted.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

from vipriors.board.intake import unwrap
from vipriors.board.scoring import Job, Outcome, child_main
from vipriors.problems import BadInput, Problem
from vipriors.runs.records import RunRecipe, RunRecord, validated
from vipriors.tasks.archive import Archive, Limits, open_archive
from vipriors.tasks.findings import Findings

REPORT, RUN = "report", "run"

PROGRAMS = {kind: (sys.executable, "-I", "-m", "vipriors.board.examining", kind) for kind in (REPORT, RUN)}

RUN_LIMITS = Limits(archive_bytes=2**31, entries=2000, entry_bytes=2**31, total_bytes=2**32)
MOST_JSON = 16 * 2**20
_PDF_IS_WITHIN = 1024
"""Bytes in which a PDF says that it is one, as readers allow."""

# What pypdf raises on damaged files beside its own errors.
_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def count_pages(job: Job) -> Outcome:
    """Counts the pages of `job.file`: `{"report": {"pages": n}}`."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    with Path(job.file).open("rb") as file:
        if b"%PDF-" not in file.read(_PDF_IS_WITHIN):
            return Outcome([Problem(job.name, "is no PDF; expected a file that starts with %PDF-")])
        file.seek(0)
        try:
            reader = PdfReader(file)
            if reader.is_encrypted:
                return Outcome([Problem(job.name, "is encrypted; expected a PDF without a password")])
            pages = sum(1 for _ in reader.pages)
        except (PyPdfError, *_ERRORS) as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            return Outcome([Problem(job.name, f"is a damaged PDF ({said}); expected one that can be read")])
    if not pages:
        return Outcome([Problem(job.name, "has no pages")])
    return Outcome([], {REPORT: {"pages": pages}})


def examine_run(job: Job) -> Outcome:
    """Reads the run in `job.file`: its recipe, and whether its predictions are those in `job.labels`."""
    findings = Findings(job.name)
    archive = open_archive(Path(job.file).read_bytes(), RUN_LIMITS, findings)
    if archive is None or findings:
        return Outcome(findings.problems())
    try:
        recipe = _read(RunRecipe, archive, "recipe.json", job.name)
        record = _read(RunRecord, archive, "record.json", job.name)
    except BadInput as error:
        return Outcome(error.problems)
    predictions = _content(archive, record.predictions, job.name, RUN_LIMITS.entry_bytes)
    if isinstance(predictions, Problem):
        return Outcome([predictions])
    digest = hashlib.sha256(predictions).hexdigest()
    if digest != record.predictions_sha256:
        expected = f"expected {record.predictions_sha256}, as record.json says"
        return Outcome([Problem(f"{job.name}, {record.predictions}", f"has SHA-256 {digest}; {expected}")])
    sent, _ = unwrap(Path(job.labels).read_bytes(), job.task, "submission")
    of_run, _ = unwrap(predictions, job.task, record.predictions)
    facts = {
        "recipe": json.loads(recipe.model_dump_json()),
        "predictions": record.predictions,
        "same_predictions": of_run == sent,
    }
    return Outcome([], {RUN: facts})


def _read(model: type[Any], archive: Archive, path: str, name: str) -> Any:
    content = _content(archive, path, name, MOST_JSON)
    if isinstance(content, Problem):
        raise BadInput([content])
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput.single(f"{name}, {path}", f"is not JSON: {error}") from None
    return validated(model, value, f"{name}, {path}")


def _content(archive: Archive, path: str, name: str, most: int) -> bytes | Problem:
    """A member's bytes, or why there are none."""
    if path not in archive.files:
        return Problem(name, f"has no {path}; expected a zip of the folder of a finished run")
    if archive.files[path].file_size > most:
        return Problem(f"{name}, {path}", f"is larger than {most:,} bytes")
    findings = Findings(name)
    content = archive.read(path, findings)
    return findings.problems()[0] if content is None else content


if __name__ == "__main__":
    child_main({REPORT: count_pages, RUN: examine_run}[sys.argv[1]])
