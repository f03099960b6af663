"""Runs the application in this process, until it is told to end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys

import uvicorn

from vipriors.board.core import Board
from vipriors.board.settings import PREFIX
from vipriors.board.web.app import make_app
from vipriors.problems import BadInput

SWITCHES_EVERY = 0.001
"""Seconds after which a thread that computes lets another go on. Answers from memory wait so long, some of
them twice, for each that is before them while a leaderboard is made: with Python's own 5 ms they would wait
for a quarter of a second when 32 ask at once."""

ENDING = 10
"""Seconds that requests under way are given when the server ends."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        BadInput: the address is no address of this machine, or is taken.
    """
    place = f"address {host}:{port}"
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        cause = getattr(error, "strerror", None) or error
        message = f"cannot be listened at: {cause}; try another port or host"
        raise BadInput.single(place, message) from None


def address_of(listening: socket.socket) -> str:
    """As a browser on this machine reaches it."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def base_url(address: str) -> str | None:
    """The board's own address, where nothing else says what people reach it by."""
    return None if f"{PREFIX}BASE_URL" in os.environ else address


def serve(board: Board, listening: socket.socket, *, worker: bool = True) -> None:
    """Serves a board until Ctrl-C or SIGTERM; what is being scored then goes back to the queue.

    Args:
        board: the board.
        listening: the socket.
        worker: whether this process scores, too.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    sys.setswitchinterval(SWITCHES_EVERY)
    config = uvicorn.Config(
        make_app(board, worker=worker and board.settings.workers > 0),
        log_config=None,
        access_log=False,  # addresses may hold tokens
        server_header=False,
        timeout_graceful_shutdown=ENDING,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
