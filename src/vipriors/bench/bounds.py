"""Bounds of systems that train nothing, held against the records of benchmarks."""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vipriors.card import Bound

Verdict = Literal["holds", "does not hold", "not clear", "not measured"]


@dataclass(frozen=True)
class Kept:
    """What a benchmark measured of a bound.

    Attributes:
        claim: The bound.
        verdict: It holds if every record keeps it; one that does not is enough for "does not hold".
        found: The number in each record, in the order of the file.
    """

    claim: Bound
    verdict: Verdict
    found: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "claim": self.claim.text,
            "benchmark": self.claim.benchmark,
            "number": self.claim.number,
            "least": self.claim.least,
            "most": self.claim.most,
            "verdict": self.verdict,
            "found": list(self.found),
        }

    def said(self) -> str:
        """For people, in a line."""
        return f"{self.verdict}: {self.numbers()}" if self.found else self.verdict

    def numbers(self) -> str:
        """What was found, and what was to be."""
        name = self.claim.number.replace("_", " ")
        return f"{name} {' and '.join(f'{value:.3g}' for value in self.found)}; expected {self._expected()}"

    def _expected(self) -> str:
        words = {"at least": self.claim.least, "at most": self.claim.most}
        return " and ".join(f"{word} {value:g}" for word, value in words.items() if value is not None)


def kept(bound: Bound, measured: Path) -> Kept:
    """Whether what a benchmark measured last keeps a bound; `measured` is the folder of such files."""
    file = measured / f"{bound.benchmark}.json"
    if not file.exists():
        return Kept(bound, "not measured")
    records = json.loads(file.read_text(encoding="utf-8"))["records"]
    found = tuple(record[bound.number] for record in records if bound.number in record)
    if not found:
        return Kept(bound, "not measured")
    sides = ((bound.least, operator.ge), (bound.most, operator.le))
    holds = all(keeps(value, side) for side, keeps in sides if side is not None for value in found)
    return Kept(bound, "holds" if holds else "does not hold", found)
