"""Links that let others join a team."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board.core import NotFound
from vipriors.board.models import Challenge, Invitation, Membership, Person, Team, now
from vipriors.board.people import join, team_of
from vipriors.problems import BadInput

LASTS = timedelta(days=14)

MOST = 20
"""Invitations of a team that are open at a time."""


def invite(session: Session, person: Person, challenge: Challenge) -> str:
    """A new token that lets whoever has it join the person's team, for two weeks.

    Raises:
        BadInput: the person is in no team, or it has too many open invitations.
    """
    team = _own_team(session, person, challenge)
    if len(open_invitations(session, team)) >= MOST:
        raise BadInput.single("invitation", f"the team has {MOST} open ones; revoke some first")
    token = secrets.token_urlsafe(24)
    session.add(Invitation(team_id=team.id, token_hash=_hash_of(token), expires=now() + LASTS))
    session.flush()
    return token


def open_invitations(session: Session, team: Team) -> list[Invitation]:
    """Those of a team that still let somebody in, the newest first."""
    still = (Invitation.team_id == team.id, Invitation.revoked.is_(None), Invitation.expires > now())
    return list(session.scalars(select(Invitation).where(*still).order_by(Invitation.id.desc())))


def revoke(session: Session, person: Person, challenge: Challenge, invitation_id: int) -> None:
    """Ends an invitation of the person's team.

    Raises:
        NotFound: the team has no such invitation.
        BadInput: the person is in no team.
    """
    team = _own_team(session, person, challenge)
    invitation = session.get(Invitation, invitation_id)
    if invitation is None or invitation.team_id != team.id:
        raise NotFound("invitation")
    invitation.revoked = invitation.revoked or now()


def invited_to(session: Session, token: str) -> Team:
    """The team that a token lets one join.

    Raises:
        NotFound: it never was one, was revoked, or is over.
    """
    invitation = session.scalar(select(Invitation).where(Invitation.token_hash == _hash_of(token)))
    if invitation is None or invitation.revoked is not None or invitation.expires <= now():
        raise NotFound("invitation")
    return invitation.team


def accept(session: Session, person: Person, token: str) -> Membership:
    """Makes a person a member of the team that a token is of.

    Raises:
        NotFound: as `invited_to`.
        BadInput: as `join`.
    """
    return join(session, person, invited_to(session, token))


def members(session: Session, team: Team) -> list[Membership]:
    """Who is in a team, the one who came first first."""
    now_in = (Membership.team_id == team.id, Membership.left.is_(None))
    return list(session.scalars(select(Membership).where(*now_in).order_by(Membership.id)))


def _own_team(session: Session, person: Person, challenge: Challenge) -> Team:
    team = team_of(session, person, challenge)
    if team is None:
        raise BadInput.single("team", "you are in no team of this challenge")
    return team


def _hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
