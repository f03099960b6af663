"""Who calls the HTTP interface, and what all its routes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.security import HTTPBearer
from sqlalchemy.orm import Session

from vipriors.board import tokens
from vipriors.board.core import Board
from vipriors.board.models import Person
from vipriors.board.viewing import Viewer, viewer_of
from vipriors.board.web.api_errors import NoToken

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, Path(max_length=60, pattern=_PRINTABLE, description="Of the challenge.")]
Id = Annotated[str, Path(max_length=60, pattern=_PRINTABLE, description="Of the submission.")]

RAW_BODY = {"schema": {"type": "string", "format": "binary"}}

NEVER_KEPT = {"Cache-Control": "no-store"}

_bearer = HTTPBearer(auto_error=False, description="A token that the account's page made.")


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    board: Board
    person: Person | None

    @property
    def viewer(self) -> Viewer:
        """What decides on what the caller may see."""
        return viewer_of(self.person)

    @property
    def signed_in(self) -> Person:
        """The person.

        Raises:
            NoToken: there is none.
        """
        if self.person is None:
            raise NoToken
        return self.person

    def reading(self) -> Session:
        """A session of the database that changes nothing."""
        return self.board.database.reading()


def caller_of(request: Request) -> Caller:
    """Whoever's token came with a request; nobody if none did.

    Raises:
        NoToken: the token is not valid.
    """
    board: Board = request.app.state.board
    given = request.headers.get("authorization")
    if given is None:
        return Caller(board, None)
    kind, _, token = given.partition(" ")
    person = tokens.person_of(board, token.strip()) if kind.lower() == "bearer" else None
    if person is None:
        raise NoToken
    return Caller(board, person)


def member_of(call: Annotated[Caller, Depends(caller_of)], _: Annotated[object, Depends(_bearer)]) -> Caller:
    """A caller with a token.

    Raises:
        NoToken: there is none, or it is not valid.
    """
    if call.person is None:
        raise NoToken
    return call


Anybody = Annotated[Caller, Depends(caller_of)]
Member = Annotated[Caller, Depends(member_of)]
