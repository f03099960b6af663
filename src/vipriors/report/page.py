"""Puts a run's report together: reads the run, draws its charts, fills the template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from vipriors.data.files import os_errors, write_atomic
from vipriors.data.prepared import TEST_LABELS, read_dataset
from vipriors.pages import templates
from vipriors.pictures import Picture
from vipriors.report import charts, confusion
from vipriors.report.finished import FinishedRun, read_floors, read_run
from vipriors.report.lost import Lost, lost_of
from vipriors.report.mistakes import Mistake, worst_mistakes
from vipriors.report.pictures import pictures_of
from vipriors.report.recipe import NARROW_SPACE, audit_command, facts, grouped, run_command
from vipriors.tasks import BY_CLASS
from vipriors.tasks.score_names import AMOUNTS, metric_name


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
    shown: list[Picture] = []
    lost: Lost | None = None
    if data is not None:
        read_dataset(data)
        if finished.recipe.challenge.task != "classification":
            shown = pictures_of(finished, data)
            lost = lost_of(finished, data)
        elif (data / TEST_LABELS).is_file():
            mistakes = worst_mistakes(finished, data)
    page = render(finished, floors, mistakes, shown, lost, data_given=data is not None)
    file = out or run / "report.html"
    with os_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, page.encode())
    return file


def render(
    run: FinishedRun,
    floors: tuple[FinishedRun, ...],
    mistakes: list[Mistake] | None,
    pictures: list[Picture],
    lost: Lost | None = None,
    *,
    data_given: bool,
) -> str:
    """The page; `mistakes` is None where there are no images or no labels to make pictures from."""
    environment = templates("vipriors.report")
    environment.filters |= {"percent": percent, "amount": amount, "metric": metric_name, "grouped": grouped}
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
        guessing=guessing(run),
        media={"actions": "clips", "points": "clouds", "planning": "maps"}.get(
            run.recipe.challenge.task, "images"
        ),
        by_class=run.recipe.challenge.task in BY_CLASS,
        table=class_table(run),
        pictures=pictures,
        lost=lost,
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
        command=run_command(run, bool(floors)),
        audit=audit_command(run),
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
        *(
            (
                "accuracy" if key == "val_top1" else key.replace("_", "-"),
                f"{name} on validation",
                f"{name}, %",
                [_series("validation", watched, key, 100, style=2)],
                f"{name} on the validation images",
            )
            for key in sorted({key for line in watched for key in line})
            if key.startswith("val_")
            and not key.endswith("loss")
            and (name := metric_name(key.removeprefix("val_")))
        ),
        (
            "diversity",
            "Diversity of predictions",
            "predicted classes, % of all",
            [_series("validation" if run.rehearsal else training, watched, "diversity", 100, style=2)],
            "Share of the classes that is predicted in a batch of images without labels",
        ),
        (
            "found",
            "Views found",
            "views found, %",
            [_series("training", run.log, "found", 100)],
            "Share of the images without labels whose other view is nearer to them than those of all others",
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


def guessing(run: FinishedRun) -> float | None:
    """What always naming the most frequent class would score by the headline."""
    if run.confusion is None or run.recipe.challenge.task != "classification":
        return None
    return float(run.confusion.sum(axis=1).max() / run.confusion.sum())


@dataclass(frozen=True)
class ClassTable:
    """Scores of each class."""

    columns: list[str]
    rows: list[tuple[str, list[str]]]


def class_table(run: FinishedRun) -> ClassTable | None:
    """What the score's details say of each class; None where they do not, or the confusion says it."""
    found = run.score.details.get("per_class") if run.score and run.confusion is None else None
    if not found:
        return None
    columns = [key for key in found[0] if key != "class"]

    def text(value: object) -> str:
        return "–" if value is None else percent(value) if isinstance(value, float) else grouped(value)

    return ClassTable(columns, [(row["class"], [text(row.get(key)) for key in columns]) for row in found])


def percent(share: float) -> str:
    """A share as percent with one decimal."""
    return f"{100 * share:.1f}{NARROW_SPACE}%"


def amount(value: float, key: str) -> str:
    """The value of a score: a share as percent, all else with four digits behind the point."""
    return f"{value:.4f}" if key in AMOUNTS else percent(value)


def _series(
    name: str, log: tuple[dict[str, float], ...], key: str, times: float = 1, style: int = 0
) -> charts.Series:
    points = [(line["step"], times * line[key]) for line in log if key in line]
    return charts.Series(name, points, style)
