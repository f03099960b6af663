"""Puts a run's report together: reads the run, draws its charts, fills the template."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vipriors import challenges
from vipriors.data.files import os_errors, write_atomic
from vipriors.data.prepared import TEST_LABELS, read_dataset
from vipriors.report import charts, confusion
from vipriors.report.finished import FinishedRun, read_floors, read_run
from vipriors.report.mistakes import Mistake, worst_mistakes

METRICS = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "balanced_accuracy": "balanced accuracy",
}
COSTS = {"seconds": "training seconds", "flops_per_image": "FLOPs per image, forward"}
NARROW_SPACE = "\u202f"


@dataclass(frozen=True)
class Figure:
    """A chart and what is said under it."""

    chart: Markup
    caption: str


def write_report(run: Path, data: Path | None = None, out: Path | None = None) -> Path:
    """Writes the report of a finished run: one HTML file without scripts or anything to be fetched.

    Args:
        run: The run folder; runs in its folder `floors` are shown beside it.
        data: The prepared folder the run used, for pictures of its worst mistakes.
        out: The file to write, `run/report.html` by default.

    Returns:
        The file.

    Raises:
        BadInput: The run is not finished, something in it is damaged, or `data` is not its data.
    """
    finished = read_run(run)
    floors = read_floors(finished)
    mistakes: list[Mistake] | None = None
    if data is not None:
        read_dataset(data)
        if (data / TEST_LABELS).is_file():
            mistakes = worst_mistakes(finished, data)
    page = render(finished, floors, mistakes, data_given=data is not None)
    file = out or run / "report.html"
    with os_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, page.encode())
    return file


def render(
    run: FinishedRun, floors: tuple[FinishedRun, ...], mistakes: list[Mistake] | None, *, data_given: bool
) -> str:
    """The page; `mistakes` is None where there are no images or no labels to make pictures from."""
    environment = Environment(
        loader=PackageLoader("vipriors.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "metric": metric_name, "grouped": grouped}
    classes = run.recipe.classes
    large = len(classes) > confusion.MOST_NUMBERS
    matrix = run.confusion
    return environment.get_template("run.html.jinja").render(
        run=run,
        floors=floors,
        recipe=run.recipe,
        challenge=run.recipe.challenge,
        outcome=run.outcome,
        score=run.score,
        headline=run.score.estimates[run.score.headline] if run.score else None,
        right=None if matrix is None else int(matrix.trace()),
        tested=None if matrix is None else int(matrix.sum()),
        guessing=None if matrix is None else float(matrix.sum(axis=1).max() / matrix.sum()),
        comparison=comparison_chart(run, floors),
        curves=curves(run),
        large=large,
        columns=[] if matrix is None else confusion.columns(matrix, classes),
        rows=[] if matrix is None else confusion.class_rows(matrix, classes),
        pairs=[] if matrix is None else confusion.confused_pairs(matrix, classes),
        heat_map=charts.heat_map("confusion-map", "Confusion of classes", matrix[:, :-1])
        if matrix is not None and large and len(classes) <= confusion.MOST_CELLS
        else None,
        mistakes=mistakes,
        data_given=data_given,
        facts=facts(run, floors),
        command=command(run, bool(floors)),
        audit=shlex.join(["vipriors", "audit", _shown_path(run.folder), *_source(run)]),
    )


def comparison_chart(run: FinishedRun, floors: tuple[FinishedRun, ...]) -> Markup | None:
    """The headline score of each scored run with its interval, this run first."""
    rows = []
    for one in (run, *floors):
        if run.score and one.score and one.score.headline == run.score.headline:
            best = one.score.estimates[one.score.headline]
            numbers = (100 * best.value, 100 * best.low, 100 * best.high)
            rows.append(charts.Interval(one.recipe.method, *numbers, emphasis=one is run))
    if not rows or not run.score:
        return None
    title = f"{metric_name(run.score.headline)} with 95 % intervals"
    return charts.interval_chart("comparison", title, f"{NARROW_SPACE}%", rows)


def curves(run: FinishedRun) -> list[Figure]:
    """The learning curves that there are: loss, validation accuracy, learning rate."""
    watched = run.rehearsal or run.log
    training = "training" if not run.rehearsal else "final run"
    loss = [
        _series(training, run.log, "loss"),
        _series("rehearsal", run.rehearsal, "loss", style=1),
        _series("validation", watched, "val_loss", style=2),
    ]
    wanted = [
        ("loss", "Loss", "loss", loss, "Mean training loss between two lines of the log"),
        (
            "accuracy",
            "Validation accuracy",
            "validation accuracy, %",
            [_series("validation", watched, "val_top1", 100, style=2)],
            "Top-1 accuracy on the validation images",
        ),
        (
            "rate",
            "Learning rate",
            "learning rate",
            [_series(training, run.log, "lr")],
            "Learning rate at each line of the log",
        ),
    ]
    figures = []
    for name, title, unit, series, caption in wanted:
        if lines := [line for line in series if line.points]:
            if name == "loss" and len(lines) > 1:
                caption += ", and loss on the validation images"
            figures.append(Figure(charts.line_chart(f"curve-{name}", title, unit, lines), f"{caption}."))
    return figures


def facts(run: FinishedRun, floors: tuple[FinishedRun, ...]) -> dict[str, dict[str, str]]:
    """Everything that was set, used and spent, by group."""
    recipe, outcome = run.recipe, run.outcome
    challenge = recipe.challenge
    height, width = challenge.input.size
    all_or = "all" if recipe.images_per_class is None else str(recipe.images_per_class)
    spent = {key: value for key, value in outcome.facts.items() if not key.endswith("sha256")}
    hashes = {key: value for key, value in outcome.facts.items() if key.endswith("sha256")}
    data = {
        "challenge": challenge.name,
        "task": challenge.task,
        "classes": str(len(recipe.classes)),
        "input, H × W × C": f"{height} × {width} × {challenge.input.channels}",
        "images a class": all_or,
        "subset seed": str(recipe.subset_seed),
        **{f"{split} images": grouped(count) for split, count in outcome.counts},
        "invariance": _words(challenge.invariance.model_dump()),
    }
    method = {
        "method": recipe.method,
        "preset": recipe.preset,
        "seed": str(recipe.seed),
        "fitted to": recipe.fit_on,
        "rehearsed": as_text(recipe.rehearse),
        "precision": recipe.precision,
    }
    groups = {
        "Data": data,
        "Method": method,
        "Hyper-parameters": {key: as_text(value) for key, value in recipe.hyper_parameters.items()},
        "Floors": {floor.recipe.method: _words(floor.recipe.hyper_parameters) for floor in floors},
        "Cost": {COSTS.get(key, key.replace("_", " ")): grouped(value) for key, value in spent.items()},
        "Made with": {key: as_text(value) for key, value in outcome.environment.items()},
        "SHA-256": {
            "manifest": recipe.manifest_sha256,
            "predictions": outcome.predictions_sha256,
            **{
                key.removesuffix("_sha256").replace("_", " "): as_text(value) for key, value in hashes.items()
            },
        },
    }
    return {group: values for group, values in groups.items() if values}


def command(run: FinishedRun, floors: bool) -> str:
    """The command that makes the run again, over several lines.

    Every hyper-parameter is stated, so that the command stays exact when a preset changes; other options
    are stated where they are not what the challenge or the command takes by itself.
    """
    recipe = run.recipe
    subset = recipe.challenge.subset
    name = recipe.challenge.name
    words = [
        "vipriors run",
        name if name in challenges.embedded() else f"{name}.yaml",
        shlex.quote(recipe.method),
    ]
    words += [f"--preset {shlex.quote(recipe.preset)}", f"--seed {recipe.seed}"]
    if recipe.images_per_class != subset.images_per_class:
        words.append(f"--images-per-class {recipe.images_per_class}")
    if recipe.subset_seed != subset.seed:
        words.append(f"--subset-seed {recipe.subset_seed}")
    if source := _source(run):
        words.append(" ".join(source))
    if recipe.fit_on != "train+val":
        words.append(f"--fit {shlex.quote(recipe.fit_on)}")
    words += ["--rehearse"] if recipe.rehearse else []
    words += ["--floors"] if floors else []
    if recipe.precision != "auto":
        words.append(f"--precision {shlex.quote(recipe.precision)}")
    words += [f"--set {shlex.quote(f'{k}={as_text(v)}')}" for k, v in recipe.hyper_parameters.items()]
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > 76:
            lines[-1] += " \\"
            lines.append(" ")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def _source(run: FinishedRun) -> list[str]:
    source = run.recipe.challenge.source
    return [] if source.world or source.path else ["--source", "DIR"]


def percent(share: float) -> str:
    """A share as percent with one decimal."""
    return f"{100 * share:.1f}{NARROW_SPACE}%"


def metric_name(key: str) -> str:
    """What a score is called."""
    return METRICS.get(key, key.replace("_", " "))


def grouped(value: Any) -> str:
    """A whole number with its thousands apart; anything else as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", NARROW_SPACE)
    return as_text(value)


def as_text(value: Any) -> str:
    """A JSON value as `--set` takes it."""
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _series(
    name: str, log: tuple[dict[str, float], ...], key: str, times: float = 1, style: int = 0
) -> charts.Series:
    points = [(line["step"], times * line[key]) for line in log if math.isfinite(line.get(key, math.nan))]
    return charts.Series(name, points, style)


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {as_text(value)}" for key, value in values.items()) or "none"


def _shown_path(folder: Path) -> str:
    """A relative path as it was given; of an absolute one, which tells of a person's machine, the name."""
    return folder.name if folder.is_absolute() else str(folder)
