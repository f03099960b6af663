"""Tokens: shown once, kept as a hash, refused when revoked or when the account is disabled."""

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from board_helpers import add_person
from sqlalchemy import select

from vipriors.board import tokens
from vipriors.board.core import Board, Forbidden, NotFound
from vipriors.board.models import ApiToken, Person
from vipriors.problems import BadInput

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def disable(board: Board, person: Person) -> None:
    with board.database.writing() as session, session.begin():
        session.get_one(Person, person.id).disabled = NOW


def test_a_token_is_its_persons(board: Board) -> None:
    ada, bob = add_person(board, "ada"), add_person(board, "bob")
    first, second, bobs = (tokens.make(board, each.id, "laptop") for each in (ada, ada, bob))
    assert re.fullmatch(r"vip_[\w-]{43}", first) and len({first, second, bobs}) == 3
    found = [tokens.person_of(board, token) for token in (first, second, bobs)]
    assert [each and each.name for each in found] == ["ada", "ada", "bob"]
    for wrong in (
        "",
        "vip_",
        first[:-1],
        first + "x",
        first.upper(),
        first[4:],
        " " + first,
        "vip_" + "é" * 43,
    ):
        assert tokens.person_of(board, wrong) is None


def test_the_database_holds_no_token(board: Board) -> None:
    token = tokens.make(board, add_person(board, "ada").id, "laptop")
    with board.database.reading() as session:
        row = session.scalars(select(ApiToken)).one()
        assert row.token_hash == hashlib.sha256(token.encode()).hexdigest()
        assert token not in repr(vars(row))


def test_a_revoked_token_is_refused_and_stays_so(board: Board) -> None:
    ada, bob = add_person(board, "ada"), add_person(board, "bob")
    token, other = tokens.make(board, ada.id, "laptop"), tokens.make(board, ada.id, "cluster")
    assert [each.name for each in tokens.of(board, ada.id)] == ["cluster", "laptop"]
    id_ = tokens.of(board, ada.id)[1].id
    with pytest.raises(NotFound):
        tokens.revoke(board, bob.id, id_)
    assert tokens.person_of(board, token) is not None
    tokens.revoke(board, ada.id, id_)
    assert tokens.person_of(board, token) is None
    assert tokens.person_of(board, other) is not None
    assert [each.name for each in tokens.of(board, ada.id)] == ["cluster"]
    with pytest.raises(NotFound):
        tokens.revoke(board, ada.id, id_)
    with pytest.raises(NotFound):
        tokens.revoke(board, ada.id, 99)


def test_a_disabled_account_has_no_use_of_its_tokens(board: Board) -> None:
    ada = add_person(board, "ada")
    token = tokens.make(board, ada.id, "laptop")
    disable(board, ada)
    assert tokens.person_of(board, token) is None
    with pytest.raises(Forbidden):
        tokens.make(board, ada.id, "another")
    with pytest.raises(Forbidden):
        tokens.make(board, 99, "nobody's")


def test_a_use_is_noted_once_a_minute(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = add_person(board, "ada")
    token = tokens.make(board, ada.id, "laptop")
    assert tokens.of(board, ada.id)[0].last_used is None
    noted = []
    for seconds in (0, 59, 60, 61, 119, 120):
        monkeypatch.setattr(tokens, "now", lambda seconds=seconds: NOW + timedelta(seconds=seconds))
        assert tokens.person_of(board, token) is not None
        used = tokens.of(board, ada.id)[0].last_used
        assert used is not None
        noted.append((used - NOW).seconds)
    assert noted == [0, 0, 60, 60, 60, 120]


@pytest.mark.parametrize("name", ["", " x", "x" * 61, "a\nb"])
def test_unfit_names(board: Board, name: str) -> None:
    with pytest.raises(BadInput, match=r"token name: is .*; expected 1 to 60 printable characters"):
        tokens.make(board, add_person(board, "ada").id, name)


def test_nobody_has_endless_tokens(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST", 2)
    ada = add_person(board, "ada")
    for _ in range(2):
        tokens.make(board, ada.id, "x")
    with pytest.raises(BadInput, match="token: there are 2 already; expected one to be revoked first"):
        tokens.make(board, ada.id, "x")
    tokens.revoke(board, ada.id, tokens.of(board, ada.id)[0].id)
    tokens.make(board, ada.id, "x")
