"""Signing in with a browser: passwords, the tokens that browsers keep, and their end.

A browser keeps a random token in a cookie; the board keeps only its hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import unicodedata
from datetime import timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from vipriors.board.core import Board, Forbidden
from vipriors.board.models import Person, SignIn, now
from vipriors.board.people import PASSWORD_LENGTHS, sign_up
from vipriors.problems import BadInput, Problem

LASTS = timedelta(days=30)
"""How long a browser stays signed in."""

_HASHING = threading.BoundedSemaphore(4)  # one takes 64 MiB of memory
_WRONG = "name or password is wrong"


def sign_in(board: Board, name: str, password: str) -> str:
    """Signs a browser in and returns its token.

    An unknown name takes as long as a wrong password and is answered alike.

    Args:
        board: the board.
        name: of the account, or its email address.
        password: the password.

    Raises:
        BadInput: name or password is wrong, or the account is disabled.
    """
    name = unicodedata.normalize("NFC", name.strip())
    with board.database.reading() as session:
        known = or_(Person.name == name, Person.email == name.lower())
        person = session.scalars(select(Person).where(known).order_by(Person.name != name)).first()
    right = _is_password(person.password_hash if person else _hash_of_nobody(), password)
    if person is None or not right or person.disabled is not None:
        raise BadInput.single("sign in", _WRONG)
    return start(board, person.id)


def start(board: Board, person_id: int) -> str:
    """Signs a browser in as somebody who has just shown who they are, and returns its token."""
    with board.database.writing() as session, session.begin():
        return _new_token(session, person_id)


def signed_in(session: Session, token: str) -> SignIn | None:
    """The sign-in that a browser's token stands for, with its person; None if it is over."""
    found = session.get(SignIn, hash_of(token))
    if found is None or found.expires <= now() or found.person.disabled is not None:
        return None
    return found


def sign_out(board: Board, token: str) -> None:
    """Ends a sign-in."""
    with board.database.writing() as session, session.begin():
        _end(session, SignIn.token_hash == hash_of(token))


def sign_out_others(board: Board, token: str) -> None:
    """Ends all sign-ins of a person but the one of this token."""
    with board.database.writing() as session, session.begin():
        found = session.get_one(SignIn, hash_of(token))
        _end(session, SignIn.person_id == found.person_id, SignIn.token_hash != found.token_hash)


def current(session: Session, person_id: int) -> list[SignIn]:
    """Sign-ins of a person that last, the newest first."""
    still = (SignIn.person_id == person_id, SignIn.expires > now())
    return list(session.scalars(select(SignIn).where(*still).order_by(SignIn.created.desc())))


def change_password(board: Board, person_id: int, old: str, new: str) -> str:
    """Changes a password, ends all sign-ins, and returns the token of a new one.

    Raises:
        BadInput: the old password is wrong, or the new one unfit; lists both.
    """
    with board.database.reading() as session:
        person = session.get_one(Person, person_id)
    problems = []
    if not _is_password(person.password_hash, old):
        problems.append(Problem("old password", "is wrong"))
    fewest, most = PASSWORD_LENGTHS
    if not fewest <= len(new) <= most:
        problems.append(Problem("new password", f"has {len(new)} characters; expected {fewest} to {most}"))
    if problems:
        raise BadInput(problems)
    with _HASHING:
        password_hash = PasswordHasher().hash(new)
    with board.database.writing() as session, session.begin():
        session.get_one(Person, person_id).password_hash = password_hash
        _end(session, SignIn.person_id == person_id)
        return _new_token(session, person_id)


def first_admin_token(board: Board) -> str | None:
    """What lets somebody sign up as the first administrator; None once there is one."""
    with board.database.reading() as session:
        if session.scalars(select(Person.id).where(Person.admin)).first() is not None:
            return None
    return hmac.digest(board.settings.secret, b"first administrator", hashlib.sha256).hex()


def sign_up_admin(board: Board, token: str, name: str, email: str, password: str) -> Person:
    """Makes the account of the first administrator.

    Raises:
        Forbidden: the token is wrong, or there is an administrator already.
        BadInput: as `sign_up`.
    """
    expected = first_admin_token(board)
    if expected is None or not hmac.compare_digest(token.encode(), expected.encode()):
        raise Forbidden("this link was used already, or never was one")
    return sign_up(board, name, email, password, admin=True)


def hash_of(token: str) -> str:
    """What the board keeps of a token: enough to know it again, not enough to use it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _new_token(session: Session, person_id: int) -> str:
    token = secrets.token_urlsafe(32)
    session.add(SignIn(token_hash=hash_of(token), person_id=person_id, expires=now() + LASTS))
    return token


def _end(session: Session, *which: object) -> None:
    session.execute(update(SignIn).where(SignIn.expires > now(), *which).values(expires=now()))  # type: ignore[arg-type]


def _is_password(password_hash: str, password: str) -> bool:
    if len(password) > PASSWORD_LENGTHS[1]:
        password = ""  # nobody's; and hashing megabytes is what an attacker would want
    with _HASHING:
        try:
            return PasswordHasher().verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


@cache
def _hash_of_nobody() -> str:
    return PasswordHasher().hash(secrets.token_urlsafe(32))
