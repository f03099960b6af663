"""JSON handed in by people: parsed without failing on any bytes, its values checked and named in messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks.findings import Findings, shown

HUGE = 1e300
"""Numbers lie between this and its negative, so that sums and products of a few stay finite."""


@dataclass(frozen=True)
class Parsed:
    """The value in a file, and the constants in it that are no JSON: `NaN`, `Infinity`, `-Infinity`."""

    value: Any
    constants: list[str]

    def note_constants(self, findings: Findings) -> None:
        """Adds a problem if there are such constants, wherever in the file they are."""
        if self.constants:
            found = f"{self.constants[0]} occurs, and such numbers {len(self.constants):,} times in all"
            findings.add("faults of the file", f"{found}; expected finite numbers only")


def parse(data: bytes, findings: Findings) -> Parsed | None:
    """The JSON value in a file; None, and a problem, if there is none."""
    constants: list[str] = []

    def not_finite(constant: str) -> float:
        constants.append(constant)
        return float(constant)

    try:
        return Parsed(json.loads(data.decode("utf-8-sig"), parse_constant=not_finite), constants)
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is {data[error.start]:#04x}, which is not UTF-8; expected UTF-8 text"
        findings.add("faults of the file", message)
    except json.JSONDecodeError as error:
        message = f"this is not JSON at column {error.colno}: {error.msg}"
        findings.add("faults of the file", message, error.lineno)
    except RecursionError:
        findings.add("faults of the file", "lists or objects are nested too deep; expected a few levels")
    except ValueError:  # Python refuses to convert integers of very many digits
        findings.add("faults of the file", "a number has thousands of digits; expected at most 4,300")
    return None


def objects(entries: Sequence[Any], part: str, findings: Findings) -> Iterator[tuple[dict[str, Any], str]]:
    """Each entry that is an object, with its place in `part` of the file; any other is a problem."""
    for number, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield entry, f"{part}entry {number}"
        else:
            message = f"it is {said(entry)}; expected an object"
            findings.add(f"{part}entries that are no objects", message, at=f"{part}entry {number}")


def said(value: object) -> str:
    """A value as a message names it: short, whatever it is."""
    if isinstance(value, str):
        return f"the text {shown(value)}"
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    if value is None or isinstance(value, bool):
        return {None: "missing or null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer; `true` and 1.0 are none."""
    return type(value) is int


def is_number(value: object, low: float = -HUGE, high: float = HUGE) -> TypeGuard[float]:
    """Whether a value is a number from `low` to `high`; NaN is not, and `true` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def numbers(values: Sequence[object], low: float = -HUGE, high: float = HUGE) -> NDArray[np.float64] | None:
    """Many values at once: as an array, or None if any is not `is_number`."""
    if not set(map(type, values)) <= {int, float}:
        return None
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    return array if ((array >= low) & (array <= high)).all() else None
