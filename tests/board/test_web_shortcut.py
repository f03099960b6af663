"""Strangers are answered with what is kept, before anything else is done; nobody else is."""

import threading

import pytest
from api_helpers import client, token_of
from board_helpers import add_person
from fastapi import Response
from sqlalchemy import text

from vipriors.board import service
from vipriors.board.core import Board
from vipriors.board.web import caching
from vipriors.board.web.caching import PageCache

PATH = "/api/v1/challenges/tiny/leaderboard"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever a leaderboard is made."""
    found: list[int] = []
    make = service.leaderboard

    def counted(*given: object) -> object:
        found.append(1)
        return make(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(service, "leaderboard", counted)
    return found


def test_a_leaderboard_is_made_once_for_all_strangers(board: Board, made: list[int]) -> None:
    nobody = client(board)
    first = nobody.get(PATH)
    for _ in range(3):
        again = nobody.get(PATH)
        assert (again.content, again.headers) == (first.content, first.headers)
    assert again.headers["x-content-type-options"] == "nosniff"
    assert again.headers["content-security-policy"].startswith("default-src 'self'")
    assert len(made) == 1
    same = nobody.get(PATH, headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, len(made)) == (304, 1)
    assert nobody.get(f"{PATH}?phase=main").json() == first.json()
    assert len(made) == 2
    add_person(board, "bob")
    assert nobody.get(PATH).content == first.content
    assert len(made) == 3


def test_who_has_a_token_is_answered_for_themselves(board: Board, made: list[int]) -> None:
    nobody = client(board)
    nobody.get(PATH)
    ada = {"Authorization": f"Bearer {token_of(board, 'ada')}"}
    for _ in range(2):
        assert nobody.get(PATH, headers=ada).headers["cache-control"] == "private, no-cache"
    assert nobody.get(PATH, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert len(made) == 3
    assert nobody.get(PATH).headers["cache-control"] == "public, max-age=10"


def test_faults_are_not_kept(board: Board) -> None:
    nobody = client(board)
    for _ in range(2):
        assert nobody.get(f"{PATH}?phase=x").status_code == 404
    assert nobody.post(PATH).status_code == 405


def test_while_a_page_is_made_others_get_the_one_that_held_a_moment_ago(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PageCache(board.database)
    assert cache.get("/", lambda: Response("old")).body == b"old"
    add_person(board, "ada")
    assert cache.peek("/") is None  # nobody makes it yet
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> Response:
        begun.set()
        assert go_on.wait(60)
        return Response("new")

    thread = threading.Thread(target=cache.get, args=("/", slowly))
    thread.start()
    assert begun.wait(60)
    monkeypatch.setattr(caching, "STALE_SECONDS", 1000)
    assert cache.get("/", lambda: Response("never")).body == b"old"
    seen = cache.peek("/")
    assert seen is not None and seen.body == b"old"
    monkeypatch.setattr(caching, "STALE_SECONDS", 0)
    assert cache.peek("/") is None  # it held too long ago; `get` would wait
    go_on.set()
    thread.join(60)
    seen = cache.peek("/")
    assert seen is not None and seen.body == b"new"


def test_the_scores_are_read_from_the_index_alone(board: Board) -> None:
    """Rows of scores are large, with their records."""
    statements: list[tuple[str, object]] = []
    from sqlalchemy import event

    event.listen(
        board.database.engine, "before_cursor_execute", lambda *given: statements.append((given[2], given[3]))
    )
    with board.database.reading() as session:
        from vipriors.board.models import Phase

        service.leaderboard(session, session.get_one(Phase, 1))
    (found,) = [pair for pair in statements if "score.low" in pair[0]]
    with board.database.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {found[0]}", found[1]).all()
        assert connection.scalar(text("SELECT count(*) FROM score")) == 0
    assert any("COVERING INDEX score_to_rank" in str(row) for row in plan), plan
