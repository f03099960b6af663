"""From a prepared folder to what a method learns from, and from a model to a predictions file, for each task.

A bridge is a module of this folder, named after its task, that offers what `Bridge` states.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from vipriors.methods.protocol import Labelled
from vipriors.runs.prepared import RunData
from vipriors.tasks.protocol import Truth


class Bridge(Protocol):
    """The functions of a task's bridge."""

    SUFFIX: str
    """Of a predictions file: `.csv`."""

    def labelled(self, data: RunData, *splits: str) -> Labelled:
        """Images or clips of `train` or `val` with their labels, as the task's methods take them."""

    def truth(self, data: RunData, split: str) -> Truth | None:
        """What predictions for `val` or `test` are held against; None where the labels are not at hand."""

    def write(self, data: RunData, split: str, model: Any, file: Path) -> None:
        """Predicts the images of `val` or `test` and writes the predictions file, checked as anyone would."""


def find(task: str) -> Bridge:
    """The bridge of a task."""
    return cast(Bridge, import_module(f"{__name__}.{task}"))
