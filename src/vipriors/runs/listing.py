"""What the finished runs in a folder scored, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vipriors.problems import BadInput
from vipriors.runs.records import RunRecipe, RunRecord, read_score
from vipriors.tasks.score import Score


@dataclass(frozen=True)
class Finished:
    """A finished run and its best floor."""

    folder: Path
    recipe: RunRecipe
    record: RunRecord
    score: Score | None
    floor: str | None
    """Name of the floor that scores highest; None where no floor was run and scored."""
    floor_score: float | None

    def to_json(self) -> dict[str, object]:
        """What the list says of it."""
        best = self.score.estimates[self.score.headline] if self.score else None
        return {
            "run": str(self.folder),
            "challenge": self.recipe.challenge.name,
            "task": self.recipe.challenge.task,
            "method": self.recipe.method,
            "preset": self.recipe.preset,
            "seed": self.recipe.seed,
            "metric": self.score.headline if self.score else None,
            "score": best.value if best else None,
            "interval": [best.low, best.high] if best else None,
            "floor": self.floor,
            "floor_score": self.floor_score,
            "seconds": self.record.facts.get("seconds"),
        }


def finished_runs(folder: Path) -> list[Finished]:
    """The finished runs in a folder and its subfolders but for floors, in the order of their paths.

    Raises:
        BadInput: There is none, or files of some are damaged; lists what is wrong in all of them.
    """
    found, problems = [], []
    for record in sorted(folder.rglob("record.json")):
        run = record.parent
        if run.parent.name == "floors":
            continue
        try:
            floor, floor_score = _best_floor(run)
            found.append(
                Finished(run, RunRecipe.read(run), RunRecord.read(run), read_score(run), floor, floor_score)
            )
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)
    if not found:
        raise BadInput.single(folder, "has no finished run in it")
    return found


def _best_floor(run: Path) -> tuple[str | None, float | None]:
    scores = {
        RunRecipe.read(record.parent).method: score.estimates[score.headline].value
        for record in sorted((run / "floors").glob("*/record.json"))
        if (score := read_score(record.parent))
    }
    best = max(scores, key=lambda name: scores[name], default=None)
    return best, scores[best] if best is not None else None


def table(runs: list[Finished]) -> str:
    """A line a run: challenge, method, score with its interval, best floor, training seconds."""
    rows = [["challenge", "method", "score", "95 % interval", "best floor", "seconds", "run"]]
    for run in runs:
        best = run.score.estimates[run.score.headline] if run.score else None
        floor = f"{run.floor_score:.3f} {run.floor}" if run.floor_score is not None else "-"
        seconds = run.record.facts.get("seconds")
        rows.append(
            [
                run.recipe.challenge.name,
                run.recipe.method,
                f"{run.score.headline} {best.value:.3f}" if run.score and best else "not scored",
                f"{best.low:.3f} to {best.high:.3f}" if best else "-",
                floor,
                f"{seconds:.0f}" if isinstance(seconds, int | float) else "-",
                str(run.folder),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
