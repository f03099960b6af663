"""Accounts and teams."""

from __future__ import annotations

import re
import unicodedata

from argon2 import PasswordHasher
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from vipriors.board.core import Board, Forbidden
from vipriors.board.models import Challenge, Membership, Organizer, Person, Team, now
from vipriors.problems import BadInput, Problem
from vipriors.tasks.findings import shown

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+")
LONGEST_NAME = 60
PASSWORD_LENGTHS = (10, 200)


def sign_up(board: Board, name: str, email: str, password: str, *, admin: bool = False) -> Person:
    """Makes an account.

    Raises:
        BadInput: name, address or password is unfit or taken; lists all.
        Forbidden: the board does not let people sign up by themselves.
    """
    if not (board.settings.open_sign_up or admin):
        raise Forbidden("this board does not let people sign up by themselves")
    name, email = unicodedata.normalize("NFC", name), email.strip().lower()
    problems = _faults_of_name("name", name)
    if len(email) > 254 or not _EMAIL.fullmatch(email):
        problems.append(Problem("email", f"{shown(email)} is no address; expected one such as ada@uni.org"))
    fewest, most = PASSWORD_LENGTHS
    if not fewest <= len(password) <= most:
        message = f"has {len(password)} characters; expected {fewest} to {most}"
        problems.append(Problem("password", message))
    if problems:
        raise BadInput(problems)
    password_hash = PasswordHasher().hash(password)  # slow on purpose, so not inside the transaction
    person = Person(name=name, email=email, password_hash=password_hash, admin=admin)
    with board.database.writing() as session, session.begin():
        for field, column, value in (("name", Person.name, name), ("email", Person.email, email)):
            if session.scalar(select(Person.id).where(column == value)):
                problems.append(Problem(field, f"{shown(value)} is taken; expected another"))
        if problems:
            raise BadInput(problems)
        _add(session, person, BadInput.single("name", "or email is taken; expected another"))
    return person


def is_organizer(session: Session, person: Person, challenge: Challenge) -> bool:
    """Whether a person may run a challenge."""
    return person.admin or session.get(Organizer, (challenge.id, person.id)) is not None


def membership_of(session: Session, person: Person, challenge: Challenge) -> Membership | None:
    """A person's open membership in a team of a challenge."""
    return session.scalar(
        select(Membership)
        .join(Team)
        .where(
            Membership.person_id == person.id,
            Membership.left.is_(None),
            Team.challenge_id == challenge.id,
        )
    )


def team_of(session: Session, person: Person, challenge: Challenge) -> Team | None:
    """The team that a person is in."""
    membership = membership_of(session, person, challenge)
    return membership.team if membership else None


def create_team(session: Session, person: Person, challenge: Challenge, name: str) -> Team:
    """Makes a team with one member.

    Raises:
        BadInput: the name is unfit or taken, or the person is in a team already.
    """
    name = unicodedata.normalize("NFC", name)
    if problems := _faults_of_name("team name", name):
        raise BadInput(problems)
    taken = BadInput.single("team name", f"{shown(name)} is taken in this challenge; expected another")
    if session.scalar(select(Team.id).where(Team.challenge_id == challenge.id, Team.name == name)):
        raise taken
    _refuse_members(session, person, challenge)
    team = Team(challenge_id=challenge.id, name=name)
    _add(session, team, taken)
    session.add(Membership(team_id=team.id, person_id=person.id))
    session.flush()
    return team


def join(session: Session, person: Person, team: Team) -> Membership:
    """Makes a person a member of a team.

    Raises:
        BadInput: the person is in a team of the challenge already, or the team was merged into another.
    """
    session.refresh(team, with_for_update={"read": True})  # not while it is merged into another
    if team.merged_into_id is not None:
        raise BadInput.single("team", f"{shown(team.name)} was merged into another")
    _refuse_members(session, person, team.challenge)
    membership = Membership(team_id=team.id, person_id=person.id)
    session.add(membership)
    session.flush()
    return membership


def leave(session: Session, person: Person, challenge: Challenge) -> None:
    """Ends a person's membership. What was submitted stays the team's.

    Raises:
        BadInput: the person is in no team.
    """
    membership = membership_of(session, person, challenge)
    if membership is None:
        raise BadInput.single("team", "you are in no team of this challenge")
    membership.left = now()
    session.flush()


def alone(session: Session, person: Person, challenge: Challenge) -> Team:
    """The person's team; one of their own, called as they are, if there is none."""
    session.get_one(Person, person.id, with_for_update=True)  # two uploads at once make one team
    if team := team_of(session, person, challenge):
        return team
    names = session.scalars(select(Team.name).where(Team.challenge_id == challenge.id)).all()
    name, number = person.name, 1
    while name in names:
        number += 1
        name = f"{person.name[: LONGEST_NAME - 5]} {number}"
    return create_team(session, person, challenge, name)


def _refuse_members(session: Session, person: Person, challenge: Challenge) -> None:
    session.get_one(Person, person.id, with_for_update=True)  # nobody joins two teams at once
    if team := team_of(session, person, challenge):
        raise BadInput.single("team", f"you are in {shown(team.name)} already; leave it first")


def _faults_of_name(field: str, name: str) -> list[Problem]:
    if 1 <= len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip():
        return []
    expected = f"expected 1 to {LONGEST_NAME} printable characters without spaces around them"
    return [Problem(field, f"is {shown(name)}; {expected}")]


def _add(session: Session, row: Person | Team, taken: BadInput) -> None:
    """Adds a row with a unique name, which somebody else may take at the same time."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise taken from None
