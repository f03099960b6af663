"""What goes with a submission: a report (PDF) and the folder of the run that made it (zip).

The board runs no training, so it cannot audit: an organizer takes the run, does `vipriors audit RUN --json`
elsewhere and records the outcome. What can be told without torch the board checks itself: that the run is of
this challenge, learned from this challenge's images and no more, and wrote this submission.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, BinaryIO, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board import scoring
from vipriors.board.acting import actor, note, submission_to_judge
from vipriors.board.attached import audit_passed
from vipriors.board.core import Board, NotFound
from vipriors.board.examining import PROGRAMS, REPORT, RUN
from vipriors.board.models import Attachment, Submission, now
from vipriors.board.people import is_organizer, team_of
from vipriors.board.store import receive
from vipriors.board.submitting import plain_name
from vipriors.problems import BadInput, Problem

__all__ = ["attach_report", "attach_run", "attachments", "audit_passed", "record_audit"]

MOST_REPORT = 32 * 2**20
MOST_ATTACHMENTS = 20
"""Of one submission, all tries together."""
PAGES_LIMITS = scoring.Limits(cpu_seconds=20, memory_bytes=2**30)


class AuditOutcome(BaseModel):
    """What `vipriors audit RUN --json` prints."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verdict: Literal["same", "within the interval", "different"]
    checks: dict[str, bool]
    scores: dict[str, float | None]
    foreign_reads: list[str] = []
    passed: bool


def attach_report(
    board: Board, person_id: int, submission_id: str, stream: BinaryIO, file_name: str
) -> Attachment:
    """Keeps the report of a submission, whose pages are counted.

    Args:
        board: the board.
        person_id: who sends it: somebody of the team, or an organizer.
        submission_id: what it goes with.
        stream: the PDF.
        file_name: as the sender calls it.

    Raises:
        NotFound: there is no such submission, as far as this person may know.
        BadInput: it is too large, no PDF, encrypted, damaged, or there are many attachments already.
        TooMany: too many uploads in the last minute.
        ScorerFault: the board could not look into it.
    """
    return _attach(board, person_id, submission_id, stream, file_name, REPORT)


def attach_run(
    board: Board, person_id: int, submission_id: str, stream: BinaryIO, file_name: str
) -> Attachment:
    """Keeps the folder of the run that made a submission, as a zip.

    Of an entry that is declared an ensemble several runs can be kept, and none needs to have written the
    submission. Else raises as `attach_report`, and `BadInput` if it is not a finished run, of another
    challenge or subset, or did not write the submission; lists all.
    """
    return _attach(board, person_id, submission_id, stream, file_name, RUN)


def attachments(session: Session, submission: Submission) -> Sequence[Attachment]:
    """What goes with a submission, in the order in which it came."""
    found = select(Attachment).where(Attachment.submission_id == submission.id).order_by(Attachment.id)
    return session.scalars(found).all()


def record_audit(board: Board, attachment_id: int, outcome: object, *, by: int | None = None) -> Attachment:
    """Records what `vipriors audit RUN --json` said of an attached run.

    Raises:
        NotFound: there is no such run, or the person may not judge it.
        BadInput: it is no outcome of an audit; lists every wrong field.
    """
    try:
        audit = AuditOutcome.model_validate(outcome)
    except ValidationError as error:
        raise BadInput(
            Problem(", ".join(["outcome of the audit", *map(str, fault["loc"])]), fault["msg"])
            for fault in error.errors(include_url=False)
        ) from None
    if audit.passed != (audit.verdict != "different" and not audit.foreign_reads):
        raise BadInput.single(
            "outcome of the audit, passed", "does not follow from verdict and foreign_reads"
        )
    with board.database.writing() as session, session.begin():
        attachment = session.get(Attachment, attachment_id)
        if attachment is None or attachment.kind != RUN:
            raise NotFound(f"run {attachment_id}")
        submission = submission_to_judge(session, by, attachment.submission_id)
        before = attachment.audit
        attachment.audit = audit.model_dump() | {"at": now().isoformat()}
        note(
            session,
            by,
            submission.phase.challenge,
            "record audit",
            submission.id,
            before=before,
            after=attachment.audit,
            attachment=attachment.id,
        )
    return attachment


def _attach(
    board: Board, person_id: int, submission_id: str, stream: BinaryIO, file_name: str, kind: str
) -> Attachment:
    board.uploads.take(person_id)
    with board.database.reading() as session:
        submission = _own(session, person_id, submission_id)
        challenge = submission.phase.challenge
    name = plain_name(file_name)
    most = MOST_REPORT if kind == REPORT else board.settings.upload_bytes
    with receive(stream, most) as received:
        with board.checking, board.files.local(submission.file_key) as sent:
            job = scoring.Job(
                file=str(received.path), name=name, task=challenge.task, labels=str(sent), score=False
            )
            limits = PAGES_LIMITS if kind == REPORT else board.limits
            outcome = scoring.run(job, limits, program=PROGRAMS[kind])
        if outcome.problems:
            raise BadInput(outcome.problems)
        facts = outcome.scores[kind] or {}
        if kind == RUN and (problems := _faults_of_run(facts, challenge.yaml, submission, name)):
            raise BadInput(problems)
        stored = board.files.keep(received)
    with board.database.writing() as session, session.begin():
        submission = _own(session, person_id, submission_id, locked=True)
        attachment = Attachment(
            submission_id=submission_id,
            kind=kind,
            file_key=stored.key,
            file_name=name,
            sha256=stored.sha256,
            size=stored.size,
            pages=facts.get("pages"),
        )
        session.add(attachment)
        session.flush()
        subject, file = submission_id, {"attachment": attachment.id, "sha256": stored.sha256}
        note(session, person_id, submission.phase.challenge, f"attach {kind}", subject, after=file)
    return attachment


def _own(session: Session, person_id: int, submission_id: str, *, locked: bool = False) -> Submission:
    """A submission of the person's team, or to a challenge that the person runs."""
    person = actor(session, person_id)
    submission = session.get(Submission, submission_id, with_for_update=locked or None)
    if person is None or submission is None:
        raise NotFound(f"submission {submission_id}")
    challenge = submission.phase.challenge
    team = team_of(session, person, challenge)
    if not (team and team.id == submission.team_id) and not is_organizer(session, person, challenge):
        raise NotFound(f"submission {submission_id}")
    if len(attachments(session, submission)) >= MOST_ATTACHMENTS:
        message = f"has {MOST_ATTACHMENTS} attachments, the most that are kept"
        raise BadInput.single(f"submission {submission_id}", message)
    return submission


def _faults_of_run(
    facts: dict[str, Any], challenge_yaml: str, submission: Submission, name: str
) -> list[Problem]:
    """In what a run differs from what an entry to this challenge must be."""
    recipe, ours = facts["recipe"], yaml.safe_load(challenge_yaml)
    problems = []
    subset = ours.get("subset") or {}
    size = ours["input"].get("size") or [ours["input"].get("points") or ours["input"].get("nodes"), 1]
    drawn = subset.get("images_per_class") or subset.get("images")
    theirs = recipe["challenge"]["subset"]
    for field, found, expected in (
        ("challenge.name", recipe["challenge"]["name"], ours["name"]),
        ("challenge.task", recipe["challenge"]["task"], ours["task"]),
        ("challenge.source.world", recipe["challenge"]["source"]["world"], ours["source"].get("world")),
        ("challenge.input.size", recipe["challenge"]["input"]["size"], size),
        ("challenge.subset.list", _file(theirs["list"]), _file(subset.get("list"))),
        ("images_per_class", recipe["images_per_class"], drawn),
        ("challenge.subset.unlabelled", _all(theirs.get("unlabelled", 0)), _all(subset.get("unlabelled", 0))),
        ("subset_seed", recipe["subset_seed"], subset.get("seed", 0)),
    ):
        if found != expected:
            message = f"is {found!r}; expected {expected!r}, as this challenge has it"
            problems.append(Problem(f"{name}, recipe.json, {field}", message))
    if not facts["same_predictions"] and submission.declaration.get("kind", "single") == "single":
        message = "is not the file that was submitted; expected the run that made this submission"
        problems.append(Problem(f"{name}, {facts['predictions']}", message))
    return problems


def _all(number: int | str | None) -> int | str:
    """How many: a recipe has null where a challenge's file says all."""
    return "all" if number is None else number


def _file(name: str | None) -> str | None:
    """A list's name without the folder, which differs from machine to machine."""
    return None if name is None else PurePath(name).name
