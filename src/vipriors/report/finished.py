"""Reads what a finished run left in its folder, and refuses what does not fit together.

The files are those that `vipriors.runs.records` names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from vipriors.data.files import read_bytes
from vipriors.problems import BadInput, Problem
from vipriors.runs.records import Count, RunRecipe, RunRecord, read_score, validated
from vipriors.tasks import Score


class _Details(BaseModel):
    n_test: int = Field(ge=1)
    confusion: list[list[Count]]


@dataclass(frozen=True)
class FinishedRun:
    """A finished run. Unscored runs have neither `score` nor `confusion`."""

    folder: Path
    recipe: RunRecipe
    outcome: RunRecord
    score: Score | None
    confusion: NDArray[np.int64] | None
    """Test images or clips by label and predicted class `(K, K + 1)`; the last column counts those without
    one. None for tasks that give an image no class."""
    log: tuple[dict[str, float], ...]
    rehearsal: tuple[dict[str, float], ...]


def read_run(folder: Path) -> FinishedRun:
    """Reads a finished run.

    Raises:
        BadInput: It is no run, is not finished, or files are damaged; lists what is wrong in all of them.
    """
    if not (folder / "record.json").is_file():
        RunRecipe.read(folder)  # says so if the folder is no run at all
        RunRecord.read(folder)
    problems: list[Problem] = []
    recipe = outcome = score = confusion = None
    log: tuple[dict[str, float], ...] = ()
    rehearsal: tuple[dict[str, float], ...] = ()
    with _collecting(problems):
        recipe = RunRecipe.read(folder)
    with _collecting(problems):
        outcome = RunRecord.read(folder)
    with _collecting(problems):
        log = read_log(folder / "log.jsonl")
    with _collecting(problems):
        rehearsal = read_log(folder / "rehearsal" / "log.jsonl")
    if recipe is not None:
        with _collecting(problems):
            score = read_score(folder)
            if recipe.challenge.task in ("classification", "actions", "points"):
                confusion = _confusion(score, folder / "scores.json", len(recipe.classes))
    if problems or recipe is None or outcome is None:
        raise BadInput(problems)
    return FinishedRun(folder, recipe, outcome, score, confusion, log, rehearsal)


def read_floors(run: FinishedRun) -> tuple[FinishedRun, ...]:
    """The finished runs in a run's folder `floors`, the best first; what is unfinished there is left out.

    Raises:
        BadInput: One of them is damaged or used other images than the run.
    """
    records = sorted((run.folder / "floors").glob("*/record.json"))
    problems: list[Problem] = []
    floors = []
    for record in records:
        with _collecting(problems):
            floors.append(floor := read_run(record.parent))
            if floor.recipe.manifest_sha256 != run.recipe.manifest_sha256:
                raise BadInput.single(floor.folder, "used other images than the run that it stands beside")
    if problems:
        raise BadInput(problems)
    return tuple(sorted(floors, key=lambda floor: -_headline(floor.score)))


def read_log(file: Path) -> tuple[dict[str, float], ...]:
    """The lines of a training log, each with its `step` and what else is finite; none if there is no file.

    A last line that is cut short is left out: a process may have been killed while it wrote it.

    Raises:
        BadInput: Lists every other line that is no record of numbers.
    """
    if not file.is_file():
        return ()
    lines = read_bytes(file).decode("utf-8", errors="replace").splitlines()
    found, problems = [], []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            if number < len(lines):
                problems.append(Problem(f"{file}, line {number}", "is not JSON"))
            continue
        if not isinstance(record, dict) or not _is_finite(step := record.get("step")) or step < 0:
            expected = "expected an object with a number from 0 up as `step`"
            problems.append(Problem(f"{file}, line {number}", expected))
            continue
        found.append({key: value for key, value in record.items() if _is_finite(value)})
    if problems:
        raise BadInput(problems)
    return tuple(found)


def _confusion(score: Score | None, file: Path, classes: int) -> NDArray[np.int64] | None:
    if score is None:
        return None
    details = validated(_Details, score.details, f"{file}, details")
    rows = details.confusion
    if len(rows) != classes or any(len(row) != classes + 1 for row in rows):
        found = f"has rows of {sorted({len(row) for row in rows})} counts"
        message = f"{len(rows)} rows, and {found}; expected {classes} of {classes + 1}"
        raise BadInput.single(f"{file}, details.confusion", message)
    confusion = np.array(rows, dtype=np.int64)
    if confusion.sum() != details.n_test:
        message = f"counts {confusion.sum()} images; expected {details.n_test}, which is n_test"
        raise BadInput.single(f"{file}, details.confusion", message)
    return confusion


def _headline(score: Score | None) -> float:
    return score.estimates[score.headline].value if score else -1.0


@contextmanager
def _collecting(problems: list[Problem]) -> Iterator[None]:
    """Goes on after a file that cannot be used, so that all of them are listed."""
    try:
        yield
    except BadInput as error:
        problems += error.problems


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
