"""Leaderboards as they are read from the database, and whose turn it is in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vipriors.board.attached import audit_passed
from vipriors.board.models import PENDING, SCORED, Attachment, Phase, Score, Submission, Team, now
from vipriors.board.ranking import Entry, Place, ranked, standing

HIDDEN = "hidden"

SINCE = timedelta(days=1)
"""Over which it is told who moved."""


@dataclass(frozen=True)
class Line:
    """A team's line of a leaderboard."""

    place: Place
    team: str
    declaration: dict[str, Any]
    late: bool
    qualified: bool
    audited: bool
    """An audit of its run has passed."""


@dataclass(frozen=True)
class Leaderboard:
    """A leaderboard.

    Attributes:
        part: of the test, over which the scores are.
        version: of the labels.
        lines: the first one first.
        entries: all that may rank, those too that another of their team stands for.
    """

    part: str
    version: int
    lines: Sequence[Line]
    entries: Sequence[Entry] = ()


def part_shown(phase: Phase, at: datetime) -> str:
    """The part of the test whose scores everybody may see; `HIDDEN` for none."""
    return phase.shows if is_running(phase, at) else phase.final_part


def is_running(phase: Phase, at: datetime) -> bool:
    """Whether a phase has not ended, its grace included."""
    return phase.end is None or at <= phase.end + timedelta(minutes=phase.grace_minutes)


def leaderboard(
    session: Session, phase: Phase, at: datetime | None = None, part: str | None = None
) -> Leaderboard:
    """The leaderboard of a phase: of each team the submission that stands.

    Args:
        session: reads.
        phase: the phase.
        at: the moment; now by default.
        part: of the test; by default the one that everybody may see. Of a hidden board nothing is listed.
    """
    at = at or now()
    challenge, descending = phase.challenge, phase.challenge.descending
    part = part or part_shown(phase, at)
    if part == HIDDEN:
        return Leaderboard(part, challenge.shown_version, [])
    entries = entries_of(session, phase, part)
    seen = deciding_part(phase)
    deciding = entries if seen == part else entries_of(session, phase, seen)
    until = at - SINCE
    earlier = _of(standing((entry for entry in deciding if entry.received <= until), descending), entries)
    before = {place.entry.team: place.rank for place in ranked(earlier, descending) if place.rank is not None}
    places = ranked(_of(standing(deciding, descending), entries), descending, before)
    shown = [place.entry.submission for place in places]
    about = session.execute(
        select(Submission.id, Team.name, Submission.declaration, Submission.late, Submission.qualified)
        .join(Team)
        .where(Submission.id.in_(shown))
    )
    details = {row[0]: row[1:] for row in about}
    audited = _audited(session, shown)
    lines = []
    for place in places:
        submission = place.entry.submission
        team, declaration, late, qualified = details[submission]
        lines.append(Line(place, team, declaration, late, qualified, submission in audited))
    return Leaderboard(part, challenge.shown_version, lines, entries)


def deciding_part(phase: Phase) -> str:
    """The part of the test by which a team's best entry stands, where the team has chosen none.

    It is the part that was shown, or the public one where nothing was, also when another part ranks in the
    end: the best of many entries by the very scores that rank would be picked by the private test.
    """
    return "public" if phase.shows == HIDDEN else phase.shows


def standing_ids(session: Session, phase: Phase, team_id: int) -> set[str]:
    """Ids of a team's submissions that stand on the leaderboard of a phase: one, or none."""
    entries = entries_of(session, phase, deciding_part(phase), team_id)
    return {entry.submission for entry in standing(entries, phase.challenge.descending)}


def _of(standing: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
    """Those of the entries that stand."""
    ids = {entry.submission for entry in standing}
    return [entry for entry in entries if entry.submission in ids]


def entries_of(session: Session, phase: Phase, part: str, team_id: int | None = None) -> list[Entry]:
    """All entries of a phase that may rank, or a team's, with their scores on a part of the test."""
    of_team = [] if team_id is None else [Submission.team_id == team_id]
    found = session.execute(
        select(
            Submission.id,
            Submission.team_id,
            Score.value,
            Score.low,
            Score.high,
            Submission.received,
            Submission.chosen,
        )
        .join(Score)
        .where(
            Submission.phase_id == phase.id,
            *of_team,
            Submission.state == SCORED,
            Submission.hidden.is_(False),
            Submission.disqualified.is_(None),
            Score.part == part,
            # The sum keeps SQLite from the unique index, which does not hold the scores, and so from
            # reading the large rows themselves; the index `score_to_rank` has all that is asked for.
            Score.labels_version + 0 == phase.challenge.shown_version,
        )
    )
    return [Entry._make(row) for row in found]


def _audited(session: Session, submissions: Sequence[str]) -> set[str]:
    """Those whose run was audited last with success."""
    attached: dict[str, list[Attachment]] = {}
    runs = select(Attachment).where(Attachment.kind == "run", Attachment.submission_id.in_(submissions))
    for attachment in session.scalars(runs):
        attached.setdefault(attachment.submission_id, []).append(attachment)
    return {submission for submission, runs in attached.items() if audit_passed(runs)}


def place_in_queue(session: Session, submission: Submission) -> int | None:
    """How many are before a submission that waits, plus one; None if it does not wait."""
    if submission.state not in PENDING:
        return None
    before = select(func.count()).where(Submission.state.in_(PENDING), Submission.id < submission.id)
    return (session.scalar(before) or 0) + 1
