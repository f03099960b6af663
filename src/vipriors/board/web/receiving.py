"""Takes the body of a request as it comes, in a thread that reads it like a file: never all of it in memory.

A raw body is read as it is. Of a form (multipart/form-data) the small fields come first, and then one file.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from vipriors.problems import BadInput, Problem

IDLE_SECONDS = 30.0
"""The longest time in which nothing comes."""

LEAST_RATE, RATE_AFTER = 2**10, 60.0
"""Bytes a second that must come on average, once this many seconds are over."""

MOST_IN_FIELDS = 2**18
"""Bytes of all fields of a form without the file."""

DRAIN_BYTES, DRAIN_SECONDS = 2**23, 5.0
"""Of a body that is refused: read and thrown away, as most senders read an answer when they have sent all."""


class TooSlow(BadInput):
    """What is sent comes too slowly."""


class Body(io.RawIOBase):
    """The body of a request, to be read in a thread that `anyio.to_thread` has started.

    Args:
        request: its headers are read, its body is not yet.
    """

    def __init__(self, request: Request):
        self._pieces = request.stream().__aiter__()
        self._left = b""
        self._began = time.monotonic()
        self.received = 0
        self.declared = declared_size(request)

    def readable(self) -> bool:
        """It can be read, once."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """What has come, at most `size` bytes; nothing at the end.

        Raises:
            TooSlow: nothing came for too long, or too little in all.
            BadInput: the sender is gone.
        """
        if not self._left:
            self._left = anyio.from_thread.run(self.next_piece)
        size = len(self._left) if size is None or size < 0 else size
        piece, self._left = self._left[:size], self._left[size:]
        return piece

    async def next_piece(self) -> bytes:
        """The next piece as it came from the network; nothing at the end."""
        try:
            with anyio.fail_after(IDLE_SECONDS):
                async for piece in self._pieces:
                    if piece:
                        self.received += len(piece)
                        self._refuse_a_trickle()
                        return piece
        except TimeoutError:
            raise TooSlow(
                [Problem("upload", f"nothing came for {IDLE_SECONDS:.0f} s; send it again")]
            ) from None
        except ClientDisconnect:
            expected = f" of {self.declared:,}" if self.declared is not None else ""
            message = f"{self.received:,}{expected} bytes arrived; send it again"
            raise BadInput.single("upload", message) from None
        return b""

    async def drain(self) -> None:
        """Reads what is left of a body that is refused, up to a limit, and throws it away."""
        left = DRAIN_BYTES
        try:
            with anyio.move_on_after(DRAIN_SECONDS):
                while left > 0 and (piece := await self.next_piece()):
                    left -= len(piece)
        except BadInput:
            return

    def _refuse_a_trickle(self) -> None:
        seconds = time.monotonic() - self._began
        if seconds > RATE_AFTER and self.received < LEAST_RATE * seconds:
            message = f"{self.received:,} bytes in {seconds:.0f} s are too slow; send it again"
            raise TooSlow([Problem("upload", message)])


class Form:
    """A form with fields and, last, one file. Reading stops where the file begins.

    Args:
        body: of the request.
        content_type: of the request.

    Attributes:
        fields: what came before the file, by name.
        file_name: as the sender calls the file.
        file: to be read to its end.

    Raises:
        BadInput: it is no such form.
    """

    def __init__(self, body: Body, content_type: str):
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self._body = body
        self._events: deque[tuple[str, bytes]] = deque()
        self.fields: dict[str, str] = {}
        try:
            if not boundary:
                raise FormParserError("no boundary")
            self._parser = MultipartParser(boundary, _callbacks(self._events))
        except FormParserError:
            raise _unreadable() from None
        self.file_name = self._read_fields()
        self.file = _File(self._following())

    def _read_fields(self) -> str:
        name, value, headers = "", bytearray(), _Headers()
        size = 0
        for kind, data in self._following():
            size += len(data)
            if size > MOST_IN_FIELDS:
                raise BadInput.single("form", f"its fields are larger than {MOST_IN_FIELDS:,} bytes")
            if kind == "part_begin":
                headers, value = _Headers(), bytearray()
            elif kind in ("header_field", "header_value", "header_end"):
                headers.take(kind, data)
            elif kind == "headers_finished":
                name, file_name = headers.names()
                if file_name is not None:
                    if name != "file":
                        raise BadInput.single(f"form, field {name}", "is a file; expected the name 'file'")
                    return file_name
                if name in self.fields:
                    raise BadInput.single(f"form, field {name}", "is there twice")
            elif kind == "part_data":
                value += data
            elif kind == "part_end":
                try:
                    self.fields[name] = value.decode("utf-8")
                except UnicodeDecodeError:
                    raise BadInput.single(f"form, field {name}", "is not UTF-8") from None
        raise BadInput.single("form", "has no file; expected a field 'file' after all others")

    def _following(self) -> Iterator[tuple[str, bytes]]:
        """What the parser finds, until the form ends."""
        while True:
            while self._events:
                event = self._events.popleft()
                yield event
                if event[0] == "end":
                    return
            piece = self._body.read()
            if not piece:
                raise BadInput.single("form", "ends before its last boundary; send it again")
            try:
                self._parser.write(piece)
            except FormParserError:
                raise _unreadable() from None


class _File(io.RawIOBase):
    """The last part of a form, to be read; its end is told only when nothing else follows."""

    def __init__(self, events: Iterator[tuple[str, bytes]]):
        self._events = events
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        while not self._left:
            kind, data = next(self._events, ("end", b""))
            if kind == "part_data":
                self._left = data
            elif kind == "part_begin":
                raise BadInput.single("form", "something follows the file; expected the file last")
            elif kind == "end":
                return b""
        size = len(self._left) if size is None or size < 0 else size
        piece, self._left = self._left[:size], self._left[size:]
        return piece


class _Headers:
    """Headers of one part."""

    def __init__(self) -> None:
        self._field, self._value = b"", b""
        self._disposition = b""

    def take(self, kind: str, data: bytes) -> None:
        if kind == "header_field":
            self._field += data
        elif kind == "header_value":
            self._value += data
        else:
            if self._field.lower() == b"content-disposition":
                self._disposition = self._value
            self._field, self._value = b"", b""

    def names(self) -> tuple[str, str | None]:
        """Of the field and of its file."""
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise _unreadable()
        file_name = options.get(b"filename")
        name = options[b"name"].decode("utf-8", "replace")
        return name, None if file_name is None else file_name.decode("utf-8", "replace")


def declared_size(request: Request) -> int | None:
    """Bytes that the sender says there will be."""
    said = request.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdecimal() else None


def _callbacks(events: deque[tuple[str, bytes]]) -> Any:
    def plain(kind: str) -> Any:
        return lambda: events.append((kind, b""))

    def with_data(kind: str) -> Any:
        return lambda data, start, end: events.append((kind, bytes(data[start:end])))

    without = ("part_begin", "part_end", "header_end", "headers_finished", "end")
    having = ("part_data", "header_field", "header_value")
    return {f"on_{kind}": plain(kind) for kind in without} | {
        f"on_{kind}": with_data(kind) for kind in having
    }


def _unreadable() -> BadInput:
    return BadInput.single("form", "cannot be read; expected multipart/form-data")
