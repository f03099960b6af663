"""Where a run that finds objects loses AP: what each type of error costs, and the worst of each, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from vipriors.data.images import read_image
from vipriors.data.packed import PreparedFiles
from vipriors.data.prepared import read_prepared
from vipriors.diagnose.charts import WORDS, bars, special_bars
from vipriors.diagnose.errors import KINDS
from vipriors.diagnose.predictions import TASKS, Diagnosed, diagnose_files
from vipriors.diagnose.tide import Diagnosis
from vipriors.pictures import Picture, png
from vipriors.pictures.objects import (
    Pixels,
    Thing,
    box_of,
    corners,
    enlarged,
    lay_mask,
    mask_of,
    outline,
    said,
    tag,
)
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures._objects import file_names
from vipriors.tasks import detection, instances

COUNT, TEXT = 3, 18
"""Pictures of each type of error, and the size of the words on them."""
TRUTH, FOUND = (86, 180, 233), (230, 120, 0)
"""Colours of annotated and of found objects."""


@dataclass(frozen=True)
class Kind:
    """A type of error: what it is, what it costs in AP, how many there are, and the worst of them."""

    name: str
    words: str
    cost: float
    count: int
    pictures: list[Picture]


@dataclass(frozen=True)
class Lost:
    """What the report says of the errors; kinds with the costliest first, without those that do not occur."""

    diagnosis: Diagnosis
    bars: Markup
    special_bars: Markup
    kinds: list[Kind]


def lost_of(run: FinishedRun, data: Path) -> Lost | None:
    """Diagnoses a run; None if it finds no objects or the prepared folder has no test labels.

    Raises:
        BadInput: Predictions, labels or images are damaged or not those of this run.
    """
    task = run.recipe.challenge.task
    labels_file = read_prepared(data).labels_of("test") if task in TASKS else None
    if labels_file is None:
        return None
    diagnosed = diagnose_files(task, run.folder / run.outcome.predictions, labels_file)
    diagnosis = diagnosed.diagnosis
    kinds = [
        Kind(
            kind,
            WORDS[kind],
            diagnosis.delta_ap[kind],
            diagnosis.counts[kind],
            [_picture(diagnosed, data, kind, which) for which in worst(diagnosed, kind)],
        )
        for kind in sorted(KINDS, key=lambda kind: -diagnosis.delta_ap[kind])
        if diagnosis.counts[kind]
    ]
    return Lost(diagnosis, bars(diagnosis), special_bars(diagnosis), kinds)


def worst(diagnosed: Diagnosed, kind: str) -> list[int]:
    """The surest results of a type of error, or the largest missed objects: at most one of an image."""
    diagnosis, objects = diagnosed.diagnosis, diagnosed.labels.objects
    results = diagnosed.predictions.results
    if kind == "Miss":
        which, weights, images = np.flatnonzero(diagnosis.missed), objects.areas, objects.images
    else:
        of_kind = (diagnosis.labels == KINDS.index(kind)) & ~diagnosis.ignored
        which, weights, images = np.flatnonzero(of_kind), results.scores, results.images
    order = which[np.argsort(-weights[which], kind="stable")]
    _, firsts = np.unique(images[order], return_index=True)
    return [int(place) for place in order[np.sort(firsts)][:COUNT]]


def draw(
    image: Pixels, found: Thing | None, about: Thing | None, others: Sequence[Thing], names: Sequence[str]
) -> Pixels:
    """An image with one result and the object it is about; other annotated objects as thin boxes.

    Args:
        image: `(H, W, 3)`.
        found: the result, if there is one.
        about: the object, if there is one.
        others: more objects.
        names: of the classes.
    """
    picture, scale = enlarged(image)
    for thing, shade in ((about, TRUTH), (found, FOUND)):
        if thing is not None:
            lay_mask(picture, thing, shade)
    for thing in others:
        outline(picture, thing, scale, TRUTH, width=1)
    if about is not None:
        left, _, _, bottom = outline(picture, about, scale, TRUTH)
        tag(picture, said(about, names), left, min(bottom, picture.height - TEXT - 4), TEXT)
    if found is not None:
        left, top, _, _ = outline(picture, found, scale, FOUND)
        tag(picture, said(found, names), left, max(0.0, top - TEXT - 3), TEXT)
    return np.asarray(picture)


def _picture(diagnosed: Diagnosed, data: Path, kind: str, which: int) -> Picture:
    diagnosis, labels, results = diagnosed.diagnosis, diagnosed.labels, diagnosed.predictions.results
    missed = kind == "Miss"
    image = int((labels.objects if missed else results).images[which])
    about = which if missed else int(diagnosis.about[which])
    found = None if missed else _found(diagnosed, which)
    others = np.flatnonzero((labels.objects.images == image) & ~labels.objects.crowds)
    name = file_names(data)[labels.index.ids[image]]
    file = f"images/test/{name}"
    pixels = read_image(PreparedFiles(data).locate(file), channels=3, name=str(data / file))
    drawn = draw(
        pixels,
        found,
        _object(diagnosed, about) if about >= 0 else None,
        [_object(diagnosed, int(other)) for other in others if other != about],
        labels.index.names,
    )
    return Picture(png(drawn), f"{name}: {_sentence(diagnosed, kind, which, about)}")


def _sentence(diagnosed: Diagnosed, kind: str, which: int, about: int) -> str:
    labels, diagnosis, results = diagnosed.labels, diagnosed.diagnosis, diagnosed.predictions.results
    names, objects = labels.index.names, labels.objects
    truth = names[objects.classes[about]] if about >= 0 else ""
    if kind == "Miss":
        return f"{truth} was not found."
    found = f"{names[results.classes[which]]} with a score of {results.scores[which]:.2f}"
    overlap = f"{diagnosis.overlaps[which]:.2f}"
    return {
        "Cls": f"{found} is {truth}; they overlap by {overlap}.",
        "Loc": f"{found} overlaps the object by only {overlap}.",
        "Both": f"{found} overlaps an object by at most {overlap}, and none of its class.",
        "Dupe": f"{found} overlaps by {overlap} what a surer result has found.",
        "Bkg": f"{found} overlaps no object by more than {diagnosis.settings.background:g}.",
    }[kind]


def _found(diagnosed: Diagnosed, which: int) -> Thing:
    labels, predictions = diagnosed.labels, diagnosed.predictions
    results = predictions.results
    class_, score = int(results.classes[which]), float(results.scores[which])
    if isinstance(predictions, detection.Predictions):
        return Thing(class_, corners(predictions.boxes[which]), score)
    mask = mask_of(predictions.masks, which, labels.index.sizes[results.images[which]])
    return Thing(class_, box_of(mask), score, mask)


def _object(diagnosed: Diagnosed, which: int) -> Thing:
    labels = diagnosed.labels
    class_ = int(labels.objects.classes[which])
    if isinstance(labels, instances.Labels):
        mask = mask_of(labels.masks, which, labels.index.sizes[labels.objects.images[which]])
        return Thing(class_, box_of(mask), mask=mask)
    return Thing(class_, corners(labels.boxes[which]))
