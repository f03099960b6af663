"""The hidden side of a challenge: its test labels, and scoring against them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vipriors import tasks
from vipriors.challenges import find
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.data.files import read_bytes
from vipriors.data.place import file_name
from vipriors.data.sources import AnnotatedSource
from vipriors.data.subset import cut
from vipriors.problems import BadInput, Problem
from vipriors.tasks.labels import HEADER
from vipriors.tasks.protocol import Truth
from vipriors.tasks.score import Score


@dataclass(frozen=True)
class HiddenTest:
    """A task and the truth that submissions to it are held against."""

    task: ModuleType
    truth: Truth
    keep: object = None
    """Whatever must live as long as this: a temporary folder of labels."""

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
        return _hidden_test_of(challenge, task, source)
    return HiddenTest(task, task.open_truth(labels, classes or class_names(challenge)))


def class_names(challenge: Challenge) -> Sequence[str] | None:
    """Names of what is predicted, where they are known without the user's copy of the images."""
    # A target has the classes of the source, and may be files that are not at hand.
    challenge = challenge.model_copy(update={"target": None})
    if challenge.source.world or challenge.source.kind == "imagenet":
        opened = challenge.open(images=False)
        return opened.names if isinstance(opened, AnnotatedSource) else tuple(opened.classes)
    return challenge.source.classes


def write_test_labels(
    challenge: Challenge, source: Path | None, folder: Path
) -> tuple[Path, Sequence[str] | None]:
    """Writes the labels of a challenge's test as its source has them, and tells the names of its classes.

    Args:
        challenge: The challenge.
        source: The user's copy of its images, where it has no embedded ones.
        folder: Where they go: one file, or a map for each image.

    Returns:
        The file or the folder, as the task's `open_truth` takes it, and the names.

    Raises:
        BadInput: This copy of the source has no test labels, or the copy is not whole.
    """
    opened = challenge.open(source, images=False)
    tests = [pick for pick in cut(opened, challenge.rule()) if pick.split == "test"]
    named = [(file_name(pick, opened.content(pick.sample)[0]), pick.sample) for pick in tests]
    if not isinstance(opened, AnnotatedSource):
        rows = "".join(f"{name},{sample.label}\n" for name, sample in named)
        labels = folder / "labels.csv"
        labels.write_text(f"{HEADER}\n{rows}", encoding="utf-8")
        return labels, tuple(opened.classes)
    written = []
    for name, content in opened.annotations(named):
        written.append(folder / name)
        written[-1].write_bytes(content)
    if not written:
        message = "has no test labels in this copy of its source; give them with --labels"
        message += " (check needs none with --data)"
        raise BadInput.single(f"challenge {challenge.name}", message)
    return written[0] if written[0].stem == "labels" else folder, challenge.label_names(opened.names)


def _hidden_test_of(challenge: Challenge, task: ModuleType, source: Path | None) -> HiddenTest:
    folder = tempfile.TemporaryDirectory(prefix="vipriors-labels-")
    labels, classes = write_test_labels(challenge, source, Path(folder.name))
    return HiddenTest(task, task.open_truth(labels, classes), folder)
