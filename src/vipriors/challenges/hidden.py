"""What a predictions file is held against: the test images of a challenge, or of a labels file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vipriors import tasks
from vipriors.challenges import find
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.data.subset import cut
from vipriors.problems import BadInput, Problem
from vipriors.tasks.index import Index
from vipriors.tasks.score import Score


@dataclass(frozen=True)
class TestSet:
    """The test images with their labels."""

    __test__ = False  # not a test, whatever its name tells pytest

    task: ModuleType
    index: Index
    labels: dict[str, int]
    classes: tuple[str, ...]

    def check(self, file: Path) -> list[Problem]:
        """Every problem of a predictions file."""
        _, problems = self.task.check(read_bytes(file), self.index, file.name)
        return list(problems)

    def score(self, file: Path) -> Score:
        """The score of a predictions file.

        Raises:
            BadInput: With every problem of the file.
        """
        predictions, problems = self.task.check(read_bytes(file), self.index, file.name)
        if problems:
            raise BadInput(problems)
        score: Score = self.task.score(predictions, self.labels, self.index, self.classes)
        return score


def find_test_set(name: str, labels: Path | None = None, source: Path | None = None) -> TestSet:
    """The test images of a challenge, or those that a labels file lists.

    Args:
        name: A challenge, or with `labels` a task.
        labels: A labels file; by default the challenge's own labels are taken from its source.
        source: The user's copy of the challenge's images, where it has no embedded ones.

    Raises:
        BadInput: There is no such challenge, or labels are missing or wrong.
    """
    if name in tasks.names():
        if labels is None:
            raise BadInput.single(
                f"task {name}", "has no labels of its own; give a labels file with --labels"
            )
        return _of_labels(tasks.load(name), labels, None)
    challenge = read_challenge(find(name))
    task = tasks.load(challenge.task)
    if labels is not None:
        names = tuple(challenge.open(source).classes) if challenge.source.world else None
        return _of_labels(task, labels, names)
    return _of_challenge(task, challenge, source)


def read_bytes(file: Path) -> bytes:
    """A file's content; a file that cannot be read is bad input."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput.single(file, f"cannot be read: {error.strerror}") from None


def _of_labels(task: ModuleType, file: Path, classes: tuple[str, ...] | None) -> TestSet:
    labels: dict[str, int] = task.read_labels(read_bytes(file), file.name)
    names = classes or tuple(str(k) for k in range(max(labels.values()) + 1))
    return TestSet(task, Index(tuple(labels), len(names)), labels, names)


def _of_challenge(task: ModuleType, challenge: Challenge, source: Path | None) -> TestSet:
    opened = challenge.open(source)
    picks = [pick for pick in cut(opened, challenge.rule()) if pick.split == "test"]
    labels = {}
    for pick in picks:
        suffix, _ = opened.content(pick.sample)
        labels[pick.id if pick.id.lower().endswith(suffix) else pick.id + suffix] = pick.sample.label
    return TestSet(task, Index(tuple(labels), len(opened.classes)), labels, tuple(opened.classes))
