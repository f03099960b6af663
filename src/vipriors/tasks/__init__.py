"""Tasks: what is predicted, how predictions are written to a file, checked and scored.

A task is a module of this folder whose docstring starts with `Task:`; it offers what `protocol.Task` states.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from vipriors.problems import BadInput
from vipriors.tasks.index import Index
from vipriors.tasks.protocol import Task
from vipriors.tasks.score import Estimate, Score

__all__ = ["BY_CLASS", "Estimate", "Index", "Score", "Task", "load", "names", "summaries"]

BY_CLASS = ("classification", "actions", "points")
"""Tasks of which each sample has one class, so that their number is told for a class."""


def names() -> list[str]:
    """The tasks there are, found without importing them."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if _is_task(path))


def summaries() -> list[tuple[str, str]]:
    """Name of each task and what it is, found without importing them."""
    first_lines = ((name, (Path(__file__).parent / f"{name}.py").read_text("utf-8")) for name in names())
    return [(name, text.partition("\n")[0].removeprefix('"""Task: ')) for name, text in first_lines]


def load(name: str) -> ModuleType:
    """The module of a task.

    Raises:
        BadInput: there is no such task; lists those there are.
    """
    if name not in (found := names()):
        raise BadInput.single("task", f"{name!r} is not a task; expected one of: {', '.join(found)}")
    return import_module(f"{__name__}.{name}")


def _is_task(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return file.readline().startswith('"""Task:')
