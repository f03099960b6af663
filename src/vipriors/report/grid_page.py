"""Puts the report of a grid together: one HTML file with curves, tables, methods, and its numbers as CSV."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from vipriors.bench.measured import Cost, Measured, Place, Size, read_measured
from vipriors.bench.records import FAILED, headline, score_of
from vipriors.bench.statistics import Ranking, ranking
from vipriors.data.files import os_errors, write_atomic
from vipriors.pages import templates
from vipriors.report import charts, grid_charts
from vipriors.report.page import Figure
from vipriors.report.recipe import grouped
from vipriors.report.sections import sections
from vipriors.tasks.score_names import metric_name

MOST_RANKED = 60
"""Methods that a rank plot shows at most, the best first."""
COSTS = (("steps", "steps"), ("flops", "FLOPs of training"), ("seconds", "seconds"))

Table = list[dict[str, Any]]


@dataclass(frozen=True)
class Download:
    """A file that is in the page."""

    name: str
    link: Markup
    about: str


@dataclass(frozen=True)
class CostTable:
    """Cost against score at one size."""

    size: str
    charts: tuple[Markup, ...]
    rows: tuple[tuple[int, str, Place, Cost], ...]
    """Number in the charts, contender, its scores, its cost."""


@dataclass(frozen=True)
class Ranks:
    """Methods by their mean rank over the challenges of one task."""

    task: str
    chart: Markup
    found: Ranking
    names: tuple[str, ...]
    """In the order of `found.ranks`."""
    left_out: tuple[str, ...]
    """Contenders that lack some block."""


def write_grid_report(folder: Path, reference: str | None = None, out: Path | None = None) -> Path:
    """Writes the report of the records of `vipriors bench` in a folder, or in the folders in it.

    The page is one HTML file without scripts or anything to be fetched; its numbers are in it as CSV files.

    Args:
        folder: The records.
        reference: The contender that others are compared with; by default each challenge's baseline.
        out: The file to write, `folder/report.html` by default.

    Returns:
        The file.

    Raises:
        BadInput: There are no records, some are damaged, or the reference was not measured.
    """
    measured = read_measured(folder, reference)
    page = render(measured, read_failures(folder))
    file = out or folder / "report.html"
    with os_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, page.encode())
    return file


def render(measured: Sequence[Measured], failures: Table) -> str:
    """The page."""
    environment = templates("vipriors.report")
    environment.filters |= {"metric": metric_name, "grouped": grouped, "short": grid_charts.short}
    records = [record for one in measured for record in one.records]
    ranks = rankings(measured)
    return environment.get_template("grid.html.jinja").render(
        measured=measured,
        curves={one.challenge: curves(one) for one in measured},
        costs={one.challenge: costs(one) for one in measured},
        verdicts={one.challenge: verdict(one) for one in measured},
        ranks=ranks,
        sections=sections(records),
        failures=failures,
        runs=len(records),
        downloads=downloads(measured, ranks),
        recipe_link=lambda text: data_link(text, "text/yaml"),
    )


def verdict(one: Measured) -> dict[str, list[str]]:
    """Contenders by what is clear of them after correction, at one size at least."""
    found: dict[str, list[str]] = {"above": [], "below": [], "": []}
    for contender in one.contenders:
        own = [one.places[key] for key in one.places if key[0] == contender]
        marks = {place.mark for place in own} - {""}
        if contender != one.reference:
            for mark in marks or {""}:
                found[mark].append(contender)
    return found


def curves(one: Measured) -> list[Figure]:
    """A chart for every contender that has two sizes: its curve, and the reference's behind it."""
    shown = {name: _curve(one, name) for name in one.contenders}
    shown = {name: curve for name, curve in shown.items() if len(curve.points) > 1}
    if not shown:
        return []
    ends = [value for curve in shown.values() for _, _, low, high in curve.points for value in (low, high)]
    limits = (max(0.0, min(ends)), min(100.0, max(ends)))
    figures = []
    for number, (name, curve) in enumerate(shown.items()):
        behind = [shown[one.reference]] if one.reference in shown and name != one.reference else []
        title = f"{name} on {one.challenge}"
        unit = f"{metric_name(one.headline)}, %"
        chart = grid_charts.curve_chart(
            f"curve-{one.challenge}-{number}", title, unit, [*behind, curve], limits
        )
        figures.append(Figure(chart, name))
    return figures


def _curve(one: Measured, contender: str) -> grid_charts.Curve:
    points = []
    for size in one.sizes:
        place = one.places.get((contender, size))
        if place and size:
            low, high = place.interval or (place.mean, place.mean)
            # A score is a share: where a few subsets leave the interval open beyond that, the band ends.
            points.append((float(size), 100 * place.mean, 100 * max(0.0, low), 100 * min(1.0, high)))
    return grid_charts.Curve(contender, points)


def costs(one: Measured) -> CostTable | None:
    """Score against cost at the smallest size that the most contenders were measured at."""
    counts = {size: sum(key[1] == size for key in one.places) for size in one.sizes}
    size = max(one.sizes, key=lambda n: (counts[n], -(n or 0)))
    rows = []
    for number, contender in enumerate(one.contenders, start=1):
        place, cost = one.places.get((contender, size)), one.cost(contender, size)
        if place and cost:
            rows.append((number, contender, place, cost))
    drawn = []
    for key, words in COSTS:
        dots = [
            grid_charts.Dot(str(number), float(value), 100 * place.mean, contender == one.reference)
            for number, contender, place, cost in rows
            if (value := getattr(cost, key))
        ]
        if len(dots) > 1:  # a single dot says no more than the table
            name, title = f"cost-{key}-{one.challenge}", f"Score against {words} on {one.challenge}"
            drawn.append(grid_charts.cost_chart(name, title, f"{metric_name(one.headline)}, %", words, dots))
    known = any(getattr(cost, key) for *_, cost in rows for key, _ in COSTS)
    return CostTable(one.size_name(size), tuple(drawn), tuple(rows)) if known else None


def rankings(measured: Sequence[Measured]) -> list[Ranks]:
    """Mean ranks over (challenge, size, subset), for each task with two methods in every one of them."""
    found = []
    for task in dict.fromkeys(one.task for one in measured):
        blocks: dict[tuple[str, Size, int], dict[str, float]] = {}
        for one in measured:
            for (contender, size), scores in one.scores.items():
                for seed, score in scores.items():
                    if one.task == task:
                        blocks.setdefault((one.challenge, size, seed), {})[contender] = score
        everyone = {name for block in blocks.values() for name in block}
        names = sorted(name for name in everyone if all(name in block for block in blocks.values()))
        if len(names) < 2 or len(blocks) < 2:
            continue
        result = ranking([[block[name] for name in names] for block in blocks.values()])
        half = result.critical_difference / 2
        references = {one.reference for one in measured if one.task == task}
        order = np.argsort(result.ranks, kind="stable")[:MOST_RANKED].tolist()
        rows = [
            charts.Interval(names[k], float(rank), rank - half, rank + half, names[k] in references)
            for k in order
            for rank in [float(result.ranks[k])]
        ]
        chart = charts.interval_chart(f"ranks-{task}", f"Mean ranks, {task}", "", rows)
        found.append(Ranks(task, chart, result, tuple(names), tuple(sorted(everyone - set(names)))))
    return found


def read_failures(folder: Path) -> Table:
    """Cells that failed, as `vipriors bench` noted them; a damaged note holds no result and is left out."""
    found = []
    for file in sorted([*folder.glob(f"{FAILED}/*.json"), *folder.glob(f"*/{FAILED}/*.json")]):
        try:
            note = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            continue
        found.append(
            {"cell": file.stem, "challenge": note.get("challenge", ""), "error": note.get("error", "")}
        )
    return found


def downloads(measured: Sequence[Measured], ranks: Sequence[Ranks]) -> list[Download]:
    """The page's numbers as CSV files."""
    rank_rows = [
        {"task": one.task, "contender": name, "mean_rank": float(rank), "blocks": one.found.blocks}
        | {"critical_difference": one.found.critical_difference, "friedman_p": one.found.p}
        for one in ranks
        for name, rank in zip(one.names, one.found.ranks, strict=True)
    ]
    files = [
        ("runs.csv", "every run: its scores and its cost", run_rows(measured)),
        ("comparisons.csv", "means, differences, p values, data-saving factors", comparison_rows(measured)),
        ("ranks.csv", "mean ranks", rank_rows),
    ]
    return [
        Download(name, data_link(csv_text(rows), "text/csv"), about) for name, about, rows in files if rows
    ]


def run_rows(measured: Sequence[Measured]) -> Table:
    """A row a run."""
    return [
        {
            "challenge": one.challenge,
            "contender": record["contender"],
            "images": record["images_per_class"],
            "subset": record["seed"],
            "headline": headline(record),
            "score": score_of(record),
            **{f"score_{name}": value for name, value in record["scores"].items()},
            **record.get("cost", {}),
            "manifest_sha256": record.get("manifest_sha256"),
        }
        for one in measured
        for record in one.records
    ]


def comparison_rows(measured: Sequence[Measured]) -> Table:
    """A row a contender and size."""
    rows = []
    for one in measured:
        for place in one.places.values():
            low, high = place.interval or (None, None)
            row: dict[str, Any] = {"challenge": one.challenge, "contender": place.contender}
            row |= {"images": place.size, "subsets": len(place.scores), "headline": one.headline}
            row |= {"mean": place.mean, "deviation": place.deviation, "low": low, "high": high}
            if place.difference and place.bootstrap:
                gap = place.difference
                row |= {"reference": one.reference, "difference": gap.mean, "difference_low": gap.low}
                row |= {"difference_high": gap.high, "bootstrap_low": place.bootstrap[0]}
                row |= {"bootstrap_high": place.bootstrap[1], "p": gap.p, "p_holm": place.adjusted_p}
            if place.saving:
                saving = place.saving
                row |= {"data_saving": saving.factor, "data_saving_low": saving.low}
                row |= {"data_saving_high": saving.high}
            rows.append(row)
    return rows


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as CSV, with every column that any of them has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def data_link(text: str, kind: str) -> Markup:
    """A link that holds a file."""
    return Markup("data:{};charset=utf-8;base64,{}").format(kind, base64.b64encode(text.encode()).decode())
