"""What the pages of a challenge share: which phase it is about, and how things stand for the visitor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from vipriors.board import viewing
from vipriors.board.models import Challenge, Phase, Team, now
from vipriors.board.standings import is_running
from vipriors.board.submitting import Quota, open_phase, quota_left
from vipriors.board.web.visiting import Visitor
from vipriors.problems import BadInput


@dataclass(frozen=True)
class Scene:
    """A challenge at a moment, as a visitor finds it.

    Attributes:
        at: the moment.
        phase: the one that is open, else the next, else the last; None if there is none.
        open: whether it takes submissions.
        team: the visitor's.
        quota: what the team has left in the phase.
        runs: whether the visitor may run the challenge.
    """

    challenge: Challenge
    at: datetime
    phase: Phase | None
    open: bool
    team: Team | None
    quota: Quota | None
    runs: bool


def scene(session: Session, visit: Visitor, name: str) -> Scene:
    """A challenge, as a visitor finds it now.

    Raises:
        NotFound: there is none that the visitor may know of.
    """
    viewer = visit.viewer
    challenge = viewing.challenge(session, viewer, name)
    at = now()
    phase = phase_at(challenge, at)
    team = viewing.team(session, viewer, challenge)
    quota = quota_left(session, phase, team, at) if phase and visit.person else None
    open_ = phase is not None and takes_submissions(challenge, at)
    return Scene(challenge, at, phase, open_, team, quota, viewing.runs(session, viewer, challenge))


def takes_submissions(challenge: Challenge, at: datetime) -> bool:
    """Whether a phase of a challenge is open."""
    try:
        open_phase(challenge, at)
    except BadInput:
        return False
    return True


def phase_at(challenge: Challenge, at: datetime) -> Phase | None:
    """The phase that is open, else the next one, else the one that ended last; None if there is none."""
    try:
        return open_phase(challenge, at)
    except BadInput:
        pass
    future = [phase for phase in challenge.phases if phase.start > at]
    if future:
        return min(future, key=lambda phase: phase.start)
    return max(challenge.phases, key=lambda phase: phase.end or phase.start, default=None)


def state_of(phase: Phase, at: datetime) -> str:
    """Where a phase is: future, running, in its grace, or over."""
    if phase.start > at:
        return "future"
    if phase.end is None or at <= phase.end:
        return "running"
    return "grace" if is_running(phase, at) else "over"
