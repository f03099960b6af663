"""Labels of video clips, read from the files in which UCF101 and Kinetics give them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vipriors.problems import BadInput
from vipriors.tasks import table
from vipriors.tasks.findings import Findings, shown

HEADERS = (b"label,videoid", b"label,videoid,split")
CLASS_HEADER = b"label,idx"

_LIMITS = table.Limits(file_bytes=2**30, line_bytes=4096, lines=10_000_000)


def read_labels(
    data: bytes, name: str = "labels.txt", *, classes: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Reads a labels file in one of the published forms, told apart by the first line.

    * Text: `video_validation_0000001.avi 100`, a clip, one space and the number of its class. The last field
      is the class, so names may have spaces in them.
    * CSV with the header `label,videoid` or `label,videoid,split`; the split is not used.

    Args:
        data: the file, any bytes.
        name: what problems call the file.
        classes: the number of each class by its name, as `read_classes` gives it; labels are names then.

    Returns:
        The number of each clip's class by the clip's id, in the order of the file.

    Raises:
        BadInput: with every problem in it (of one kind at most `findings.LISTED`).
    """
    findings = Findings(name)
    labels: dict[bytes, int] = {}
    first_rows: dict[bytes, int] = {}
    for row, id_, label in _rows(data, findings):
        if not id_.strip():
            findings.add("rows without an id", "the clip is empty; expected its id", row)
        elif first_rows.setdefault(id_, row) != row:
            message = f"{shown(id_)} is given twice, first in row {first_rows[id_]}; expected once"
            findings.add("rows with a duplicate id", message, row)
        class_ = _number(label) if classes is None else classes.get(label.decode())
        if class_ is None:
            digits = "digits without sign, spaces or leading zeros"
            expected = digits if classes is None else f"one of the {len(classes)} names of classes"
            findings.add("rows without a class", f"{shown(label)} is no class; expected {expected}", row)
        else:
            labels[id_] = class_
    if not labels and not findings:
        findings.add("faults of the file", "there are no rows; expected one for each clip")
    if findings:
        raise BadInput(findings.problems())
    return {id_.decode(): class_ for id_, class_ in labels.items()}


def read_classes(data: bytes, name: str = "clsIdx.csv") -> dict[str, int]:
    """Reads the names of classes and their numbers from CSV with the header `label,idx`.

    Args:
        data: the file, any bytes.
        name: what problems call the file.

    Returns:
        The number of each class by its name, in the order of the file.

    Raises:
        BadInput: with every problem in it (of one kind at most `findings.LISTED`).
    """
    findings = Findings(name)
    numbers: dict[str, int] = {}
    rows_of: dict[str | int, int] = {}
    opened = table.read(data, [CLASS_HEADER], _LIMITS, findings)
    for row, fields in opened.rows if opened else ():
        if len(fields) == 1:  # reported by the table
            continue
        label, number = fields[0].decode(), _number(fields[1])
        if number is None:
            expected = "expected digits without sign, spaces or leading zeros"
            findings.add("rows without a number", f"{shown(fields[1])} is no number; {expected}", row)
            continue
        for key in (label, number):
            if rows_of.setdefault(key, row) != row:
                message = f"{key!r} is given twice, first in row {rows_of[key]}; expected once"
                findings.add("classes that are given twice", message, row)
        numbers[label] = number
    if not numbers and not findings:
        findings.add("faults of the file", "there are no rows; expected one for each class")
    if findings:
        raise BadInput(findings.problems())
    return numbers


def _rows(data: bytes, findings: Findings) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, clip and label of each row."""
    if data.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].rstrip(b"\r") in HEADERS:
        opened = table.read(data, HEADERS, _LIMITS, findings)
        for row, fields in opened.rows if opened else ():
            if len(fields) > 1:  # others were reported by the table
                yield row, fields[1], fields[0]
        return
    for row, line in table.lines(data, _LIMITS, findings, "one row per clip") or ():
        id_, space, label = line.rpartition(b" ")
        if space:
            yield row, id_, label
        else:
            expected = f"expected a clip, a space and its class, or first the header {shown(HEADERS[0])}"
            findings.add("rows without two fields", f"{shown(line)} has no space; {expected}", row)


def _number(field: bytes) -> int | None:
    return int(field) if re.fullmatch(rb"0|[1-9][0-9]{0,8}", field) else None
