"""A diagnosis to read: as text, as a page, and as tables of what each result and each missed object is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vipriors.data.files import os_errors, write_atomic
from vipriors.diagnose.charts import WORDS, bars, ring, special_bars
from vipriors.diagnose.errors import HIT, LABELS
from vipriors.diagnose.predictions import Diagnosed
from vipriors.diagnose.tide import Diagnosis
from vipriors.pages import templates

BAR = 24
"""Characters of the longest bar."""


def as_text(diagnosis: Diagnosis) -> str:
    """A table with bars."""
    largest = max(1.0, *diagnosis.delta_ap.values(), *diagnosis.special.values())
    lines = [f"AP {diagnosis.ap:.2f} at an overlap of {diagnosis.settings.foreground:g}", ""]
    lines += [f"{'error':8}  {'ΔAP':>6}  {'count':>7}"]
    for kind, value in (diagnosis.delta_ap | diagnosis.special).items():
        count = f"{diagnosis.counts[kind]:,}" if kind in diagnosis.counts else ""
        bar = "█" * round(BAR * max(value, 0) / largest)
        lines.append(f"{kind:8}  {value:6.2f}  {count:>7}  {bar:{BAR}}  {WORDS[kind]}")
    return "\n".join(lines)


def write_diagnosis(diagnosed: Diagnosed, task: str, name: str, out: Path) -> list[Path]:
    """Writes `tide.html`, `results.csv` and `missed.csv`.

    Args:
        diagnosed: what is told.
        task: whose predictions they are.
        name: what the page calls the predictions.
        out: the folder; made if there is none.

    Returns:
        The files.

    Raises:
        BadInput: they cannot be written.
    """
    diagnosis, objects = diagnosed.diagnosis, diagnosed.labels.objects
    environment = templates("vipriors.diagnose")
    page = environment.get_template("tide.html.jinja").render(
        name=name,
        task=task,
        diagnosis=diagnosis,
        hits=int((diagnosis.labels == HIT).sum()),
        objects=int((~objects.crowds).sum()),
        results=len(diagnosis.labels),
        ring=ring(diagnosis),
        bars=bars(diagnosis),
        special_bars=special_bars(diagnosis),
    )
    contents = {
        "tide.html": page,
        "results.csv": result_table(diagnosed),
        "missed.csv": missed_table(diagnosed),
    }
    with os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():
            write_atomic(out / file, content.encode())
    return [out / file for file in contents]


def result_table(diagnosed: Diagnosed) -> str:
    """CSV: what each result is, in the order of the file.

    `entry` counts the results of the file from 0, `object` the annotations of the labels that a hit took or
    that the error is about.
    """
    diagnosis, results, index = diagnosed.diagnosis, diagnosed.predictions.results, diagnosed.labels.index
    rows = (
        [
            entry,
            index.ids[results.images[entry]],
            index.names[results.classes[entry]],
            f"{results.scores[entry]:.9g}",
            LABELS[label],
            "yes" if diagnosis.ignored[entry] else "no",
            "" if diagnosis.about[entry] < 0 else diagnosis.about[entry],
            f"{diagnosis.overlaps[entry]:.4f}",
        ]
        for entry, label in enumerate(diagnosis.labels.tolist())
    )
    return _table(["entry", "image_id", "category", "score", "is", "in_crowd", "object", "overlap"], rows)


def missed_table(diagnosed: Diagnosed) -> str:
    """CSV: the objects that were missed; `object` counts the annotations of the labels from 0."""
    objects, index = diagnosed.labels.objects, diagnosed.labels.index
    rows = (
        [
            entry,
            index.ids[objects.images[entry]],
            index.names[objects.classes[entry]],
            f"{objects.areas[entry]:g}",
        ]
        for entry in np.flatnonzero(diagnosed.diagnosis.missed).tolist()
    )
    return _table(["object", "image_id", "category", "area"], rows)


def _table(columns: list[str], rows: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
