"""What every task module offers. A task is a module; `load("classification")` gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vipriors.problems import Problem
from vipriors.tasks.index import Index
from vipriors.tasks.score import Score


@dataclass(frozen=True)
class Truth:
    """What predictions are held against. The types of index and labels are the task's own."""

    index: Any
    """What a submission must cover; tells no label. Its `ids` are the test images, clips or queries."""
    labels: Any
    classes: tuple[str, ...]


class Task(Protocol):
    """The functions of a task. `predictions` and `labels` are of the task's own types."""

    HEADLINE: str
    """Name of the estimate that submissions are ranked by."""

    def write(self, path: Path, ids: Sequence[str], predictions: Any) -> None:
        """Writes a predictions file: the same bytes for the same predictions, and all of it or nothing."""

    def check(
        self, data: bytes, index: Index, name: str = ..., *, allow_missing: bool = ...
    ) -> tuple[Any | None, list[Problem]]:
        """Reads a predictions file of any bytes: the predictions, or None and every problem in it."""

    def read_labels(self, data: bytes, name: str = ...) -> Any:
        """Reads a labels file; raises `BadInput` with every problem in it."""

    def open_truth(self, labels: Path, classes: Sequence[str] | None = ...) -> Truth:
        """Opens a person's own labels, a file or folder; `classes` names them where the labels do not."""

    def score(self, predictions: Any, labels: Any, index: Index, class_names: Sequence[str]) -> Score:
        """Scores predictions over the whole index, whatever they leave out."""
