"""The table of a challenge's submissions that organizers look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vipriors.board import worker
from vipriors.board.attached import audit_passed
from vipriors.board.core import Board
from vipriors.board.models import PENDING, Attachment, Challenge, Phase, Score, Submission, Team, Worker

A_PAGE = 100
STATES = ("queued", "scoring", "scored", "failed", "cancelled", "error")
MARKS = ("disqualified", "hidden", "qualified", "late")


@dataclass(frozen=True)
class Wanted:
    """Which submissions are asked for; empty for all."""

    state: str = ""
    team: str = ""
    phase: str = ""
    before: str = ""
    """Id of the last one of the page before."""

    def path(self, before: str) -> str:
        """The query of the next page."""
        given = {"state": self.state, "team": self.team, "phase": self.phase, "before": before}
        return urlencode({key: value for key, value in given.items() if value})


@dataclass(frozen=True)
class Line:
    """A submission in the table.

    Attributes:
        scores: with the labels that rank now, by the part of the test.
        earlier: with the labels before, on the whole test.
        report: pages of its longest report.
        audit: whether one passed; None if none was recorded.
        run: whether a run goes with it.
    """

    submission: Submission
    scores: dict[str, float | None]
    earlier: float | None
    report: int | None
    audit: bool | None
    run: bool


@dataclass(frozen=True)
class Table:
    """The table, and how things stand.

    Attributes:
        waiting: submissions that have no outcome yet.
        anew: scored ones that wait to be scored with newer labels.
        next: query of the next page; None if this is the last.
    """

    wanted: Wanted
    lines: Sequence[Line]
    teams: Sequence[str]
    waiting: int
    anew: int
    workers: Sequence[Worker]
    next: str | None


def table_of(board: Board, session: Session, challenge: Challenge, wanted: Wanted) -> Table:
    """A page of the table."""
    of = select(Submission).join(Phase).join(Team).where(Phase.challenge_id == challenge.id)
    every = of
    if wanted.state in STATES:
        of = of.where(Submission.state == wanted.state)
    elif wanted.state == "disqualified":
        of = of.where(Submission.disqualified.is_not(None))
    elif wanted.state in MARKS:
        of = of.where(getattr(Submission, wanted.state))
    if wanted.team:
        of = of.where(Team.name == wanted.team)
    if wanted.phase:
        of = of.where(Phase.name == wanted.phase)
    if wanted.before:
        of = of.where(Submission.id < wanted.before)
    rows = session.scalars(of.order_by(Submission.id.desc()).limit(A_PAGE + 1)).all()
    waiting = every.where(Submission.state.in_(PENDING)).subquery()
    anew = every.where(Submission.state == "scored", Submission.due.is_not(None)).subquery()
    teams = select(Team.name).where(Team.challenge_id == challenge.id).order_by(Team.name)
    return Table(
        wanted,
        _lines(session, challenge, rows[:A_PAGE]),
        session.scalars(teams).all(),
        session.scalar(select(func.count()).select_from(waiting)) or 0,
        session.scalar(select(func.count()).select_from(anew)) or 0,
        worker.living(board),
        wanted.path(rows[A_PAGE - 1].id) if len(rows) > A_PAGE else None,
    )


def _lines(session: Session, challenge: Challenge, rows: Sequence[Submission]) -> list[Line]:
    ids = [row.id for row in rows]
    scores: dict[str, dict[str, float | None]] = {id_: {} for id_ in ids}
    earlier: dict[str, tuple[int, float | None]] = {}
    found = select(Score.submission_id, Score.part, Score.labels_version, Score.value)
    for id_, part, version, value in session.execute(found.where(Score.submission_id.in_(ids))):
        if version == challenge.shown_version:
            scores[id_][part] = value
        elif version < challenge.shown_version and part == "all":
            earlier[id_] = max(earlier.get(id_, (0, None)), (version, value), key=lambda pair: pair[0])
    attached: dict[str, list[Attachment]] = {id_: [] for id_ in ids}
    for each in session.scalars(select(Attachment).where(Attachment.submission_id.in_(ids))):
        attached[each.submission_id].append(each)
    return [
        Line(
            row,
            scores[row.id],
            earlier.get(row.id, (0, None))[1],
            max((each.pages or 0 for each in attached[row.id] if each.kind == "report"), default=None),
            audit_passed(attached[row.id]),
            any(each.kind == "run" for each in attached[row.id]),
        )
        for row in rows
    ]
