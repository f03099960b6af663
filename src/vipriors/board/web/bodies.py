"""Takes the body of a request as it comes. No thread waits for it, and who sends too slowly is let go."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.requests import ClientDisconnect, Request

from vipriors.problems import BadInput, Problem

IDLE_SECONDS = 30.0
"""The longest time in which nothing comes."""

LEAST_RATE, RATE_AFTER = 2**10, 60.0
"""Bytes a second that must come on average, once this many seconds are over."""

DRAIN_BYTES, DRAIN_SECONDS = 2**23, 5.0
"""Of a body that is refused: read and thrown away, as most senders read an answer when they have sent all."""


class TooSlow(BadInput):
    """What is sent comes too slowly."""


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body of a request, piece by piece as the network brings it.

    Raises:
        TooSlow: nothing came for too long, or too little in all.
        BadInput: the sender is gone, or less came than was said.
    """
    stream, began, received = request.stream(), time.monotonic(), 0
    while True:
        try:
            with anyio.fail_after(IDLE_SECONDS):
                piece = await anext(stream, b"")
        except TimeoutError:
            raise _too_slow(f"nothing came for {IDLE_SECONDS:.0f} s") from None
        except ClientDisconnect:
            raise _half(received, declared_size(request)) from None
        if not piece:
            break
        received += len(piece)
        seconds = time.monotonic() - began
        if seconds > RATE_AFTER and received < LEAST_RATE * seconds:
            raise _too_slow(f"{received:,} bytes in {seconds:.0f} s are too slow")
        yield piece
    if (declared_size(request) or 0) > received:
        raise _half(received, declared_size(request))


@asynccontextmanager
async def heard(request: Request) -> AsyncIterator[None]:
    """Within it a request may be refused before all of its body has come, and its sender hears why."""
    slow = False
    try:
        yield
    except TooSlow:
        slow = True  # would go on for long
        raise
    finally:
        if not slow:
            await drain(request)


async def drain(request: Request) -> None:
    """Reads what is left of a body, up to a limit, and throws it away."""
    left = DRAIN_BYTES
    try:
        with anyio.move_on_after(DRAIN_SECONDS):
            async for piece in request.stream():
                left -= len(piece)
                if left <= 0:
                    return
    except (ClientDisconnect, RuntimeError):
        return  # gone, or read already


def declared_size(request: Request) -> int | None:
    """Bytes that the sender says there will be."""
    said = request.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdecimal() else None


def _too_slow(message: str) -> TooSlow:
    return TooSlow([Problem("upload", f"{message}; send it again")])


def _half(received: int, declared: int | None) -> BadInput:
    expected = "" if declared is None else f" of {declared:,}"
    return BadInput.single("upload", f"{received:,}{expected} bytes arrived; send it again")
