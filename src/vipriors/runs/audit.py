"""`vipriors audit`: makes a run again from its recipe and says whether it is what it claims to be.

The run is repeated in a fresh process in which Python reports every file that is opened and every process
or connection that is started. Three things are compared: the images, the initial weights and the submission;
and what was read while the method learned is held against the list of training images.

Its limit: only what goes through Python's own `open`, `subprocess` and `socket` is seen. A compiled
extension that opens files by itself is not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vipriors.data.files import sha256_file
from vipriors.problems import BadInput
from vipriors.runs.records import RunRecipe, RunRecord, read_score

Verdict = Literal["same", "within the interval", "different"]


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    verdict: Verdict
    """`same`: to the bit. `within the interval`: the score lies in the run's 95 % interval."""
    checks: dict[str, bool]
    """Each thing that was compared, and whether it was the same."""
    scores: dict[str, float | None]
    """The headline score as recorded and as made again."""
    foreign_reads: list[str] = field(default_factory=list)
    """What was opened or started while learning and is not training data, code or the run's own."""

    @property
    def passed(self) -> bool:
        """Whether the entry stands: made again, and learned from nothing but its training images."""
        return self.verdict != "different" and not self.foreign_reads


def audit(run: Path, *, data: Path | None = None, source: Path | None = None) -> Audit:
    """Repeats a finished run in a fresh process and compares.

    Args:
        run: The run folder. It is only read.
        data: The prepared images; made anew in a temporary folder if not given.
        source: The user's copy of the images, for a challenge without embedded ones.

    Raises:
        BadInput: The run is not finished, or its data cannot be had or is not what the recipe names.
    """
    recipe, record = RunRecipe.read(run), RunRecord.read(run)
    with tempfile.TemporaryDirectory(prefix="vipriors-audit-") as name:
        scratch = Path(name)
        again = _replay(run, scratch, data, source, record)
        repeated = RunRecord.read(scratch / "run")
        repeated_score = read_score(scratch / "run")
        repeated_recipe = RunRecipe.read(scratch / "run")
    file = run / record.predictions
    submitted = sha256_file(file) if file.is_file() else "missing"
    first, second = record.facts, repeated.facts
    checks = {
        "images": recipe.manifest_sha256 == repeated_recipe.manifest_sha256,
        "initial weights": first.get("initial_weights_sha256") == second.get("initial_weights_sha256"),
        "final weights": first.get("final_weights_sha256") == second.get("final_weights_sha256"),
        "predictions": record.predictions_sha256 == repeated.predictions_sha256,
        "predictions on disk": record.predictions_sha256 == submitted,
    }
    score = read_score(run)
    headline = score.headline if score else "none"
    scores = {
        "recorded": score.estimates[headline].value if score else None,
        "repeated": repeated_score.estimates[headline].value if repeated_score and score else None,
    }
    verdict: Verdict = "different"
    if all(checks.values()):
        verdict = "same"
    elif checks["images"] and checks["predictions on disk"] and score and repeated_score:
        known = score.estimates[headline]
        if known.low <= repeated_score.estimates[headline].value <= known.high:
            verdict = "within the interval"
    return Audit(verdict, checks, scores, again["foreign"])


def _replay(
    run: Path, scratch: Path, data: Path | None, source: Path | None, record: RunRecord
) -> dict[str, Any]:
    request = {
        "run": str(run.resolve()),
        "scratch": str(scratch),
        "data": str(data.resolve()) if data else None,
        "source": str(source.resolve()) if source else None,
        "threads": record.environment.get("threads"),
    }
    # The environment's settings of the arithmetic libraries are kept; nothing is read from standard input.
    process = subprocess.run(
        [sys.executable, "-m", "vipriors.runs.replay"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    if process.returncode != 0:
        last = process.stderr.strip().splitlines()[-1:] or ["no message"]
        raise BadInput.single(run, f"could not be made again: {last[0]}")
    answer: dict[str, Any] = json.loads((scratch / "answer.json").read_text())
    return answer
