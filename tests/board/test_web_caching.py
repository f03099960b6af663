"""Pages that are kept until something changes, and for a moment more where many ask."""

from dataclasses import dataclass

import pytest
from api_helpers import client, token_of
from board_helpers import add_person, make_board, queue
from fastapi import Response
from sqlalchemy import text, update
from web_helpers import Browser, enter, entry

from vipriors.board.core import Board, open_board
from vipriors.board.models import Challenge
from vipriors.board.web import caching
from vipriors.board.web.caching import Changes, PageCache
from vipriors.board.web.pages import home


def test_changes_are_seen_and_nothing_else(any_board: Board) -> None:
    changes, other = Changes(any_board.database), open_board(any_board.settings)
    before = changes.mark()
    assert changes.mark() == before
    with any_board.database.reading() as session:
        session.execute(text("SELECT * FROM challenge")).all()
    assert changes.mark() == before
    add_person(any_board, "Ada")
    after = changes.mark()
    assert after != before and changes.mark() == after
    add_person(other, "Bob")
    assert changes.mark() != after


def test_a_page_is_made_once_and_anew_after_a_change(board: Board, monkeypatch) -> None:
    made = []
    cache = PageCache(board.database)

    def make() -> Response:
        made.append(1)
        return Response(f"page {len(made)}", headers={"x-kept": "yes"})

    answers = [cache.get("/", make) for _ in range(3)]
    assert [answer.body for answer in answers] == [b"page 1"] * 3 and answers[2].headers["x-kept"] == "yes"
    assert cache.get("/other", make).body == b"page 2"
    add_person(board, "Ada")
    assert cache.get("/", make).body == b"page 3"
    monkeypatch.setattr(caching.time, "monotonic", lambda: 10.0**9)
    assert cache.get("/", make).body == b"page 4"


def test_a_change_while_a_page_is_made_is_not_missed(board: Board) -> None:
    cache = PageCache(board.database)

    def make() -> Response:
        add_person(board, "Ada")
        return Response("old")

    cache.get("/", make)
    assert cache.get("/", lambda: Response("new")).body == b"new"


def test_faults_and_cookies_are_not_kept(board: Board) -> None:
    cache = PageCache(board.database)
    cookie = Response("cookie")
    cookie.set_cookie("x", "y")
    for made in (Response("fault", 404), cookie):
        assert cache.get("/", lambda made=made: made) is made
    assert cache.get("/", lambda: Response("right")).body == b"right"


def test_few_are_kept(board: Board) -> None:
    cache = PageCache(board.database)
    for number in range(3 * caching.MOST):
        cache.get(number, lambda: Response("x"))
    assert len(cache._kept) == caching.MOST


def test_strangers_share_and_others_do_not(board: Board, monkeypatch) -> None:
    entry(board, "Ada", 0.5)
    browser, eve = Browser(board), enter(board, "Eve")
    eve.client.app.state.pages = browser.client.app.state.pages
    assert ">Eve<" in eve.get("/").text
    assert ">Eve<" not in browser.get("/").text and "50.00" in browser.get("/").text
    assert ">Eve<" in eve.get("/").text
    assert ">Eve<" not in browser.get("/c/tiny/leaderboard").text
    monkeypatch.setattr(home, "phase_at", None)  # nobody makes the page again
    assert browser.get("/").status_code == 200 and eve.get("/").status_code == 500


def test_the_leaderboard_shows_a_score_at_once(board: Board) -> None:
    browser = Browser(board)
    for number in range(3):
        assert f"Team{number}" not in browser.get("/c/tiny/leaderboard").text
        entry(board, f"Team{number}", 0.5, number)
        assert f"Team{number}" in browser.get("/c/tiny/leaderboard").text


def test_hidden_parts_of_the_address_do_not_mix(tmp_path) -> None:
    board = make_board(tmp_path)
    ada = entry(board, "Ada", 0.5)
    queue(board, ada.person, 3, 1)
    browser = Browser(board)
    first = browser.get("/c/tiny/leaderboard?sort=team").text
    assert 'aria-sort="ascending"><a href="/c/tiny/leaderboard?phase=main&amp;sort=-team"' in first
    assert browser.get("/c/tiny/leaderboard?sort=rank").text != first


@dataclass
class Clock:
    """What pages are told of time."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time stands still, and pages rest as on a board that is served."""
    made = Clock()
    monkeypatch.setattr(caching, "time", made)
    monkeypatch.setattr(caching, "RESTS_SECONDS", 1.0)
    return made


def test_while_all_changes_all_the_time_a_page_is_made_once_a_second(board: Board, clock: Clock) -> None:
    cache, made = PageCache(board.database), []

    def make() -> Response:
        made.append(clock.now)
        return Response(f"{clock.now}")

    for step in range(81):
        clock.now = 1000 + step / 16
        if step % 2:
            add_person(board, f"p{step}")
        peeked, got = cache.peek("/"), cache.get("/", make)
        assert clock.now - float(got.body) <= 1.0
        assert peeked is None or clock.now - float(peeked.body) <= 1.0
    assert made == [1000, 1001, 1002, 1003, 1004, 1005]


def test_a_page_that_was_right_for_long_rests_from_then_on(board: Board, clock: Clock) -> None:
    cache = PageCache(board.database)
    cache.get("/", lambda: Response("old"))
    clock.now += 3
    assert cache.get("/", lambda: Response("never")).body == b"old"  # as nothing has changed
    add_person(board, "Ada")
    clock.now += 0.9
    assert cache.get("/", lambda: Response("never")).body == b"old"
    clock.now += 0.2
    assert cache.get("/", lambda: Response("new")).body == b"new"


def test_a_score_shows_within_two_seconds(board: Board, clock: Clock) -> None:
    stranger, eve = Browser(board), enter(board, "Eve")
    api = client(board, app=stranger.client.app)
    eve.client.app.state.pages = stranger.client.app.state.pages
    token = {"Authorization": f"Bearer {token_of(board, 'bob')}"}
    page, json = "/c/tiny/leaderboard", "/api/v1/challenges/tiny/leaderboard"
    assert "Zoe" not in stranger.get(page).text + api.get(json).text
    entry(board, "Zoe", 0.5)
    assert "Zoe" in eve.get(page).text  # who is signed in sees it at once
    assert "Zoe" in api.get(json, headers=token).text
    clock.now += 1.0
    assert "Zoe" in stranger.get(page).text and "Zoe" in api.get(json).text


def test_nothing_of_others_is_kept_while_pages_rest(board: Board, clock: Clock) -> None:
    """What organizers see goes to no stranger, nor the other way round, and what was hidden does not stay."""
    entry(board, "Zoe", 0.5)
    stranger, root = Browser(board), enter(board, "Root", admin=True)
    root.client.app.state.pages = stranger.client.app.state.pages
    page = "/c/tiny/leaderboard?part=private"
    for _ in range(2):
        seen = root.get(page).text
        assert ">Root<" in seen and "over the private part" in seen
        shown = stranger.get(page).text
        assert ">Root<" not in shown and "over the public part" in shown and "private" not in shown
    with board.database.writing() as session, session.begin():
        session.execute(update(Challenge).values(hidden=True))
    clock.now += 1.0
    for _ in range(2):
        assert root.get(page).status_code == 200
        assert stranger.get(page).status_code == 404
        assert stranger.client.app.state.pages.peek(("/c/tiny/leaderboard", b"part=private")) is None
