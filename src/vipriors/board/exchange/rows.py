"""Rows of a board's tables as lines of JSON, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any

from sqlalchemy import JSON, inspect
from sqlalchemy.orm import ColumnProperty

from vipriors.board.models import Moment, Row
from vipriors.problems import BadInput, Problem

LONGEST_LINE = 64 * 2**20
MOST_PROBLEMS = 20


def write_rows(rows: Iterable[Row], to: IO[bytes], blank: Iterable[str] = ()) -> int:
    """Writes a line for each row and says how many; columns in `blank` are left empty."""
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007
        values = {name: _to_json(getattr(row, name)) for name in columns(type(row))}
        values |= dict.fromkeys(blank, "")
        to.write(json.dumps(values, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    return count


def read_rows(model: type[Row], file: IO[bytes], place: str) -> Iterator[dict[str, Any]]:
    """The values of each row, of the kinds that the columns have.

    Raises:
        BadInput: with the wrong lines and columns, up to a number of them.
    """
    problems: list[Problem] = []
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        at = f"{place}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            problems.append(Problem(at, "is not JSON"))
            values = None
        if isinstance(values, dict):
            found, faults = _row(model, values, at)
            problems += faults
            if not problems:
                yield found
        elif values is not None:
            problems.append(Problem(at, "expected an object"))
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        raise BadInput(problems)


def columns(model: type[Row]) -> dict[str, Any]:
    """The columns of a table by name."""
    found = inspect(model).attrs
    return {each.key: each.columns[0] for each in found if isinstance(each, ColumnProperty)}


def _row(model: type[Row], values: dict[str, Any], place: str) -> tuple[dict[str, Any], list[Problem]]:
    expected = columns(model)
    problems = [Problem(place, f"has no {name}") for name in expected if name not in values]
    problems += [
        Problem(place, f"has {name!r}, which is no column") for name in values if name not in expected
    ]
    row = {}
    for name, column in expected.items():
        try:
            row[name] = _from_json(column, values.get(name))
        except ValueError as error:
            if name in values:
                problems.append(Problem(f"{place}, {name}", str(error)))
    return row, problems


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value


def _from_json(column: Any, value: Any) -> Any:
    if value is None:
        if not column.nullable:
            raise ValueError("is null; expected a value")
        return None
    if isinstance(column.type, Moment):
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            moment = None
        if moment is None or moment.tzinfo is None:
            raise ValueError("expected a moment with a time zone, such as 2026-05-04T12:00:00+00:00")
        return moment
    kinds = (dict, list) if isinstance(column.type, JSON) else (column.type.python_type,)
    if kinds == (float,) and type(value) is int:
        value = float(value)
    if type(value) not in kinds:
        raise ValueError(
            f"is {type(value).__name__}; expected {' or '.join(each.__name__ for each in kinds)}"
        )
    longest = getattr(column.type, "length", None)
    if longest is not None and len(value) > longest:
        raise ValueError(f"has {len(value)} characters; expected at most {longest}")
    return value
