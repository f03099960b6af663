"""Takes a form with a file piece by piece: the fields first, then the file, straight to the disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

import anyio
from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from vipriors.board.web.visiting import LARGEST_FORM, Form, Visitor, check_form_token
from vipriors.problems import BadInput

STALLED = 60.0
"""Seconds without a byte after which an upload is given up."""

LEAST_RATE = 2**10
"""Bytes a second that must arrive, once an upload has taken as long as it may stall."""

WRITE_AT = 2**20
"""Bytes that are gathered before they are written."""

MOST_FIELDS = 100

FILE = "file"
"""The field of the file. It must come after all others, so that they are known when it begins."""


class TooSlow(Exception):
    """Nothing has arrived for too long."""


@dataclass(frozen=True)
class Upload:
    """A form with a file.

    Attributes:
        form: the fields before the file.
        file: what was sent, at its beginning; gone when the form is done with. None if there was no file.
        name: of the file, as its sender calls it.
    """

    form: Form
    file: BinaryIO | None
    name: str


@asynccontextmanager
async def upload_of(request: Request, visit: Visitor, limit: int) -> AsyncIterator[Upload]:
    """Receives a form with a file.

    Args:
        request: whose body has not been read.
        visit: whose form it must be.
        limit: most bytes of the file.

    Raises:
        Forbidden: the form was not made for this visitor; known before the file arrives.
        BadInput: it is no such form, too large, or ended early.
        TooSlow: it stalled.
    """
    most = limit + LARGEST_FORM
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(limit)
    with tempfile.TemporaryFile(prefix="vipriors-form-") as file:
        parts = _Parts(request.headers.get("content-type", ""), visit, limit)
        try:
            async for piece in _pieces(request):
                parts.take(piece)
                if len(parts.pending) >= WRITE_AT:
                    await to_thread.run_sync(file.write, parts.flush())
        except FormParserError:
            raise BadInput.single("upload", "is no form that can be read") from None
        if not parts.ended:
            raise BadInput.single("upload", "ended early; send it again")
        if parts.file_name is None:
            check_form_token(visit, parts.form["form_token"])
        await to_thread.run_sync(file.write, parts.flush())
        file.seek(0)
        sent = None if parts.file_name is None else cast(BinaryIO, file)
        yield Upload(parts.form, sent, parts.file_name or "")


async def discard(request: Request, seconds: float = 5.0) -> None:
    """Reads on for a while, so that a sender who is to be refused comes to hear the answer."""
    try:
        with anyio.move_on_after(seconds):
            async for _ in request.stream():
                pass
    except (ClientDisconnect, RuntimeError):
        pass  # gone, or read already


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    begun, size = time.monotonic(), 0
    while True:
        try:
            with anyio.fail_after(STALLED):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise TooSlow from None
        size += len(piece)
        taken = time.monotonic() - begun
        if taken > STALLED and size < LEAST_RATE * taken:
            raise TooSlow
        yield piece


class _Parts:
    """What has arrived of a form.

    Attributes:
        pending: bytes of the file that are to be written.
        file_name: None until the file begins.
    """

    def __init__(self, kind: str, visit: Visitor, limit: int):
        name, options = parse_options_header(kind)
        if name != b"multipart/form-data" or not options.get(b"boundary"):
            raise BadInput.single("upload", "expected multipart/form-data")
        self.pending = bytearray()
        self.file_name: str | None = None
        self.ended = False
        self._visit, self._limit = visit, limit
        self._fields: list[tuple[str, str]] = []
        self._size = self._size_of_fields = 0
        self._in_file = False
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_to_header,
                    "on_header_value": self._add_to_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add,
                    "on_part_end": self._end,
                    "on_end": self._finish,
                },
            )
        except FormParserError:
            raise BadInput.single("upload", "is no form that can be read") from None

    @property
    def form(self) -> Form:
        """The fields that are there."""
        return Form(self._fields)

    def take(self, piece: bytes) -> None:
        """Reads on."""
        if piece:
            self._parser.write(piece)

    def flush(self) -> bytes:
        """What is to be written now."""
        some = bytes(self.pending)
        self.pending.clear()
        return some

    def _begin(self) -> None:
        if self.file_name is not None:
            raise BadInput.single("upload", "goes on after the file; expected nothing after it")
        if len(self._fields) >= MOST_FIELDS:
            raise BadInput.single("form", f"has more than {MOST_FIELDS} fields")
        self._header, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._disposition = b""

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._in_file = self._name == FILE and b"filename" in options
        if self._in_file:
            check_form_token(self._visit, self.form["form_token"])
            self.file_name = options[b"filename"].decode("utf-8", "replace")

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._size += end - start
            if self._size > self._limit:
                raise _too_large(self._limit)
            self.pending += data[start:end]
            return
        self._size_of_fields += end - start
        if self._size_of_fields > LARGEST_FORM:
            raise BadInput.single("form", f"is larger than {LARGEST_FORM:,} bytes")
        self._content += data[start:end]

    def _end(self) -> None:
        if not self._in_file:
            text = self._content.decode("utf-8", "replace").replace("\r\n", "\n")
            self._fields.append((self._name, text))

    def _finish(self) -> None:
        self.ended = True


def _too_large(limit: int) -> BadInput:
    return BadInput.single("upload", f"is larger than {limit:,} bytes, the most that is taken")
