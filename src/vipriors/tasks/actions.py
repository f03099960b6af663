"""Task: actions, the five most likely classes of each video clip.

A predictions file is UTF-8 text in the published form, one row per test clip, in any order:

    video_test_0000001.avi 24 7 101 3 88

The most likely class comes first. Names may have spaces in them. `docs/formats/actions.md` states it all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vipriors.data.files import read_bytes, write_atomic
from vipriors.problems import BadInput, Problem
from vipriors.tasks import table
from vipriors.tasks.accuracy import accuracy, mean_recall
from vipriors.tasks.action_labels import read_classes as read_classes
from vipriors.tasks.action_labels import read_labels as read_labels
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.index import Index
from vipriors.tasks.labels import align
from vipriors.tasks.protocol import Truth
from vipriors.tasks.score import Score

HEADLINE = "top1"
PLACES = 5
"""Classes that count for each clip."""
MISSING = -1


@dataclass(frozen=True)
class ClipIndex(Index):
    """The ids of the test clips, in order, and the numbers of the classes: `first` to `first + classes - 1`.

    Raises:
        BadInput: as `Index`, or `first` is negative.
    """

    first: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first < 0:
            raise BadInput.single("index", f"the first class is {self.first}; expected 0 or more")

    @property
    def last(self) -> int:
        """The number of the last class."""
        return self.first + self.classes - 1

    @property
    def places(self) -> int:
        """Classes that a row must give at least: five, or all where there are fewer."""
        return min(PLACES, self.classes)


@dataclass(frozen=True)
class Predictions:
    """Predictions in the order of an index of N clips.

    Attributes:
        classes: `(N, places)`, the numbers of the classes, the most likely first, or a row of `MISSING`.
    """

    classes: NDArray[np.int64]


def index_of(labels: Mapping[str, int], classes: int | None = None, first: int = 1) -> ClipIndex:
    """The index of labelled clips. Its ids are sorted: the order of a labels file may tell the classes.

    Args:
        labels: the class of each clip.
        classes: how many there are; by default as many as reach the largest label.
        first: the number of the first.
    """
    if classes is None:
        classes = max(labels.values(), default=first) - first + 1
    return ClipIndex(tuple(sorted(labels)), classes, first)


def write(path: Path, ids: Sequence[str], predictions: ArrayLike) -> None:
    """Writes a predictions file: the same bytes for the same predictions, and all of it or nothing.

    Args:
        path: the file; folders above it are made.
        ids: the N test clips.
        predictions: `(N, places)` or wider, the numbers of the classes from 0 or 1 on, the most likely first.

    Raises:
        BadInput: `check` would refuse the file; lists all it would say. Nothing is written.
    """
    classes = np.asarray(predictions)
    if classes.ndim != 2 or len(classes) != len(ids) or not np.issubdtype(classes.dtype, np.integer):
        found = f"shape {classes.shape} of {classes.dtype}"
        raise BadInput.single(path, f"predictions have {found}; expected ({len(ids)}, {PLACES}) integers")
    rows = [" ".join([id_, *map(str, row)]) for id_, row in zip(ids, classes.tolist(), strict=True)]
    first = 0 if (classes == 0).any() else 1
    last = int(classes.max(initial=first))
    data = "".join(f"{row}\n" for row in rows).encode()
    _, problems = check(data, ClipIndex(tuple(ids), last - first + 1, first), str(path))
    if problems:
        raise BadInput(problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)


def check(
    data: bytes, index: ClipIndex, name: str = "predictions.txt", *, allow_missing: bool = False
) -> tuple[Predictions | None, list[Problem]]:
    """Reads a predictions file and lists every problem in it (of one kind at most `findings.LISTED`).

    Args:
        data: the file, any bytes.
        index: the test clips it must cover, and the classes.
        name: what problems call the file.
        allow_missing: whether clips may be left out; they are `MISSING` then.

    Returns:
        The predictions and no problems, or None and the problems.
    """
    findings = Findings(name)
    rows = table.lines(data, _limits(index), findings, "one row per test clip")
    positions = {id_.encode(): position for position, id_ in enumerate(index.ids)}
    most_spaces = max(id_.count(" ") for id_ in index.ids)
    known = {b"%d" % class_: class_ for class_ in range(index.first, index.last + 1)}
    first_rows = [0] * len(index.ids)
    classes = np.full((len(index.ids), index.places), MISSING, dtype=np.int64)
    for row, line in rows or ():
        if not line:
            findings.add("empty rows", f"the row is empty; expected a clip and {index.places} classes", row)
            continue
        id_, fields = _split(line, positions, most_spaces, index.places)
        position = positions.get(id_)
        if position is None:
            findings.add("rows with an unknown id", f"{shown(id_)} is not an id of the test set", row)
        elif first_rows[position]:
            message = f"{shown(id_)} is given twice, first in row {first_rows[position]}; expected once"
            findings.add("rows with a duplicate id", message, row)
        else:
            first_rows[position] = row
        values = [known[field] for field in fields if field in known]
        if len(values) < len(fields) or len(values) < index.places or len(set(values)) < len(values):
            _add_class_faults(findings, fields, known, index, row)
        elif position is not None:
            classes[position] = values[: index.places]
    if rows is not None and not allow_missing:
        for clip in (clip for clip, row in zip(index.ids, first_rows, strict=True) if not row):
            findings.add("clips without a prediction", f"no row for {shown(clip)}; expected one per clip")
    return (None, findings.problems()) if findings else (Predictions(classes), [])


def open_truth(labels: Path, classes: Sequence[str] | None = None) -> Truth:
    """Opens a labels file of numbered classes, from 1, or from 0 where that occurs; or of named `classes`."""
    data = read_bytes(labels)
    try:
        known = read_labels(data, labels.name)
    except BadInput:
        if classes is None:
            raise
        numbers = {name: number for number, name in enumerate(classes, start=1)}
        known = read_labels(data, labels.name, classes=numbers)
    first = min(1, *known.values())
    index = index_of(known, len(classes) if classes else None, first)
    names = classes or [str(class_) for class_ in range(first, index.last + 1)]
    return Truth(index, known, tuple(names))


def score(
    predictions: Predictions,
    labels: Mapping[str, int] | ArrayLike,
    index: ClipIndex,
    class_names: Sequence[str],
) -> Score:
    """Scores predictions over the whole index of N clips; a clip without a prediction counts as wrong.

    `top1`, `top3` and `top5` are the mean over the classes that occur in the labels of the share of their
    clips whose class is among the first one, three or five given; the last two only if there are more classes
    than that. `accuracy` is the share of all clips whose first class is right.

    Args:
        predictions: what `check` returned.
        labels: the number of each clip's class by id, or `(N,)` integers in the order of the index.
        index: the test clips and the classes.
        class_names: the name of each class, the first one first.

    Raises:
        BadInput: labels, predictions or names do not fit the index.
    """
    truth = align(labels, index, index.first)
    _refuse_misfits(predictions, index, class_names)
    missing = predictions.classes == MISSING
    classes = np.where(missing, index.classes, predictions.classes - index.first)
    clips = np.bincount(truth, minlength=index.classes)
    estimates, recalls = {}, {}
    for k in (k for k in (1, 3, 5) if k == 1 or k < index.classes):
        hits = (classes[:, :k] == truth[:, np.newaxis]).any(axis=1)
        right = np.bincount(truth[hits], minlength=index.classes)
        estimates[f"top{k}"] = mean_recall(np.stack([clips - right, right], axis=1))
        recalls[f"top{k}"] = [int(r) / int(n) if n else None for r, n in zip(right, clips, strict=True)]
    estimates["accuracy"] = accuracy(classes[:, 0] == truth)
    columns = index.classes + 1
    cells = np.bincount(truth * columns + classes[:, 0], minlength=index.classes * columns)
    details = {
        "n_test": len(index.ids),
        "n_predicted": int((~missing[:, 0]).sum()),
        "classes": list(class_names),
        "per_class": [
            {"class": name, "n": n, **{key: values[class_] for key, values in recalls.items()}}
            for class_, (name, n) in enumerate(zip(class_names, clips.tolist(), strict=True))
        ],
        # rows: labels; columns: the most likely classes, and last the missing
        "confusion": cells.reshape(index.classes, columns).tolist(),
    }
    return Score("actions", HEADLINE, estimates, details)


def _limits(index: ClipIndex) -> table.Limits:
    """Ample for any honest file: a row may rank all classes; twice as many rows as clips."""
    line = 64 + max(len(id_.encode()) for id_ in index.ids) + 12 * index.classes
    return table.Limits((len(index.ids) + 1000) * line, line, 2 * len(index.ids) + 1000)


def _split(
    line: bytes, positions: Mapping[bytes, int], most_spaces: int, places: int
) -> tuple[bytes, list[bytes]]:
    """The id and the classes of a row, whose id may have spaces and digits in it.

    What stands before the last `places` fields is the id if it is one of the test set. Else it is the longest
    start of the row that is one: the row gives more classes, or fewer.
    """
    id_, *fields = line.rsplit(b" ", places)
    if id_ in positions:
        return id_, fields
    parts = line.split(b" ")
    for length in range(min(most_spaces + 1, len(parts)), 0, -1):
        if (start := b" ".join(parts[:length])) in positions:
            return start, parts[length:]
    return id_, fields


def _add_class_faults(
    findings: Findings, fields: Sequence[bytes], known: Mapping[bytes, int], index: ClipIndex, row: int
) -> None:
    if len(fields) < index.places:
        message = f"the row gives {len(fields)} classes; expected {index.places}, separated by single spaces"
        findings.add("rows with too few classes", message, row)
    first_places: dict[bytes, int] = {}
    for place, field in enumerate(fields, 1):
        expected = f"expected {index.first} to {index.last}"
        if field in known and first_places.setdefault(field, place) != place:
            message = f"class {field.decode()} is given at places {first_places[field]} and {place}"
            findings.add("repeated classes", f"{message}; expected different classes", row)
        elif field in known:
            continue
        elif re.fullmatch(rb"-?[1-9][0-9]*|0", field):
            findings.add("classes out of range", f"class {shown(field)} is out of range; {expected}", row)
        else:
            message = f"{shown(field)} is no class; {expected} in digits without sign or leading zeros"
            findings.add("fields that are no class", message, row)


def _refuse_misfits(predictions: Predictions, index: ClipIndex, class_names: Sequence[str]) -> None:
    classes, shape, problems = predictions.classes, (len(index.ids), index.places), []
    if classes.shape != shape or not np.issubdtype(classes.dtype, np.integer):
        found = f"shape {classes.shape} of {classes.dtype}"
        problems.append(Problem("predictions, classes", f"{found}; expected {shape} integers"))
    elif ((classes != MISSING) & ((classes < index.first) | (classes > index.last))).any():
        found = f"classes {classes.min()} to {classes.max()}"
        expected = f"expected {index.first} to {index.last}, or {MISSING} for none"
        problems.append(Problem("predictions, classes", f"{found}; {expected}"))
    if len(class_names) != index.classes:
        problems.append(Problem("class names", f"{len(class_names)} names; expected {index.classes}"))
    if problems:
        raise BadInput(problems)
