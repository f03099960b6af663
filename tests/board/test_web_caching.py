"""Pages that are kept until something changes."""

from board_helpers import add_person, make_board, queue
from fastapi import Response
from sqlalchemy import text
from web_helpers import Browser, enter, entry

from vipriors.board.core import Board, open_board
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
