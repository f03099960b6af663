"""Tokens that programs sign in with. Only a hash of each is kept, so it is shown once and never again."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta

from sqlalchemy import func, or_, select, update

from vipriors.board.core import Board, Forbidden, NotFound
from vipriors.board.models import ApiToken, Person, now
from vipriors.board.people import LONGEST_NAME
from vipriors.problems import BadInput
from vipriors.tasks.findings import shown

PREFIX = "vip_"
"""Lets people and secret scanners tell what a leaked token is of."""

MOST = 50
"""Tokens of one person that are not revoked."""

USE_NOTED_EVERY = timedelta(minutes=1)

_TOKEN = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}")


def make(board: Board, person_id: int, name: str) -> str:
    """Makes a token of 256 random bits.

    Args:
        board: the board.
        person_id: whose.
        name: what the person calls it.

    Raises:
        BadInput: the name is unfit, or the person has too many.
        Forbidden: the account is disabled.
    """
    if not (1 <= len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()):
        expected = f"expected 1 to {LONGEST_NAME} printable characters without spaces around them"
        raise BadInput.single("token name", f"is {shown(name)}; {expected}")
    token = PREFIX + secrets.token_urlsafe(32)
    with board.database.writing() as session, session.begin():
        person = session.get(Person, person_id, with_for_update=True)
        if person is None or person.disabled is not None:
            raise Forbidden("this account can make no tokens")
        valid = select(func.count()).where(ApiToken.person_id == person_id, ApiToken.revoked.is_(None))
        if (session.scalar(valid) or 0) >= MOST:
            raise BadInput.single("token", f"there are {MOST} already; expected one to be revoked first")
        session.add(ApiToken(person_id=person_id, name=name, token_hash=_hash(token)))
    return token


def person_of(board: Board, token: str) -> Person | None:
    """Whose token it is; None if it is nobody's, is revoked, or the account is disabled."""
    if not _TOKEN.fullmatch(token):
        return None
    moment = now()
    with board.database.reading() as session:
        found = session.scalar(select(ApiToken).where(ApiToken.token_hash == _hash(token)))
        if found is None or found.revoked is not None or found.person.disabled is not None:
            return None
    noted = moment - USE_NOTED_EVERY
    if found.last_used is None or found.last_used <= noted:
        with board.database.writing() as session, session.begin():
            old = or_(ApiToken.last_used.is_(None), ApiToken.last_used <= noted)
            session.execute(update(ApiToken).where(ApiToken.id == found.id, old).values(last_used=moment))
    return found.person


def revoke(board: Board, person_id: int, token_id: int) -> None:
    """Makes one of a person's tokens worthless for ever.

    Raises:
        NotFound: the person has no such token, or it was revoked before.
    """
    with board.database.writing() as session, session.begin():
        found = session.get(ApiToken, token_id)
        if found is None or found.person_id != person_id or found.revoked is not None:
            raise NotFound(f"token {token_id}")
        found.revoked = now()


def of(board: Board, person_id: int) -> list[ApiToken]:
    """A person's tokens that are not revoked, the newest first."""
    valid = select(ApiToken).where(ApiToken.person_id == person_id, ApiToken.revoked.is_(None))
    with board.database.reading() as session:
        return list(session.scalars(valid.order_by(ApiToken.id.desc())))


def _hash(token: str) -> str:
    # Fast and without salt: nobody can try 256 random bits one by one.
    return hashlib.sha256(token.encode()).hexdigest()
