"""What is wrong with an input, said once and in full.

Whatever a person hands in (a predictions file, a data folder, a challenge file) is checked to the end,
and every fault becomes a `Problem` that names its place and what was expected there. Code that cannot go
on raises `BadInput` with the whole list; the command line prints it and exits with status 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in an input: where it is, and what is wrong and was expected there."""

    place: str
    """File, and row or field where there is one: `predictions.csv, row 17`."""

    message: str
    """What was found and what was expected: `class 12 is out of range; expected 0 to 9`."""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class BadInput(Exception):
    """An input cannot be used. Carries every problem found in it, never just the first."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[BadInput], tuple[list[Problem]]]:
        # By itself an exception is sent to another process as its message, from which this cannot be made.
        return type(self), (self.problems,)

    @classmethod
    def single(cls, place: object, message: str) -> BadInput:
        """A `BadInput` with one problem."""
        return cls([Problem(str(place), message)])
