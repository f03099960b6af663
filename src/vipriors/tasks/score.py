"""What a task computes from a submission: numbers with their intervals, and the details behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vipriors.problems import BadInput, Problem

_FIELDS = {"task": str, "headline": str, "scores": dict, "intervals": dict, "details": dict}


@dataclass(frozen=True)
class Estimate:
    """A statistic over the test images and its 95 % bootstrap interval (see `bootstrap.py`)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """The scores of one submission.

    Attributes:
        task: name of the task that computed it.
        headline: the key of `estimates` that submissions are ranked by.
        estimates: each score by its name.
        details: what stands behind the scores; only what JSON can hold.
    """

    task: str
    headline: str
    estimates: dict[str, Estimate]
    details: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The score as plain JSON data."""
        return {
            "task": self.task,
            "headline": self.headline,
            "scores": {name: estimate.value for name, estimate in self.estimates.items()},
            "intervals": {name: [estimate.low, estimate.high] for name, estimate in self.estimates.items()},
            "details": self.details,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any], name: str = "score") -> Score:
        """Reads what `to_json` wrote.

        Args:
            record: the decoded JSON object.
            name: what problems call it, such as its file.

        Raises:
            BadInput: with every field that is missing or of another kind.
        """
        problems = [
            Problem(
                f"{name}, {key}", f"{record.get(key)!r}; expected {'text' if kind is str else 'an object'}"
            )
            for key, kind in _FIELDS.items()
            if not isinstance(record.get(key), kind)
        ]
        if problems:
            raise BadInput(problems)
        scores, intervals = record["scores"], record["intervals"]
        for key in sorted({*scores, *intervals, record["headline"]}):
            interval = intervals.get(key)
            if not _is_number(scores.get(key)):
                problems.append(Problem(f"{name}, scores, {key}", f"{scores.get(key)!r}; expected a number"))
            if not (isinstance(interval, list) and len(interval) == 2 and all(map(_is_number, interval))):
                problems.append(Problem(f"{name}, intervals, {key}", f"{interval!r}; expected [low, high]"))
        if problems:
            raise BadInput(problems)
        estimates = {key: Estimate(value, *intervals[key]) for key, value in scores.items()}
        return cls(record["task"], record["headline"], estimates, record["details"])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
