"""A measured result: one small JSON file that says what was run, what it scored and what it cost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vipriors.data.files import write_atomic
from vipriors.problems import BadInput, Problem
from vipriors.runs.records import RunRecipe, RunRecord, read_score

FAILED = "failed"
"""Folder in a store for what is known of cells that failed."""
KEPT_FACTS = ("seconds", "steps", "parameters", "flops_per_image")


@dataclass(frozen=True)
class Cell:
    """One cell of a grid: which method, on how many images, on which subset with which seed."""

    contender: str
    images_per_class: int | None
    """None for as many as the challenge takes by itself."""
    seed: int
    """Of the subset and of the training: a subset is drawn anew for every seed."""

    @property
    def name(self) -> str:
        """Also the name of its record's file."""
        size = "own" if self.images_per_class is None else self.images_per_class
        return f"{self.contender}-n{size}-s{self.seed}"


def record_of(run: Path, cell: Cell) -> dict[str, Any]:
    """What a finished run's folder says, without its bulk.

    Raises:
        BadInput: The run has no score.
    """
    recipe, record, score = RunRecipe.read(run), RunRecord.read(run), read_score(run)
    if score is None:
        raise BadInput.single(run, "has no score; a grid needs the test labels")
    scores = score.to_json()
    return {
        "challenge": recipe.challenge.name,
        "task": recipe.challenge.task,
        "headline": score.headline,
        "contender": cell.contender,
        "method": recipe.method,
        "preset": recipe.preset,
        "images_per_class": recipe.images_per_class,
        "subset_seed": recipe.subset_seed,
        "seed": recipe.seed,
        "fit_on": recipe.fit_on,
        "precision": recipe.precision,
        "hyper_parameters": recipe.hyper_parameters,
        "scores": {name: round(value, 6) for name, value in scores["scores"].items()},
        "intervals": {name: [round(v, 6) for v in pair] for name, pair in scores["intervals"].items()},
        "counts": record.counts.model_dump(),
        "cost": {key: record.facts[key] for key in KEPT_FACTS if key in record.facts},
        "manifest_sha256": recipe.manifest_sha256,
        "predictions_sha256": record.predictions_sha256,
        "environment": record.environment,
    }


def write_record(folder: Path, cell: Cell, record: dict[str, Any]) -> None:
    """Adds a record to a store, a folder with one file a cell."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_atomic(folder / f"{cell.name}.json", text.encode())
    (folder / FAILED / f"{cell.name}.json").unlink(missing_ok=True)  # it has succeeded now


def write_failure(folder: Path, cell: Cell, note: dict[str, Any]) -> None:
    """Notes why a cell of a store has no record."""
    (folder / FAILED).mkdir(parents=True, exist_ok=True)
    text = json.dumps(note, indent=1, sort_keys=True) + "\n"
    write_atomic(folder / FAILED / f"{cell.name}.json", text.encode())


def read_records(folder: Path, cells: str = "*-n*-s*") -> list[dict[str, Any]]:
    """Every record of a store, in the order of their names.

    Args:
        folder: The store.
        cells: Which, by a pattern of their cells' names; all by default.

    Raises:
        BadInput: Lists every file that is damaged.
    """
    records, problems = [], []
    for file in sorted(folder.glob(f"{cells}.json")):
        try:
            records.append(json.loads(file.read_text(encoding="utf-8")))
        except ValueError as error:
            problems.append(Problem(str(file), f"is not JSON: {error}"))
    if problems:
        raise BadInput(problems)
    return records


def group(records: Iterable[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Records by the values of some of their fields, in order of first appearance."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(tuple(record[key] for key in keys), []).append(record)
    return found


def headline(record: dict[str, Any]) -> str:
    """The score that a record's challenge ranks by; the first records had no other than top-1 accuracy."""
    return str(record.get("headline", "top1"))


def score_of(record: dict[str, Any]) -> float:
    """The headline score of a record."""
    return float(record["scores"][headline(record)])
