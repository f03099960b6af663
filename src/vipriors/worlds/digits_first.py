"""The first third of the handwritten digits, as they are: the labelled side of two domains.

The other two thirds, changed, are world `digits_shifted`; no digit is in both.
"""

from __future__ import annotations

from vipriors.data.sources import ArrayPart, ArraySource
from vipriors.problems import BadInput
from vipriors.worlds.digits import digits

FIRST = 599
"""Digits, in the order of their file."""


def digits_first(task: str = "classification") -> ArraySource:
    """The digits as a source without splits: images uint8 `(599, 8, 8, 1)`, classes `0` to `9`.

    Raises:
        BadInput: The task is another than classification.
    """
    if task != "classification":
        message = f"has no labels for {task}; expected task classification"
        raise BadInput.single("world digits_first", message)
    (part,) = digits().parts
    first = ArrayPart("digits", None, part.images[:FIRST], part.labels[:FIRST])
    return ArraySource("digits_first", tuple("0123456789"), (first,))
