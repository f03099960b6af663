"""What somebody enters a challenge with: a predictions file or a run, checked before it is sent."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, TypeGuard

from vipriors.board.intake import unwrap
from vipriors.challenges import find
from vipriors.challenges.hidden import find_hidden_test
from vipriors.challenges.schema import read_challenge
from vipriors.data.files import read_bytes
from vipriors.problems import BadInput, Problem
from vipriors.runs.records import RunRecipe, RunRecord


def name_of(challenge: str) -> str:
    """The name of a challenge that is given by its name or the path of its file."""
    if Path(challenge).suffix in (".yaml", ".yml") or Path(challenge).is_dir():
        return read_challenge(find(challenge)).name
    return challenge


def problems_of(challenge: str, file: Path, source: Path | None = None) -> tuple[list[Problem], str]:
    """Every problem that the board would find, and why nothing could be looked at here, if so.

    Args:
        challenge: its name, or the path of its file.
        file: the predictions, as they are or in a zip.
        source: the user's copy of the challenge's images.

    Raises:
        BadInput: the file cannot be read.
    """
    data = read_bytes(file)
    try:
        test = find_hidden_test(challenge, source=source)
    except BadInput as error:
        return [], str(error.problems[0])
    try:
        content, name = unwrap(data, test.task.__name__.rpartition(".")[2], file.name)
    except BadInput as error:
        return error.problems, ""
    _, problems = test.task.check(content, test.truth.index, name)
    return list(problems), ""


def of_run(folder: Path, challenge: str) -> tuple[Path, dict[str, Any]]:
    """The predictions of a finished run, and what its record says of them.

    Args:
        folder: the run's.
        challenge: name of the challenge that it is sent to.

    Raises:
        BadInput: it is no finished run of this challenge, or its predictions were changed.
    """
    recipe, record = RunRecipe.read(folder), RunRecord.read(folder)
    if recipe.challenge.name != challenge:
        message = f"is a run of {recipe.challenge.name}; expected one of {challenge}"
        raise BadInput.single(folder, message)
    file = folder / record.predictions
    if hashlib.sha256(read_bytes(file)).hexdigest() != record.predictions_sha256:
        raise BadInput.single(file, "is not what the run wrote, by its record")
    counts = record.counts
    images = counts.train + (counts.val if recipe.fit_on == "train+val" else 0)
    declaration: dict[str, Any] = {
        "kind": "single",
        "data": f"{images:,} images of {recipe.challenge.name}, subset seed {recipe.subset_seed}",
        "card": _card(recipe),
    }
    if isinstance(parameters := record.facts.get("parameters"), int):
        declaration["parameters"] = parameters
    if _is_positive(flops := record.facts.get("flops_per_image")):
        declaration["flops"] = flops
    if isinstance(seconds := record.facts.get("seconds"), int | float):
        machine = record.environment
        device = machine.get("device") if machine.get("device") not in (None, "cpu") else None
        if device and _is_positive(seconds):
            declaration["gpu_hours"] = seconds / 3600
        declaration["cost"] = f"{seconds:,.0f} s on {device or machine.get('processor', 'a CPU')}"[:200]
    return file, declaration


def _is_positive(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _card(recipe: RunRecipe) -> str:
    lines = [f"Method `{recipe.method}`, preset `{recipe.preset}`, seed {recipe.seed}.", ""]
    lines += [f"- `{name}`: {value}" for name, value in recipe.hyper_parameters.items()]
    return "\n".join(lines)
