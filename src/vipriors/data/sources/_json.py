"""JSON files of a source: parsed, or refused with what is wrong in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from vipriors.problems import BadInput, Problem

LISTED = 5
"""Problems of one kind that are listed one by one; the rest are counted."""


def parse_json(data: bytes, name: str, each: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The value in a JSON file.

    Args:
        data: the file.
        name: what problems call it.
        each: called with every object as soon as it is read, gives what takes its place.

    Raises:
        BadInput: it is no JSON in UTF-8, or holds `NaN` or `Infinity`.
    """

    def refuse(constant: str) -> None:
        raise BadInput.single(name, f"holds {constant}; expected finite numbers only")

    try:
        return json.loads(data.decode("utf-8-sig"), object_hook=each, parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise BadInput.single(name, f"byte {error.start} is not UTF-8; expected JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"{name}, row {error.lineno}"
        message = f"is not JSON at column {error.colno}: {error.msg}; is the file whole?"
        raise BadInput.single(place, message) from None
    except (RecursionError, ValueError):
        message = "is nested too deep or has a number of thousands of digits; expected a file as published"
        raise BadInput.single(name, message) from None


def is_number(value: object, low: float, high: float) -> bool:
    """Whether a value is a number from `low` to `high`; `true` is none."""
    return type(value) in (int, float) and low <= value <= high  # type: ignore[operator]


def said(value: object) -> str:
    """A value as a message names it: short and on one line, whatever it is."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:60]}…"


def numbered(name: str) -> int | None:
    """The number that ends the stem of a file's name: 17 of `img_17.jpg`, 139 of `000000000139.jpg`."""
    match = re.search(r"([0-9]+)(\.[^.]*)?$", name)
    return int(match[1]) if match else None


def first_few(problems: Sequence[Problem], place: str, what: str) -> list[Problem]:
    """Problems of one kind: the first, and if there are more their count."""
    if len(problems) <= LISTED:
        return list(problems)
    return [*problems[:LISTED], Problem(place, f"{len(problems):,} {what} in all; the first are listed")]
