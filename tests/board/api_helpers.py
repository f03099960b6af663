"""What tests of the HTTP interface share: a client with a token, and a server that listens."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn
from board_helpers import add_person, free_port
from starlette.testclient import TestClient

from vipriors.board import tokens
from vipriors.board.core import Board
from vipriors.board.web.app import make_app

SUBMISSIONS = "/api/v1/challenges/tiny/submissions"


def client(board: Board, name: str | None = None, app: Any = None) -> TestClient:
    """A client that somebody's token signs in, whose account is made; nobody's without a name."""
    headers = {} if name is None else {"Authorization": f"Bearer {token_of(board, name)}"}
    return TestClient(app or make_app(board), headers=headers, raise_server_exceptions=False)


def token_of(board: Board, name: str) -> str:
    """A new token of somebody with a new account."""
    return tokens.make(board, add_person(board, name).id, "test")


def problems(response: Any, status: int) -> list[str]:
    """The problems that an answer lists, after a look at its status and shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    found = response.json()
    assert list(found) == ["problems"]
    assert all(list(problem) == ["place", "message"] for problem in found["problems"])
    return [f"{problem['place']}: {problem['message']}" for problem in found["problems"]]


@contextlib.contextmanager
def serving(board: Board, worker: bool = False) -> Iterator[str]:
    """A server of the board on a thread; its address."""
    port = free_port()
    config = uvicorn.Config(make_app(board, worker=worker), port=port, log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < end and thread.is_alive()
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


def talk(url: str, data: bytes, end: bool = False) -> bytes:
    """What a server answers to bytes, until it closes the connection.

    Args:
        url: of the server.
        data: sent as they are.
        end: whether the connection is closed for writing after them.
    """
    place = httpx.URL(url)
    with socket.create_connection((place.host, place.port or 80), timeout=60) as connection:
        connection.sendall(data)
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


def request_head(token: str, *headers: str, path: str = SUBMISSIONS) -> bytes:
    """The head of a request that sends a file."""
    lines = [f"POST {path} HTTP/1.1", "Host: board", f"Authorization: Bearer {token}", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def answered(answer: bytes) -> tuple[int, Any]:
    """Status and JSON of one raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)
