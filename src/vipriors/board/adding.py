"""Challenges come to a board, with phases and hidden labels; and everything is scored anew."""

from __future__ import annotations

import io
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import select

from vipriors import tasks
from vipriors.board import jobs, samples
from vipriors.board.acting import challenge_to_run, may_administer, note
from vipriors.board.core import Board
from vipriors.board.models import Challenge, Organizer, Phase
from vipriors.board.planning import PhasePlan, check_baseline, in_utc, refuse_same_names
from vipriors.board.store import StoredFile
from vipriors.challenges import schema
from vipriors.challenges.hidden import class_names, write_test_labels
from vipriors.data.files import os_errors
from vipriors.problems import BadInput
from vipriors.tasks.archive import pack

MOST_LABELS = 2**34
"""Bytes of a labels file."""

MOST_IMAGES = 2**30
"""Bytes of a few images of the test."""


def add_challenge(
    board: Board,
    file: Path,
    labels: Path | None = None,
    source: Path | None = None,
    *,
    images: Path | None = None,
    phases: Sequence[PhasePlan] = (),
    public_share: float = 0.5,
    hidden: bool = False,
    baseline: tuple[str, float] | None = None,
    organizers: Sequence[int] = (),
    pages: Mapping[str, str] | None = None,
    outside: dict[str, Any] | None = None,
    by: int | None = None,
) -> Challenge:
    """Adds a challenge.

    Args:
        board: the board.
        file: the challenge's YAML file.
        labels: of its test, a file or folder; by default they are taken from its source.
        source: the copy of its images, where labels come from them and it has no embedded ones.
        images: a prepared folder, with images of the test to draw predictions on; by default they are taken
            from where the labels are, if images are there.
        phases: in their order; by default one that starts now, never ends and shows scores.
        public_share: of the test ids, above 0; 1 makes all of them public.
        hidden: from everybody but its organizers.
        baseline: name and score of a line that is shown beside the entries.
        organizers: ids of persons.
        pages: Markdown of description, rules and data in place of what the file says.
        outside: what an imported bundle said that the board has no place for.
        by: who adds it, an administrator; None for the command line.

    Raises:
        BadInput: the file, the labels or what goes with them is wrong, or there is a challenge of this name.
        Forbidden: the person is no administrator.
    """
    challenge = schema.read_challenge(file)
    task = tasks.load(challenge.task)
    if not 0 < public_share <= 1:
        raise BadInput.single("public share", f"{public_share}; expected more than 0 and at most 1")
    refuse_same_names([plan.name for plan in phases])
    check_baseline(*(baseline or (None, None)))
    taken = f"is taken by a challenge of this board; expected another than {challenge.name!r}"
    with board.database.reading() as session:
        may_administer(session, by)
        if session.scalar(select(Challenge.id).where(Challenge.name == challenge.name)):
            raise BadInput.single(f"{file}, name", taken)
    from_source = labels is None
    with ExitStack() as stack:
        if labels is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vipriors-labels-")))
            labels, classes = write_test_labels(challenge, source, folder)
        else:
            classes = class_names(challenge)
        stored, labels_name, index = _keep_labels(board, labels, challenge.task, classes)
    images_key = None
    if images is not None:
        images_key = _keep_images(board, samples.of_prepared(images), challenge.task, index)
    elif from_source or challenge.source.world:
        with suppress(BadInput):  # labels may be known where images are not at hand
            images_key = _keep_images(board, samples.of_source(challenge, source), challenge.task, index)
    texts = {
        "description": challenge.description,
        "rules": "\n".join(f"- {rule}" for rule in challenge.rules),
        "data": challenge.source.about,
    } | dict(pages or {})
    row = Challenge(
        name=challenge.name,
        title=challenge.title,
        task=challenge.task,
        yaml=file.read_text(encoding="utf-8"),
        **texts,
        hidden=hidden,
        labels_key=stored.key,
        labels_name=labels_name,
        labels_sha256=stored.sha256,
        images_key=images_key,
        classes=list(classes or ()),
        split_seed=secrets.token_hex(16),
        public_share=public_share,
        outside=outside or {},
        metric=task.HEADLINE,
        baseline_name=baseline[0] if baseline else None,
        baseline_score=baseline[1] if baseline else None,
        phases=[
            Phase(position=position, **in_utc(plan)) for position, plan in enumerate(phases or [PhasePlan()])
        ],
    )
    with board.database.writing() as session, session.begin():
        if session.scalar(select(Challenge.id).where(Challenge.name == challenge.name)):
            raise BadInput.single(f"{file}, name", taken)
        session.add(row)
        session.flush()
        session.add_all(Organizer(challenge_id=row.id, person_id=person) for person in organizers)
        note(session, by, row, "add challenge", row.name, phases=[phase.name for phase in row.phases])
    return row


def rescore(
    board: Board, challenge_name: str, labels: Path | None = None, *, reason: str = "", by: int | None = None
) -> int:
    """Has every submission of a challenge scored anew, and says how many; old scores are kept.

    Args:
        board: the board.
        challenge_name: name of the challenge.
        labels: in place of those there were, if these were wrong.
        reason: for the log.
        by: who has it done; None for the command line.

    Raises:
        NotFound: there is no such challenge, as far as the person may know.
        Forbidden: the person does not run it.
        BadInput: the labels are wrong.
    """
    with board.database.reading() as session:
        challenge = challenge_to_run(session, by, challenge_name)
    stored = None
    if labels is not None:
        stored, labels_name, _ = _keep_labels(board, labels, challenge.task, challenge.classes or None)
    with board.database.writing() as session, session.begin():
        challenge = challenge_to_run(session, by, challenge_name)
        before = {"labels_key": challenge.labels_key, "labels_version": challenge.labels_version}
        count = jobs.rescore(session, challenge)
        if stored is not None:
            challenge.labels_key, challenge.labels_sha256 = stored.key, stored.sha256
            challenge.labels_name = labels_name
        after = {"labels_key": challenge.labels_key, "labels_version": challenge.labels_version}
        note(
            session,
            by,
            challenge,
            "rescore",
            challenge.name,
            before=before,
            after=after,
            reason=reason,
            submissions=count,
        )
    return count


def set_images(
    board: Board, challenge_name: str, images: Path, *, reason: str = "", by: int | None = None
) -> None:
    """Gives a challenge images of its test, on which the predictions of later submissions are drawn.

    Args:
        board: the board.
        challenge_name: name of the challenge.
        images: a prepared folder.
        reason: for the log.
        by: who does it; None for the command line.

    Raises:
        NotFound: there is no such challenge, as far as the person may know.
        Forbidden: the person does not run it.
        BadInput: it is no prepared folder, or has none of the test's images that could be shown.
    """
    with board.database.reading() as session:
        challenge = challenge_to_run(session, by, challenge_name)
    with board.files.local(challenge.labels_key) as labels:
        index = tasks.load(challenge.task).open_truth(labels, challenge.classes or None).index
    key = _keep_images(board, samples.of_prepared(images), challenge.task, index)
    with board.database.writing() as session, session.begin():
        challenge = challenge_to_run(session, by, challenge_name)
        challenge.images_key = key
        note(session, by, challenge, "set images", challenge.name, reason=reason)


def _keep_images(board: Board, test: samples.TestFiles, task: str, index: Any) -> str:
    """Keeps some of the test's images."""
    content = samples.pack(test, task, index)
    if content is None:
        expected = "expected images, clips or clouds with the ids that the labels have"
        raise BadInput.single("test images", f"there is none that could be shown; {expected}")
    return board.files.put(io.BytesIO(content), MOST_IMAGES).key


def _keep_labels(
    board: Board, labels: Path, task: str, classes: Sequence[str] | None
) -> tuple[StoredFile, str, Any]:
    """Reads labels, a file or a folder of label maps, and keeps them as one file; also gives their index."""
    index = tasks.load(task).open_truth(labels, classes).index
    with tempfile.TemporaryDirectory(prefix="vipriors-labels-") as folder, os_errors(labels):
        name = labels.name
        if labels.is_dir():
            maps = [path for path in sorted(labels.rglob("*.png")) if not path.name.startswith(".")]
            content = pack((path.relative_to(labels).as_posix(), path.read_bytes()) for path in maps)
            name = "labels.zip"
            labels = Path(folder) / name
            labels.write_bytes(content)
        with labels.open("rb") as stream:
            return board.files.put(stream, MOST_LABELS), name, index
