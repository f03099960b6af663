"""Who may do what on a board: organizers of challenges, administrators, and who is kept out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board.acting import challenge_to_run, may_administer, note
from vipriors.board.core import Board, NotFound
from vipriors.board.models import Challenge, Organizer, Person, now
from vipriors.problems import BadInput


def make_organizer(board: Board, challenge_name: str, person_name: str, *, by: int | None = None) -> None:
    """Lets a person run a challenge.

    Raises:
        NotFound: there is no such challenge or person.
        Forbidden: who does it does not run the challenge.
    """
    with board.database.writing() as session, session.begin():
        challenge, person = _challenge_and_person(session, challenge_name, person_name, by)
        if session.get(Organizer, (challenge.id, person.id)) is None:
            session.add(Organizer(challenge_id=challenge.id, person_id=person.id))
            note(session, by, challenge, "make organizer", person.name)


def remove_organizer(board: Board, challenge_name: str, person_name: str, *, by: int | None = None) -> None:
    """Lets a person run a challenge no more; that they did stays in the log. Raises as `make_organizer`."""
    with board.database.writing() as session, session.begin():
        challenge, person = _challenge_and_person(session, challenge_name, person_name, by)
        if (row := session.get(Organizer, (challenge.id, person.id))) is not None:
            session.delete(row)
            note(session, by, challenge, "remove organizer", person.name)


def disable(board: Board, person_name: str, *, reason: str = "", by: int | None = None) -> None:
    """Keeps a person out: no sign-in, no token, no upload. Their entries stay.

    Raises:
        NotFound: there is no such person.
        Forbidden: who does it is no administrator.
        BadInput: it is oneself.
    """
    _change_person(board, person_name, "disable person", by, reason, disabled=now())


def enable(board: Board, person_name: str, *, reason: str = "", by: int | None = None) -> None:
    """Lets a person in again; raises as `disable`."""
    _change_person(board, person_name, "enable person", by, reason, disabled=None)


def make_admin(board: Board, person_name: str, *, by: int | None = None) -> None:
    """Lets a person do everything; raises as `disable`."""
    _change_person(board, person_name, "make admin", by, "", admin=True)


def remove_admin(board: Board, person_name: str, *, by: int | None = None) -> None:
    """Lets a person do no more than others; raises as `disable`."""
    _change_person(board, person_name, "remove admin", by, "", admin=False)


def _change_person(
    board: Board, person_name: str, action: str, by: int | None, reason: str, **after: Any
) -> None:
    with board.database.writing() as session, session.begin():
        may_administer(session, by)
        person = _person(session, person_name)
        if person.id == by:
            raise BadInput.single("person", "is yourself; expected another administrator to do this")
        before = {name: getattr(person, name) for name in after}
        for name, value in after.items():
            setattr(person, name, value)
        note(session, by, None, action, person.name, before=before, after=after, reason=reason)


def _person(session: Session, name: str) -> Person:
    person = session.scalar(select(Person).where(Person.name == name))
    if person is None:
        raise NotFound(f"person {name!r}")
    return person


def _challenge_and_person(
    session: Session, challenge: str, person: str, by: int | None
) -> tuple[Challenge, Person]:
    return challenge_to_run(session, by, challenge), _person(session, person)
