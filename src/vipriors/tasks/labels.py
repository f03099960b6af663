"""Labels with one class for each image: read from a file, brought into the order of an index."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vipriors.problems import BadInput
from vipriors.tasks import table
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.index import Index

HEADER = "Image IDs,Labels"

_LIMITS = table.Limits(file_bytes=2**30, line_bytes=4096, lines=10_000_000)


def read_labels(data: bytes, name: str = "labels.csv") -> dict[str, int]:
    """Reads a labels file, UTF-8 CSV with the header `Image IDs,Labels`.

    Args:
        data: the file, any bytes.
        name: what problems call the file.

    Returns:
        The class of each image by its id, in the order of the file.

    Raises:
        BadInput: with every problem in it (of one kind at most `findings.LISTED`).
    """
    findings = Findings(name)
    labels: dict[bytes, int] = {}
    first_rows: dict[bytes, int] = {}
    opened = table.read(data, [HEADER.encode()], _LIMITS, findings)
    for row, fields in opened.rows if opened else ():
        if len(fields) == 1:  # reported by the table
            continue
        id_, class_ = fields
        if not id_.strip():
            findings.add("rows without an id", "the id is empty; expected one", row)
        elif first_rows.setdefault(id_, row) != row:
            message = f"{shown(id_)} is given twice, first in row {first_rows[id_]}; expected once"
            findings.add("rows with a duplicate id", message, row)
        if re.fullmatch(rb"0|[1-9][0-9]{0,8}", class_):
            labels[id_] = int(class_)
        else:
            expected = "expected at most nine digits without sign, spaces or leading zeros"
            findings.add("rows without a class", f"{shown(class_)} is no class; {expected}", row)
    if not labels and not findings:
        findings.add("faults of the file", "there are no rows; expected one for each image")
    if findings:
        raise BadInput(findings.problems())
    return {id_.decode(): label for id_, label in labels.items()}


def align(labels: Mapping[str, int] | ArrayLike, index: Index, first: int = 0) -> NDArray[np.int64]:
    """The labels in the order of the index, `(N,)`, counted from 0.

    Args:
        labels: the class of each image by id, or `(N,)` integers in the order of the index already.
        index: the test images.
        first: the number of the first class in `labels`.

    Raises:
        BadInput: an image has no label, an id is unknown, or a class is out of range; lists all.
    """
    findings = Findings("labels")
    if isinstance(labels, Mapping):
        for id_ in index.ids:
            if id_ not in labels:
                findings.add("images without a label", f"no label for {shown(id_)}; expected one per image")
        for id_ in sorted(labels.keys() - set(index.ids)):
            findings.add("unknown ids", f"{shown(id_)} is not an id of the test set")
        if findings:
            raise BadInput(findings.problems())
        labels = [labels[id_] for id_ in index.ids]
    truth = np.asarray(labels)
    if truth.shape != (len(index.ids),) or not np.issubdtype(truth.dtype, np.integer):
        found = f"shape {truth.shape} of {truth.dtype}"
        raise BadInput.single("labels", f"{found}; expected ({len(index.ids)},) integers")
    last = first + index.classes - 1
    for position in np.flatnonzero((truth < first) | (truth > last)).tolist():
        found = f"{shown(index.ids[position])} has class {truth[position]}"
        findings.add("labels out of range", f"{found}; expected {first} to {last}")
    if findings:
        raise BadInput(findings.problems())
    return truth.astype(np.int64) - first
