"""Task: classification, one class for each image.

A predictions file is UTF-8 CSV. The published form has one row per test image, in any order:

    Image IDs,Predictions
    img_0.JPEG,24

Form 2 adds the probabilities of all K classes, `P0` to `P{K-1}`, after these two columns. They are finite, in
[0, 1], sum to 1 within 1e-3, and the predicted class has the largest of its row within 1e-6. A labels file
has the header `Image IDs,Labels`. `docs/formats/classification.md` states it all.
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
from vipriors.tasks.accuracy import accuracy, balanced_accuracy, in_top
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.index import Index
from vipriors.tasks.labels import align
from vipriors.tasks.labels import read_labels as read_labels
from vipriors.tasks.protocol import Truth
from vipriors.tasks.score import Score

HEADLINE = "top1"
HEADER = "Image IDs,Predictions"
SUM_TOLERANCE = 1e-3
TIE_TOLERANCE = 1e-6
MISSING = -1


@dataclass(frozen=True)
class Predictions:
    """Predictions in the order of an index of N images and K classes.

    Attributes:
        classes: `(N,)`, the predicted class, or `MISSING`.
        probabilities: `(N, K)`, or None if the file has none; zeros where missing.
    """

    classes: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None = None


def write(
    path: Path, ids: Sequence[str], predictions: ArrayLike, probabilities: ArrayLike | None = None
) -> None:
    """Writes a predictions file: the same bytes for the same predictions, and all of it or nothing.

    Args:
        path: the file; folders above it are made.
        ids: the N test images.
        predictions: `(N,)` integers, the predicted classes.
        probabilities: `(N, K)`, written with six significant digits.

    Raises:
        BadInput: `check` would refuse the file; lists all it would say. Nothing is written.
    """
    classes = np.asarray(predictions)
    if classes.shape != (len(ids),):
        raise BadInput.single(path, f"predictions have shape {classes.shape}; expected ({len(ids)},)")
    header, rows = HEADER, [f"{id_},{class_}\n" for id_, class_ in zip(ids, classes.tolist(), strict=True)]
    if probabilities is None:
        largest = classes.max(initial=0) if np.issubdtype(classes.dtype, np.integer) else 0
        index = Index(tuple(ids), int(largest) + 1)
    else:
        matrix = np.asarray(probabilities, dtype=np.float64)
        if matrix.ndim != 2 or len(matrix) != len(ids) or matrix.shape[1] == 0:
            raise BadInput.single(path, f"probabilities have shape {matrix.shape}; expected ({len(ids)}, K)")
        index = Index(tuple(ids), matrix.shape[1])
        header = _header_with_probabilities(index.classes)
        form = ",%.6g" * index.classes + "\n"
        rows = [row[:-1] + form % tuple(values.tolist()) for row, values in zip(rows, matrix, strict=True)]
    data = "".join([header, "\n", *rows]).encode()
    _, problems = check(data, index, str(path))
    if problems:
        raise BadInput(problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)


def check(
    data: bytes, index: Index, name: str = "predictions.csv", *, allow_missing: bool = False
) -> tuple[Predictions | None, list[Problem]]:
    """Reads a predictions file and lists every problem in it (of one kind at most `findings.LISTED`).

    Args:
        data: the file, any bytes.
        index: the test images it must cover, and the number of classes.
        name: what problems call the file.
        allow_missing: whether images may be left out; they are `MISSING` then.

    Returns:
        The predictions and no problems, or None and the problems.
    """
    findings = Findings(name)
    headers = [HEADER.encode(), _header_with_probabilities(index.classes).encode()]
    opened = table.read(data, headers, _limits(index), findings)
    if opened is None:
        return None, findings.problems()
    positions = {id_.encode(): position for position, id_ in enumerate(index.ids)}
    known = {b"%d" % class_: class_ for class_ in range(index.classes)}
    first_rows = [0] * len(index.ids)
    classes = [MISSING] * len(index.ids)
    probabilities = np.zeros((len(index.ids), index.classes)) if opened.width > 2 else None
    for row, fields in opened.rows:
        position = positions.get(fields[0])
        if position is not None and not first_rows[position]:
            first_rows[position] = row
        elif position is not None:
            message = f"{shown(fields[0])} is given twice, first in row {first_rows[position]}; expected once"
            findings.add("rows with a duplicate id", message, row)
        if len(fields) == 1:  # reported by the table
            continue
        if position is None:
            findings.add("rows with an unknown id", f"{shown(fields[0])} is not an id of the test set", row)
        class_ = known.get(fields[1])
        if class_ is None:
            _add_class_fault(findings, fields[1], index.classes, row)
        elif position is not None:
            classes[position] = class_
        if len(fields) > 2:
            values = _numbers(fields[2:])
            fault = _fault_of_probabilities(fields[2:], values, class_)
            if fault:
                findings.add("rows with wrong probabilities", fault, row)
            elif probabilities is not None and position is not None:
                probabilities[position] = values
    if not allow_missing:
        missing = [id_ for id_, row in zip(index.ids, first_rows, strict=True) if not row]
        for id_ in missing:
            findings.add("images without a prediction", f"no row for {shown(id_)}; expected one per image")
    if findings:
        return None, findings.problems()
    return Predictions(np.array(classes, dtype=np.int64), probabilities), []


def open_truth(labels: Path, classes: Sequence[str] | None = None) -> Truth:
    """Opens a labels file. Without `classes`, they are numbered up to the largest label."""
    known = read_labels(read_bytes(labels), labels.name)
    names = classes or [str(class_) for class_ in range(max(known.values()) + 1)]
    return Truth(Index(tuple(known), len(names)), known, tuple(names))


def score(
    predictions: Predictions,
    labels: Mapping[str, int] | ArrayLike,
    index: Index,
    class_names: Sequence[str],
) -> Score:
    """Scores predictions over the whole index of N images; an image without a prediction counts as wrong.

    `top1` is the accuracy, and `balanced_accuracy` the mean recall of the classes that occur in the labels.
    With probabilities and more than five classes, `top5` counts an image as right if its label is the
    predicted class or among the four other classes with the largest probabilities, where of equal ones the
    lower class comes first.

    Args:
        predictions: as `check` returns them.
        labels: the class of each image by id, or `(N,)` integers in the order of the index.
        index: the test images.
        class_names: K names.

    Raises:
        BadInput: labels, predictions or names do not fit the index.
    """
    truth = align(labels, index)
    _refuse_misfits(predictions, index, class_names)
    given = predictions.classes != MISSING
    columns = index.classes + 1
    cells = truth * columns + np.where(given, predictions.classes, index.classes)
    confusion = np.bincount(cells, minlength=index.classes * columns).reshape(index.classes, columns)
    estimates = {HEADLINE: accuracy(predictions.classes == truth)}
    if predictions.probabilities is not None and index.classes > 5:
        in_top5 = in_top(5, predictions.probabilities, predictions.classes, truth)
        estimates["top5"] = accuracy(given & in_top5)
    estimates["balanced_accuracy"] = balanced_accuracy(confusion)
    images, right = confusion.sum(axis=1).tolist(), confusion.diagonal().tolist()
    details = {
        "n_test": len(index.ids),
        "n_predicted": int(given.sum()),
        "classes": list(class_names),
        "per_class": [
            {"class": name, "n": n, "recall": hits / n if n else None}
            for name, n, hits in zip(class_names, images, right, strict=True)
        ],
        "confusion": confusion.tolist(),  # rows: labels; columns: predicted classes, and last the missing
    }
    return Score("classification", HEADLINE, estimates, details)


def _header_with_probabilities(classes: int) -> str:
    return ",".join([HEADER, *(f"P{class_}" for class_ in range(classes))])


def _limits(index: Index) -> table.Limits:
    """Ample for any honest file: 32 bytes for a probability, twice as many rows as images."""
    line = 64 + max(len(id_.encode()) for id_ in index.ids) + 32 * index.classes
    return table.Limits((len(index.ids) + 1000) * line, line, 2 * len(index.ids) + 1000)


def _add_class_fault(findings: Findings, field: bytes, classes: int, row: int) -> None:
    expected = f"expected 0 to {classes - 1}"
    if re.fullmatch(rb"-?[1-9][0-9]*", field):
        message = f"class {shown(field)} is out of range; {expected}"
        findings.add("rows with a class out of range", message, row)
    else:
        message = f"{shown(field)} is no class; {expected} in digits without sign, spaces or leading zeros"
        findings.add("rows without a class", message, row)


def _numbers(fields: Sequence[bytes]) -> list[float] | None:
    """The fields as decimal numbers; None if one is not (`float` alone would take `nan`, ` 1` and `1_0`)."""
    if b"".join(fields).translate(None, b"0123456789.eE+-"):
        return None
    try:
        return list(map(float, fields))
    except ValueError:
        return None


def _fault_of_probabilities(
    fields: Sequence[bytes], values: list[float] | None, predicted: int | None
) -> str | None:
    """What is wrong with the probabilities of one row, if anything."""
    if values is None or min(values) < 0 or max(values) > 1:
        each = [_numbers([field]) for field in fields]
        wrong = [class_ for class_, value in enumerate(each) if value is None or not 0 <= value[0] <= 1]
        others = f", as of {len(wrong) - 1} others in this row" if len(wrong) > 1 else ""
        return f"P{wrong[0]} is {shown(fields[wrong[0]])}; expected a number from 0 to 1{others}"
    if abs((total := sum(values)) - 1) > SUM_TOLERANCE:
        return f"the probabilities sum to {total:.6g}; expected 1 within {SUM_TOLERANCE}"
    if predicted is not None and values[predicted] < (largest := max(values)) - TIE_TOLERANCE:
        found = f"P{predicted} is {values[predicted]:.6g} and P{values.index(largest)} is {largest:.6g}"
        return f"{found}; expected the predicted class, {predicted}, to have the largest"
    return None


def _refuse_misfits(predictions: Predictions, index: Index, class_names: Sequence[str]) -> None:
    shape, problems = (len(index.ids), index.classes), []
    classes, probabilities = predictions.classes, predictions.probabilities
    if classes.shape != shape[:1] or not np.issubdtype(classes.dtype, np.integer):
        found = f"shape {classes.shape} of {classes.dtype}"
        problems.append(Problem("predictions, classes", f"{found}; expected {shape[:1]} integers"))
    elif classes.min() < MISSING or classes.max() >= index.classes:
        found = f"classes {classes.min()} to {classes.max()}"
        problems.append(
            Problem("predictions, classes", f"{found}; expected {MISSING} to {index.classes - 1}")
        )
    if probabilities is not None and probabilities.shape != shape:
        problems.append(
            Problem("predictions, probabilities", f"shape {probabilities.shape}; expected {shape}")
        )
    if len(class_names) != index.classes:
        problems.append(Problem("class names", f"{len(class_names)} names; expected {index.classes}"))
    if problems:
        raise BadInput(problems)
