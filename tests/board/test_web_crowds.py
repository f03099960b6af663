"""Many who send at the same time, and slowly: nobody else waits for them, and nothing is lost."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import anyio
import httpx
import pytest
from api_helpers import SUBMISSIONS, client, problems, request_head, serving, token_of
from board_helpers import add_person, make_board, wait_for
from sqlalchemy import func, select
from web_helpers import KIND, enter, form, upload, words

from vipriors.board import signing, submitting
from vipriors.board.core import AtOnce, Board, TooMany
from vipriors.board.models import Person, Submission
from vipriors.board.web import uploads
from vipriors.board.web.security import Cookies

THREADS = 40
"""That pages have in all; Starlette's number."""


@pytest.fixture(autouse=True)
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not checked, which takes a process each."""
    monkeypatch.setattr(submitting, "_check", lambda *_: [])


def person_of(board: Board, name: str) -> Person:
    with board.database.reading() as session:
        return session.scalars(select(Person).where(Person.name == name)).one()


def slow_requests(board: Board, number: int) -> Iterator[bytes]:
    """Uploads of many people, to the page and to the interface in turn, as many of each as one may send."""
    people = 0
    while number > 0:
        people += 1
        name = f"p{people}"
        token = token_of(board, name)
        session = signing.start(board, person_of(board, name).id)
        body = form(Cookies(board).form_token(session)) + f"{name} by form\r\n--b--\r\n".encode()
        page = "POST /c/tiny/submit HTTP/1.1\r\nHost: board\r\nConnection: close\r\n"
        page += f"Cookie: session={session}\r\nContent-Type: {KIND}\r\nContent-Length: {len(body)}\r\n\r\n"
        for turn in range(board.under_way.most // 2):
            raw = f"{name} {turn}".encode()
            yield request_head(token, f"Content-Length: {len(raw)}") + raw
            yield page.encode() + body
            number -= 2


@contextmanager
def begun(url: str, requests: list[bytes]) -> Iterator[list[socket.socket]]:
    """Connections on which all but the last byte of each request is sent."""
    place = httpx.URL(url)
    with ExitStack() as stack:
        opened = []
        for request in requests:
            connection = socket.create_connection((place.host, place.port or 80), timeout=60)
            opened.append(stack.enter_context(connection))
            connection.sendall(request[:-1])
        yield opened


def status_of(connection: socket.socket) -> int:
    """Of what is answered on a connection."""
    return int(connection.recv(2**16).split()[1])


def under_way(board: Board) -> int:
    return sum(board.under_way._under_way.values())


def test_slow_senders_hold_no_thread(board: Board) -> None:
    """More than there are threads for pages and for uploads together; others are answered as ever."""
    requests = list(slow_requests(board, THREADS + uploads.WORKED_ON + 16))
    token, ada = token_of(board, "Ada"), enter(board, "Eve")
    with serving(board) as url, begun(url, requests) as connections:
        wait_for(lambda: under_way(board) == len(requests))
        threads = [thread for thread in threading.enumerate() if "AnyIO" in thread.name]
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.post(url + SUBMISSIONS, content=b"quick", headers=headers, timeout=20).status_code == 201
        assert httpx.get(f"{url}/c/tiny", timeout=20).status_code == 200
        assert upload(ada, b"of a page").status_code == 303
        assert len(threads) <= THREADS + uploads.WORKED_ON
        for connection, request in zip(connections, requests, strict=True):
            connection.sendall(request[-1:])
        statuses = [status_of(connection) for connection in connections]
    # The file of a form is the same each time: the second of a person was sent before.
    assert statuses == [201, 303] * (len(requests) // 2)
    with board.database.reading() as session:
        made = session.scalar(select(func.count()).select_from(Submission))
    assert made == 2 + len(requests) // 4 * 3 and under_way(board) == 0


def test_one_person_sends_few_at_a_time(board: Board) -> None:
    token, bob = token_of(board, "Ada"), client(board, "Bob")
    headers = {"Authorization": f"Bearer {token}"}
    requests = [
        request_head(token, f"Content-Length: {len(body)}") + body for body in (b"1", b"22", b"333", b"4444")
    ]
    told = "4 uploads are under way, the most at a time; wait until one has ended"
    with serving(board) as url, begun(url, requests) as connections:
        wait_for(lambda: under_way(board) == 4)
        answer = httpx.post(url + SUBMISSIONS, content=b"5", headers=headers)
        assert problems(answer, 429) == [f"account: {told}"] and answer.headers["retry-after"] == "5"
        session = signing.start(board, person_of(board, "Ada").id)
        body = form(Cookies(board).form_token(session)) + b"x\r\n--b--\r\n"
        cookie = {"Cookie": f"session={session}", "Content-Type": KIND}
        page = httpx.post(f"{url}/c/tiny/submit", content=body, headers=cookie)
        assert page.status_code == 429 and told in words(page) and page.headers["retry-after"] == "5"
        assert bob.post(SUBMISSIONS, content=b"5").status_code == 201
        connections[0].sendall(requests[0][-1:])
        assert status_of(connections[0]) == 201
        wait_for(lambda: under_way(board) == 3)
        assert httpx.post(url + SUBMISSIONS, content=b"5", headers=headers).status_code == 201
        connections[1].close()  # who is gone counts no more
        wait_for(lambda: under_way(board) == 2)


def test_at_once() -> None:
    limit = AtOnce(2, "things")
    with limit.one_more("a"), limit.one_more("b"):
        with (
            limit.one_more("a"),
            pytest.raises(TooMany, match="2 things are under way, the most at a time; wait"),
        ):
            limit.one_more("a").__enter__()
        with pytest.raises(ZeroDivisionError), limit.one_more("a"):
            raise ZeroDivisionError
        with limit.one_more("a"):
            pass
    assert not limit._under_way  # nobody is remembered for good


def test_who_sent_too_many_is_refused_before_the_file(tmp_path) -> None:
    board = make_board(tmp_path, uploads_a_minute=1)
    ada = add_person(board, "Ada")
    board.uploads.take(ada.id)

    async def nothing() -> None:
        async with uploads.receiving(None, board, ada.id, uploads.RawReader(9, "x")):  # type: ignore[arg-type]
            raise AssertionError

    with pytest.raises(TooMany, match="too many uploads in a minute"):
        anyio.run(nothing)
    assert under_way(board) == 0
