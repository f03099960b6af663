"""The hidden side of a challenge: its test labels, and scoring against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vipriors import tasks
from vipriors.challenges import find
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.data.files import read_bytes
from vipriors.data.prepare import file_name
from vipriors.data.subset import cut
from vipriors.problems import BadInput, Problem
from vipriors.tasks.index import Index
from vipriors.tasks.protocol import Truth
from vipriors.tasks.score import Score


@dataclass(frozen=True)
class HiddenTest:
    """A task and the truth that submissions to it are held against."""

    task: ModuleType
    truth: Truth

    def check(self, file: Path) -> list[Problem]:
        """Every problem of a predictions file."""
        _, problems = self.task.check(read_bytes(file), self.truth.index, file.name)
        return list(problems)

    def score(self, file: Path) -> Score:
        """The score of a predictions file.

        Raises:
            BadInput: With every problem of the file.
        """
        truth = self.truth
        predictions, problems = self.task.check(read_bytes(file), truth.index, file.name)
        if problems:
            raise BadInput(problems)
        score: Score = self.task.score(predictions, truth.labels, truth.index, truth.classes)
        return score


def find_hidden_test(
    name: str,
    labels: Path | None = None,
    source: Path | None = None,
    classes: Sequence[str] | None = None,
) -> HiddenTest:
    """The test of a challenge, or one made of a person's own labels.

    Args:
        name: A challenge, or with `labels` a task.
        labels: A file or folder of labels; by default the challenge's own are taken from its source.
        source: The user's copy of the challenge's images, where it has no embedded ones.
        classes: Names of the classes, where the labels do not name them.

    Raises:
        BadInput: There is no such challenge, or labels are missing or wrong.
    """
    if name in tasks.names():
        if labels is None:
            raise BadInput.single(f"task {name}", "has no labels of its own; give yours with --labels")
        task = tasks.load(name)
        return HiddenTest(task, task.open_truth(labels, classes))
    challenge = read_challenge(find(name))
    task = tasks.load(challenge.task)
    if labels is None:
        return HiddenTest(task, _truth_of(challenge, source))
    if classes is None and (challenge.source.world or challenge.source.kind == "imagenet"):
        classes = challenge.open(images=False).classes
    return HiddenTest(task, task.open_truth(labels, classes or challenge.source.classes))


def _truth_of(challenge: Challenge, source: Path | None) -> Truth:
    opened = challenge.open(source, images=False)
    labels = {
        file_name(pick, opened.content(pick.sample)[0]): pick.sample.label
        for pick in cut(opened, challenge.rule())
        if pick.split == "test"
    }
    classes = tuple(opened.classes)
    return Truth(Index(tuple(labels), len(classes)), labels, classes)
