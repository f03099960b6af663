"""Task: generation, new images like those learned from, and test images reconstructed.

A predictions file is an `.npz` file of arrays:

    generated      uint8 (2000, H, W, C), new images, drawn as the model draws them
    ids            text (M,), the test images in any order
    reconstructed  uint8 (M, H, W, C), what the model makes of each of them
    interpolated   uint8 (R, S, H, W, C), may be left out: rows of S steps between two images, to be looked at

`docs/formats/generation.md` states it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes, write_atomic
from vipriors.data.npz import npz_bytes
from vipriors.problems import BadInput, Problem
from vipriors.tasks.archive import Limits
from vipriors.tasks.arrays import Arrays, read_arrays
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.generation_labels import ImageIndex as ImageIndex
from vipriors.tasks.generation_labels import Images, Labels, labels_of
from vipriors.tasks.generation_labels import read_labels as read_labels
from vipriors.tasks.generation_score import estimates_of
from vipriors.tasks.protocol import Truth
from vipriors.tasks.score import Score

HEADLINE = "closeness"
MOST_ROWS, MOST_STEPS = 32, 32
"""Interpolations at most."""


@dataclass(frozen=True)
class Predictions:
    """What a submission holds, with the reconstructions in the order of the index.

    Attributes:
        generated: `(N, H, W, C)`.
        reconstructed: `(M, H, W, C)`; black where there is none.
        given: `(M,)`, whether there is one.
        interpolated: `(R, S, H, W, C)`, or None.
    """

    generated: Images
    reconstructed: Images
    given: NDArray[np.bool_]
    interpolated: Images | None = None


def write(path: Path, ids: Sequence[str], predictions: Predictions) -> None:
    """Writes a predictions file: the same bytes for the same predictions, and all of it or nothing.

    Args:
        path: the file; folders above it are made.
        ids: the M test images.
        predictions: in the order of the ids; those that are not given are left out.

    Raises:
        BadInput: `check` would refuse the file; lists all it would say. Nothing is written.
    """
    given = predictions.given
    arrays: Arrays = {
        "generated": predictions.generated,
        "ids": np.array(ids, str)[given],
        "reconstructed": predictions.reconstructed[given],
    }
    if predictions.interpolated is not None:
        arrays["interpolated"] = predictions.interpolated
    data = npz_bytes(arrays)
    height, width, channels = (*predictions.generated.shape[1:], 0, 0, 0)[:3]
    index = ImageIndex(tuple(ids), (height, width, channels))
    _, problems = check(data, index, str(path), allow_missing=True)
    if problems:
        raise BadInput(problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)


def check(
    data: bytes, index: ImageIndex, name: str = "predictions.npz", *, allow_missing: bool = False
) -> tuple[Predictions | None, list[Problem]]:
    """Reads a predictions file and lists every problem in it (of one kind at most `findings.LISTED`).

    Args:
        data: the file, any bytes.
        index: the images it must reconstruct, and the form of images.
        name: what problems call the file.
        allow_missing: whether reconstructions may be left out; a missing one is black and never right.

    Returns:
        The predictions and no problems, or None and the problems.
    """
    findings = Findings(name)
    arrays = read_arrays(data, _limits(index), findings)
    if arrays is None:
        return None, findings.problems()
    if not findings:  # what cannot be read would be missing, too
        _add_faults(arrays, index, findings)
    if findings:
        return None, findings.problems()
    places = {id_: place for place, id_ in enumerate(index.ids)}
    order = [places[id_] for id_ in arrays["ids"].tolist()]
    reconstructed, given = np.zeros((len(places), *index.shape), np.uint8), np.zeros(len(places), np.bool_)
    reconstructed[order], given[order] = arrays["reconstructed"], True
    for id_ in (id_ for id_, has in zip(index.ids, given, strict=True) if not has and not allow_missing):
        message = f"no reconstruction of {shown(id_)}; expected one per test image"
        findings.add("missing ids", message)
    if findings:
        return None, findings.problems()
    return Predictions(arrays["generated"], reconstructed, given, arrays.get("interpolated")), []


def chosen(predictions: Predictions, which: NDArray[np.int64]) -> Predictions:
    """What predictions say of the test images at some places; generated images stay whole."""
    return replace(
        predictions, reconstructed=predictions.reconstructed[which], given=predictions.given[which]
    )


def open_truth(labels: Path, classes: Sequence[str] | None = None) -> Truth:
    """Opens a labels file; classes that are not named are numbered."""
    known = read_labels(read_bytes(labels), labels.name)
    count = len(known.of_kind("supervised")[0].weights["head.bias"])
    return Truth(known.index, known, tuple(classes or map(str, range(count))))


def score(predictions: Predictions, labels: Labels, index: ImageIndex, class_names: Sequence[str]) -> Score:
    """Scores generated images against hidden ones, and the reconstructions of M test images.

    All is measured by features of small networks trained from random weights (see `feature_network`);
    `generation_score` says what each number is.

    Args:
        predictions: what `check` returned.
        labels: what they are held against.
        index: of the labels.
        class_names: one for each class that the networks tell apart.

    Raises:
        BadInput: labels or predictions do not fit the index.
    """
    _refuse_misfits(predictions, labels, index, class_names)
    # By id: sums of the same numbers in another order differ in their last digit.
    order = np.argsort(index.ids)
    predictions = chosen(predictions, order)
    labels = labels_of(labels, [index.ids[place] for place in order])
    estimates, details = estimates_of(
        predictions.generated, predictions.reconstructed, predictions.given, labels
    )
    details |= {"n_test": len(index.ids), "n_predicted": int(predictions.given.sum())}
    return Score("generation", HEADLINE, estimates, details)


def _limits(index: ImageIndex) -> Limits:
    """Ample for any honest file: text takes 4 bytes a character, and a wrong type up to 8 a value."""
    pixels = prod(index.shape)
    longest = max(len(id_) for id_ in index.ids)
    most = max(index.generated * pixels, len(index.ids) * (pixels + longest), MOST_ROWS * MOST_STEPS * pixels)
    return Limits(24 * most + 2**20, 100, 8 * most + 2**16, 24 * most + 2**20)


def _add_faults(arrays: Arrays, index: ImageIndex, findings: Findings) -> None:
    def fault(name: str, found: str, expected: str) -> None:
        findings.add("unfit arrays", f"{found}; expected {expected}", entry=name)

    needed = ("generated", "ids", "reconstructed")
    for name in needed:
        if name not in arrays:
            fault(name, "is missing", f"the arrays {', '.join(needed)} and perhaps interpolated")
    for name in sorted(arrays.keys() - {*needed, "interpolated"}):
        fault(name, "is unknown", f"the arrays {', '.join(needed)} and perhaps interpolated")
    count = len(arrays["ids"]) if "ids" in arrays and arrays["ids"].ndim else 0
    for name, first in (("generated", index.generated), ("reconstructed", count)):
        wanted = (first, *index.shape)
        if (array := arrays.get(name)) is not None and (array.dtype != np.uint8 or array.shape != wanted):
            fault(name, f"is {array.dtype} {array.shape}", f"uint8 {wanted}")
    if (array := arrays.get("interpolated")) is not None:
        rows, steps, *shape = array.shape if array.ndim == 5 else (0, 0)
        fits = 1 <= rows <= MOST_ROWS and 1 <= steps <= MOST_STEPS and tuple(shape) == index.shape
        if array.dtype != np.uint8 or not fits:
            wide = f"uint8 (rows, steps, {', '.join(map(str, index.shape))})"
            expected = f"{wide} with at most {MOST_ROWS} rows of {MOST_STEPS} steps"
            fault("interpolated", f"is {array.dtype} {array.shape}", expected)
    if (ids := arrays.get("ids")) is not None:
        if ids.dtype.kind != "U" or ids.ndim != 1:
            fault("ids", f"is {ids.dtype} {ids.shape}", "text (M,), the names of the test images")
            return
        known, seen = set(index.ids), set()
        for row, id_ in enumerate(ids.tolist(), start=1):
            if id_ not in known:
                findings.add("unknown ids", f"{shown(id_)} is not an id of the test set", at=f"ids, {row}")
            elif id_ in seen:
                findings.add("duplicate ids", f"{shown(id_)} is given twice; expected once", at=f"ids, {row}")
            seen.add(id_)


def _refuse_misfits(
    predictions: Predictions, labels: Labels, index: ImageIndex, class_names: Sequence[str]
) -> None:
    problems = []
    if labels.index != index:
        problems.append(Problem("labels", "are of other images than the index has, or in another order"))
    for name, found, wanted in (
        ("generated", predictions.generated.shape, (index.generated, *index.shape)),
        ("reconstructed", predictions.reconstructed.shape, (len(index.ids), *index.shape)),
        ("given", predictions.given.shape, (len(index.ids),)),
    ):
        if found != wanted:
            problems.append(Problem(f"predictions, {name}", f"shape {found}; expected {wanted}"))
    heads = {len(one.weights["head.bias"]) for one in labels.of_kind("supervised")}
    if heads != {len(class_names)}:
        problems.append(
            Problem("class names", f"{len(class_names)} names; expected {', '.join(map(str, heads))}")
        )
    if problems:
        raise BadInput(problems)
