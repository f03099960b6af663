"""Taking submissions: who may send what, how often, and what is remembered before it is acknowledged."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vipriors.board import jobs, scoring
from vipriors.board.core import Board, Forbidden, NotFound
from vipriors.board.models import COUNTED, Challenge, Person, Phase, Submission, Team, now
from vipriors.board.people import alone, is_organizer, team_of
from vipriors.board.store import Received, receive
from vipriors.problems import BadInput, Problem

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class NotNow(BadInput):
    """It is right, but not at this moment: no phase is open, the quota is used, or it is too late."""


class Declaration(BaseModel):
    """What a team says of an entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["single", "ensemble"] = "single"
    data: str = Field("", max_length=1000, description="Data that were learned from.")
    parameters: int | None = Field(None, ge=0, description="Of all models together.")
    gpu_hours: float | None = Field(
        None, gt=0, le=1e9, allow_inf_nan=False, description="Of training, times the number of GPUs."
    )
    flops: float | None = Field(
        None, gt=0, le=1e30, allow_inf_nan=False, description="Floating-point operations for one test image."
    )
    cost: str = Field("", max_length=200, description="Of training, such as `3 h on one V100`.")
    card: str = Field("", max_length=20_000, description="Method card, in Markdown.")


@dataclass(frozen=True)
class Receipt:
    """What the sender of a file is told.

    Attributes:
        submission: what was made of it.
        again: it had been sent before, and nothing new was made.
    """

    submission: Submission
    again: bool


@dataclass(frozen=True)
class Quota:
    """Submissions that a team has left in a phase; None where there is no limit."""

    today: int | None
    total: int | None
    next_day: datetime
    """When the day's quota begins anew."""

    @property
    def left(self) -> int | None:
        """How many can be sent now."""
        return min((left for left in (self.today, self.total) if left is not None), default=None)


def submit(
    board: Board,
    person_id: int,
    challenge_name: str,
    stream: BinaryIO,
    file_name: str,
    *,
    phase_name: str | None = None,
    upload_key: str | None = None,
    declaration: dict[str, Any] | None = None,
) -> Receipt:
    """Takes a predictions file. When this returns, the submission is stored and will be scored once.

    Args:
        board: the board.
        person_id: who sends it.
        challenge_name: name of the challenge.
        stream: the file.
        file_name: as the sender calls it.
        phase_name: of an open phase; by default the one that is open.
        upload_key: up to 64 characters, the same for all tries to send the same file; by default a file
            counts as sent before if it waits or is scored.
        declaration: what `Declaration` says.

    Raises:
        BadInput: the file or the declaration is wrong; lists everything. No quota is used.
        TooLarge: the file is too large.
        NotNow: no phase is open, or the team has used its quota.
        TooMany: too many uploads, good or bad, in the last minute.
        NotFound: no such challenge or phase, as far as this person may know.
        Forbidden: the person may not submit.
        ScorerFault: the board could not check the file.
    """
    board.uploads.take(person_id)
    name = plain_name(file_name)
    declared = _declaration_of(declaration)
    if upload_key is not None and not (1 <= len(upload_key) <= 64 and upload_key.isprintable()):
        raise BadInput.single("upload key", "expected 1 to 64 printable characters")
    with board.database.reading() as session:
        person, challenge = _may_submit(session, person_id, challenge_name)
        phase = open_phase(challenge, now(), phase_name)
        team = team_of(session, person, challenge)
    with receive(stream, board.settings.upload_bytes) as received:
        with board.database.reading() as session:
            if team and (sent := _key_for(session, phase, team, upload_key, received)[1]):
                return Receipt(sent, again=True)
            if team:
                _refuse_beyond_quota(session, phase, team, now())
        if problems := _check(board, challenge, received, name):
            raise BadInput(problems)
        stored = board.files.keep(received)
    with board.database.writing() as session, session.begin():
        person, challenge = _may_submit(session, person_id, challenge_name)
        # Not while another version of the scores is being made due.
        session.refresh(challenge, with_for_update={"read": True})
        moment = now()
        phase = open_phase(challenge, moment, phase.name)
        team = alone(session, person, challenge)
        session.get_one(Team, team.id, with_for_update=True)  # counting and adding is one at a time
        key, sent = _key_for(session, phase, team, upload_key, received)
        if sent:
            return Receipt(sent, again=True)
        _refuse_beyond_quota(session, phase, team, moment)
        submission = Submission(
            id=new_id(moment),
            phase_id=phase.id,
            team_id=team.id,
            person_id=person.id,
            received=moment,
            late=phase.end is not None and moment > phase.end,
            file_key=stored.key,
            file_name=name,
            sha256=stored.sha256,
            size=stored.size,
            upload_key=key,
            declaration=declared,
            due=challenge.labels_version,
        )
        session.add(submission)
    return Receipt(submission, again=False)


def check_may_submit(
    board: Board, person_id: int, challenge_name: str, phase_name: str | None = None
) -> None:
    """Refuses, before a file arrives, what would be refused after it; raises as `submit`."""
    with board.database.reading() as session:
        _, challenge = _may_submit(session, person_id, challenge_name)
        open_phase(challenge, now(), phase_name)


def cancel(board: Board, person_id: int, submission_id: str) -> None:
    """Cancels a submission of one's team that waits or is being scored, and gives its quota back.

    Raises:
        NotFound: there is none, or it is another team's.
        NotNow: it is too late.
    """
    with board.database.writing() as session, session.begin():
        submission, person = session.get(Submission, submission_id), session.get(Person, person_id)
        if submission is None or person is None:
            raise NotFound(f"submission {submission_id}")
        challenge = submission.phase.challenge
        team = team_of(session, person, challenge)
        if not (team and team.id == submission.team_id) and not is_organizer(session, person, challenge):
            raise NotFound(f"submission {submission_id}")
        if not jobs.cancel(session, submission_id):
            raise NotNow([Problem(f"submission {submission_id}", f"is {submission.state} already")])


def open_phase(challenge: Challenge, at: datetime, name: str | None = None) -> Phase:
    """The phase that takes submissions: one that is running, else one that is in its grace.

    Raises:
        NotFound: there is no phase of this name.
        NotNow: none is open; says when it was or will be.
    """
    phases = [phase for phase in challenge.phases if name in (None, phase.name)]
    if not phases and name is not None:
        raise NotFound(f"phase {name!r} of challenge {challenge.name}")
    for grace in (False, True):
        for phase in phases:
            after = timedelta(minutes=phase.grace_minutes if grace else 0)
            if phase.start <= at and (phase.end is None or at <= phase.end + after):
                return phase
    future = [phase for phase in phases if phase.start > at]
    if future:
        first = min(future, key=lambda phase: phase.start)
        raise NotNow([Problem(f"phase {first.name}", f"takes submissions from {_said(first.start)} on")])
    if not phases:
        raise NotNow([Problem(f"challenge {challenge.name}", "has no phases yet")])
    last = max(phases, key=lambda phase: phase.end or phase.start)
    raise NotNow([Problem(f"phase {last.name}", f"ended at {_said(last.end or last.start)}")])


def quota_left(session: Session, phase: Phase, team: Team | None, at: datetime) -> Quota:
    """What a team has left; days begin at midnight in UTC."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    counted = select(func.count()).where(
        Submission.phase_id == phase.id,
        Submission.team_id == (team.id if team else None),
        Submission.state.in_(COUNTED),
    )
    today = session.scalar(counted.where(Submission.received >= day)) or 0
    total = session.scalar(counted) or 0
    return Quota(
        None if phase.per_day is None else max(phase.per_day - today, 0),
        None if phase.total is None else max(phase.total - total, 0),
        day + timedelta(days=1),
    )


def new_id(moment: datetime) -> str:
    """An id for a submission: 26 characters that sort by time and cannot be guessed."""
    value = int(moment.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_LETTERS[value >> shift & 31] for shift in range(125, -1, -5))


def _may_submit(session: Session, person_id: int, challenge_name: str) -> tuple[Person, Challenge]:
    person = session.get(Person, person_id)
    if person is None or person.disabled is not None:
        raise Forbidden("this account cannot submit")
    challenge = session.scalar(select(Challenge).where(Challenge.name == challenge_name))
    if challenge is None or (challenge.hidden and not is_organizer(session, person, challenge)):
        raise NotFound(f"challenge {challenge_name!r}")
    if not challenge.labels_key:
        raise BadInput.single(f"challenge {challenge.name}", "takes no submissions: its labels are missing")
    return person, challenge


def _refuse_beyond_quota(session: Session, phase: Phase, team: Team, at: datetime) -> None:
    quota = quota_left(session, phase, team, at)
    problems = []
    if quota.total == 0:
        message = f"the team has used all {phase.total} submissions of the phase"
        problems.append(Problem(f"phase {phase.name}", message))
    elif quota.today == 0:
        message = f"the team has used all {phase.per_day} submissions of the day"
        problems.append(Problem(f"phase {phase.name}", f"{message}; more from {_said(quota.next_day)} on"))
    if problems:
        raise NotNow(problems)


def _check(board: Board, challenge: Challenge, received: Received, name: str) -> list[Problem]:
    with board.checking, board.files.local(challenge.labels_key) as labels:
        job = scoring.Job(
            file=str(received.path),
            name=name,
            task=challenge.task,
            labels=str(labels),
            classes=tuple(challenge.classes),
            score=False,
        )
        return scoring.run(job, board.limits).problems


def _key_for(
    session: Session, phase: Phase, team: Team, upload_key: str | None, received: Received
) -> tuple[str, Submission | None]:
    """What an upload is known by, and the submission that was made of it before."""
    own = select(Submission).where(Submission.phase_id == phase.id, Submission.team_id == team.id)
    if upload_key is not None:
        key = f"key:{upload_key}"
        sent = session.scalar(own.where(Submission.upload_key == key))
        if sent and sent.sha256 != received.sha256:
            message = f"{upload_key!r} was the key of another file, submission {sent.id}; expected a new one"
            raise BadInput.single("upload key", message)
        return key, sent
    same = session.scalars(own.where(Submission.sha256 == received.sha256)).all()
    sent = next((each for each in same if each.state in COUNTED), None)
    return f"file:{received.sha256}:{len(same)}", sent


def _declaration_of(given: dict[str, Any] | None) -> dict[str, Any]:
    try:
        return Declaration.model_validate(given or {}).model_dump()
    except ValidationError as error:
        raise BadInput(
            Problem(f"declaration, {'.'.join(map(str, fault['loc']))}", fault["msg"])
            for fault in error.errors(include_url=False)
        ) from None


def plain_name(file_name: str) -> str:
    """A file's name as it is kept: without folders, printable, at most 120 characters."""
    name = Path(file_name.replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[-120:] or "predictions"


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
