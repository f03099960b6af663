"""The test index: which images a submission must cover, in order, and how many classes there are."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from vipriors.problems import BadInput
from vipriors.tasks.findings import Findings, shown

_UNWRITABLE = re.compile(r'[,"\x00-\x1f\x7f\ud800-\udfff]|^\s|\s$|^\ufeff|^$')

MOST_CLASSES = 1_000_000
"""More must be a mistake, such as an id taken for a class, and would cost memory in every check."""


@dataclass(frozen=True)
class Index:
    """The ids of the test images, in order, and the number of classes.

    Raises:
        BadInput: there are no ids, no classes or too many, an id occurs twice, or an id cannot stand unquoted
            in a CSV file (it is empty, has a comma, a quote, a control character, or spaces at an end).
    """

    ids: tuple[str, ...]
    classes: int

    def __post_init__(self) -> None:
        findings = Findings("index")
        if not 1 <= self.classes <= MOST_CLASSES:
            findings.add("faults of the index", f"{self.classes} classes; expected 1 to {MOST_CLASSES}")
        if not self.ids:
            findings.add("faults of the index", "no ids; expected at least one test image")
        expected = "expected text without commas, quotes, control characters or spaces at its ends"
        for id_, times in Counter(self.ids).items():
            if times > 1:
                findings.add("duplicate ids", f"id {shown(id_)} occurs {times} times; expected once")
            if _UNWRITABLE.search(id_):
                findings.add("unfit ids", f"id {shown(id_)} cannot stand in a predictions file; {expected}")
        if findings:
            raise BadInput(findings.problems())
