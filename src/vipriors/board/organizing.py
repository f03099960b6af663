"""What organizers do about submissions and teams. Each act is logged, and none deletes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board.acting import (
    note,
    submission_to_judge,
    teams_to_judge,
)
from vipriors.board.attached import audit_passed
from vipriors.board.core import Board
from vipriors.board.models import (
    SCORED,
    Attachment,
    Invitation,
    Membership,
    Submission,
    Team,
    now,
)
from vipriors.problems import BadInput, Problem
from vipriors.tasks.findings import shown

FEWEST_PAGES = 3
"""Of the report of an entry that may win."""


@dataclass(frozen=True)
class Qualification:
    """What an organizer is told who qualifies an entry.

    Attributes:
        pages: of its longest report.
        audit: whether an audit of its run passed; None if there was none.
    """

    pages: int
    audit: bool | None


def disqualify(board: Board, submission_id: str, reason: str, *, by: int | None = None) -> None:
    """Takes a submission off the leaderboard for good reason, which its team sees.

    Raises:
        NotFound: there is no such submission, or the person may not judge it.
        BadInput: there is no reason.
    """
    if not reason.strip():
        raise BadInput.single("reason", "is empty; expected what the team is told")
    _mark(board, submission_id, "disqualify", by, reason, disqualified=reason.strip())


def reinstate(board: Board, submission_id: str, *, reason: str = "", by: int | None = None) -> None:
    """Takes a disqualification back; raises as `disqualify`."""
    _mark(board, submission_id, "reinstate", by, reason, disqualified=None)


def hide(board: Board, submission_id: str, *, reason: str = "", by: int | None = None) -> None:
    """Keeps a submission off the leaderboard without a judgement; raises `NotFound` as `disqualify`."""
    _mark(board, submission_id, "hide", by, reason, hidden=True)


def show(board: Board, submission_id: str, *, reason: str = "", by: int | None = None) -> None:
    """Puts a hidden submission back; raises `NotFound` as `disqualify`."""
    _mark(board, submission_id, "show", by, reason, hidden=False)


def qualify(board: Board, submission_id: str, *, reason: str = "", by: int | None = None) -> Qualification:
    """Says that an entry may win: its report was seen. Whether an audit passed is told, not demanded.

    Raises:
        NotFound: there is no such submission, or the person may not judge it.
        BadInput: it is not scored, or has no report of enough pages; lists both.
    """
    with board.database.writing() as session, session.begin():
        submission = submission_to_judge(session, by, submission_id)
        attached = session.scalars(select(Attachment).where(Attachment.submission_id == submission_id)).all()
        pages = max((found.pages or 0 for found in attached if found.kind == "report"), default=0)
        place = f"submission {submission_id}"
        problems = []
        if submission.state != SCORED:
            problems.append(Problem(place, f"is {submission.state}; expected a scored one"))
        if pages < FEWEST_PAGES:
            found = f"has a report of {pages} pages" if pages else "has no report"
            problems += BadInput.single(
                place, f"{found}; expected one of {FEWEST_PAGES} pages or more"
            ).problems
        if problems:
            raise BadInput(problems)
        outcome = Qualification(pages, audit_passed(attached))
        before = {"qualified": submission.qualified}
        submission.qualified = True
        note(
            session,
            by,
            submission.phase.challenge,
            "qualify",
            submission_id,
            before=before,
            after={"qualified": True},
            reason=reason,
            pages=outcome.pages,
            audit={None: "none", True: "passed", False: "failed"}[outcome.audit],
        )
    return outcome


def unqualify(board: Board, submission_id: str, *, reason: str = "", by: int | None = None) -> None:
    """Takes a qualification back; raises `NotFound` as `disqualify`."""
    _mark(board, submission_id, "unqualify", by, reason, qualified=False)


def merge_teams(board: Board, team_id: int, into_id: int, *, reason: str = "", by: int | None = None) -> None:
    """Makes two teams one: members and submissions go to the second, and all of these count for its quota.

    The name of the first stays taken, and known by `former_names`.

    Raises:
        NotFound: there is no such team, or the person may not judge it.
        BadInput: the teams are of two challenges, are one, or one of them was merged before.
    """
    with board.database.writing() as session, session.begin():
        first = session.get(Team, team_id)
        if first is not None:  # uploads and scoring lock the challenge first
            session.refresh(first.challenge, with_for_update={"key_share": True})
        team, into = teams_to_judge(session, by, team_id, into_id)
        problems = [
            f"{shown(each.name)} was merged into another before"
            for each in (team, into)
            if each.merged_into_id is not None
        ]
        if team is into:
            problems.append(f"{shown(team.name)} cannot be merged into itself")
        elif team.challenge_id != into.challenge_id:
            problems.append(f"{shown(team.name)} and {shown(into.name)} are of two challenges")
        if problems:
            raise BadInput(Problem("team", text) for text in problems)
        submissions = _hand_over_submissions(session, team, into)
        open_ones = select(Membership).where(Membership.team_id == team.id, Membership.left.is_(None))
        members = session.scalars(open_ones).all()
        moment = now()
        for member in members:
            member.left = moment
            session.add(Membership(team_id=into.id, person_id=member.person_id, joined=moment))
        for invitation in session.scalars(select(Invitation).where(Invitation.team_id == team.id)):
            invitation.revoked = invitation.revoked or moment
        team.merged_into_id = into.id
        note(
            session,
            by,
            team.challenge,
            "merge teams",
            team.name,
            reason=reason,
            before={"team": team.id, "submissions": submissions},
            after={"team": into.id, "name": into.name, "members": [each.person.name for each in members]},
        )


def former_names(session: Session, team: Team) -> list[str]:
    """Names of the teams that were merged into a team, and of those merged into these."""
    names: list[str] = []
    merged = session.scalars(select(Team).where(Team.merged_into_id == team.id).order_by(Team.id)).all()
    for each in merged:
        names += [each.name, *former_names(session, each)]
    return names


def _mark(board: Board, submission_id: str, action: str, by: int | None, reason: str, **after: Any) -> None:
    with board.database.writing() as session, session.begin():
        submission = submission_to_judge(session, by, submission_id)
        before = {name: getattr(submission, name) for name in after}
        for name, value in after.items():
            setattr(submission, name, value)
        challenge = submission.phase.challenge
        note(session, by, challenge, action, submission_id, before=before, after=after, reason=reason)


def _hand_over_submissions(session: Session, team: Team, into: Team) -> Sequence[str]:
    """Gives one team's submissions to another, and says which; keys that both have used are told apart."""
    keys = select(Submission.phase_id, Submission.upload_key).where(Submission.team_id == into.id)
    used = {tuple(row) for row in session.execute(keys)}
    moved = session.scalars(select(Submission).where(Submission.team_id == team.id)).all()
    for submission in moved:
        if (submission.phase_id, submission.upload_key) in used:
            submission.upload_key = f"{team.id}/{submission.upload_key}"
        submission.team_id = into.id
    session.flush()
    return [submission.id for submission in moved]
