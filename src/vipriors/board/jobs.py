"""From queued to scored: every change of a submission's state, each in one transaction.

A submission is due while there is something to score: `due` says with which version of the labels. Whoever
scores it may be killed, be late or be two; the change that ends it is made only while it is still due, so it
is made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from vipriors.board.database import Database
from vipriors.board.models import (
    CANCELLED,
    ERROR,
    FAILED,
    PENDING,
    QUEUED,
    SCORED,
    SCORING,
    Challenge,
    Phase,
    Score,
    Submission,
    now,
)
from vipriors.problems import Problem

MOST_ATTEMPTS = 3

SYSTEM_ERROR = "The board could not score this file, which is not its fault. It uses no quota."


@dataclass(frozen=True)
class Work:
    """What is needed to score a submission.

    Attributes:
        submission: its id.
        version: of the labels.
        attempt: how manieth it is, from 1.
    """

    submission: str
    version: int
    attempt: int
    file_key: str
    file_name: str
    task: str
    labels_key: str
    images_key: str | None
    classes: Sequence[str]
    split_seed: str
    public_share: float
    metric: str


def begin(database: Database, submission: str, version: int) -> Work | None:
    """Starts an attempt; None if there is nothing left to do, or if it was tried too often."""
    with database.writing() as session, session.begin():
        challenge, row = _locked(session, submission)
        if row.due != version:
            return None
        if row.attempts >= MOST_ATTEMPTS:
            _end(session, challenge, row, ERROR, SYSTEM_ERROR)
            return None
        row.attempts += 1
        if row.state == QUEUED:
            row.state = SCORING
        return Work(
            submission,
            version,
            row.attempts,
            row.file_key,
            row.file_name,
            challenge.task,
            challenge.labels_key,
            challenge.images_key,
            tuple(challenge.classes),
            challenge.split_seed,
            challenge.public_share,
            challenge.metric,
        )


def is_wanted(database: Database, work: Work) -> bool:
    """Whether nobody has cancelled or done it meanwhile."""
    with database.reading() as session:
        due = session.scalar(select(Submission.due).where(Submission.id == work.submission))
    return due == work.version


def finish(
    database: Database,
    work: Work,
    scores: Mapping[str, Mapping[str, Any] | None],
    pictures_key: str | None = None,
) -> bool:
    """Writes the scores of each part and makes the submission scored; False if it was not due any more.

    Args:
        database: the board's.
        work: what was scored.
        scores: of each part.
        pictures_key: of pictures of its predictions in the file store.
    """
    with database.writing() as session, session.begin():
        challenge, row = _locked(session, work.submission)
        if row.due != work.version:
            return False
        for part, record in scores.items():
            value = (record or {}).get("scores", {}).get(work.metric)
            low, high = (record or {}).get("intervals", {}).get(work.metric, (None, None))
            session.add(
                Score(
                    submission_id=row.id,
                    part=part,
                    labels_version=work.version,
                    value=value,
                    low=low,
                    high=high,
                    record=dict(record or {}),
                )
            )
        row.pictures_key = pictures_key or row.pictures_key
        _end(session, challenge, row, SCORED, "")
    return True


def fail(database: Database, work: Work, problems: Sequence[Problem]) -> bool:
    """Ends a submission whose file cannot be scored; False if it was not due any more."""
    with database.writing() as session, session.begin():
        challenge, row = _locked(session, work.submission)
        if row.due != work.version:
            return False
        _end(session, challenge, row, FAILED, "\n".join(map(str, problems)))
    return True


def give_back(database: Database, work: Work, *, counts: bool = True) -> None:
    """Ends an attempt without an outcome: another follows, unless there were enough.

    Args:
        database: the board's.
        work: what was attempted.
        counts: False if nothing went wrong, as when a worker is told to end.
    """
    with database.writing() as session, session.begin():
        challenge, row = _locked(session, work.submission)
        if row.due != work.version or row.attempts != work.attempt:
            return
        if counts and row.attempts >= MOST_ATTEMPTS:
            _end(session, challenge, row, ERROR, SYSTEM_ERROR)
            return
        row.job = None
        row.attempts -= not counts
        if row.state == SCORING:
            row.state = QUEUED


def cancel(session: Session, submission: str) -> bool:
    """Cancels a submission that is not scored yet; False if it is too late."""
    challenge, row = _locked(session, submission)
    if row.state not in PENDING:
        return False
    _end(session, challenge, row, CANCELLED, "")
    return True


def rescore(session: Session, challenge: Challenge) -> int:
    """Makes a new version of the scores of a challenge due, and says for how many submissions.

    Scored ones stay so with their old scores, and these rank until everything has new ones. Those that the
    board failed are tried again. What failed by its own fault or was cancelled is left alone.
    """
    session.refresh(challenge, with_for_update={"key_share": True})
    challenge.labels_version += 1
    phases = select(Phase.id).where(Phase.challenge_id == challenge.id)
    of_challenge = Submission.phase_id.in_(phases)
    session.execute(
        update(Submission).where(of_challenge, Submission.state.in_((ERROR, SCORING))).values(state=QUEUED)
    )
    session.execute(
        update(Submission)
        .where(of_challenge, Submission.state.in_((SCORED, *PENDING)))
        .values(due=challenge.labels_version, job=None, attempts=0)
    )
    session.flush()
    _show_what_is_done(session, challenge)
    in_work = select(func.count()).where(of_challenge, Submission.due == challenge.labels_version)
    return session.scalar(in_work) or 0


def _locked(session: Session, submission: str) -> tuple[Challenge, Submission]:
    # Always the challenge first: two that lock in different orders would wait for each other for ever.
    of_submission = (
        select(Challenge).join(Phase).join(Submission).where(Submission.id == submission)
    ).with_for_update(of=Challenge, key_share=True)
    challenge = session.scalars(of_submission).one()
    row = session.get_one(Submission, submission, with_for_update=True)
    return challenge, row


def _end(session: Session, challenge: Challenge, row: Submission, state: str, message: str) -> None:
    row.state, row.message, row.finished = state, message, now()
    row.due = row.job = None
    session.flush()
    _show_what_is_done(session, challenge)


def _show_what_is_done(session: Session, challenge: Challenge) -> None:
    """Lets the newest scores rank once no submission that has older ones waits for them."""
    if challenge.shown_version == challenge.labels_version:
        return
    waiting = exists().where(
        Submission.phase_id == Phase.id,
        Phase.challenge_id == challenge.id,
        Submission.state == SCORED,
        Submission.due.is_not(None),
    )
    if not session.scalar(select(waiting)):
        challenge.shown_version = challenge.labels_version
