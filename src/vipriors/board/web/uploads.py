"""Uploads, of pages and programs alike: received to the disk piece by piece, and only then given a thread.

So a sender who dribbles holds no thread, however many there are. Once it has all come, an upload is worked on
in one of few threads of their own, for which others wait; the pages' threads stay free.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from vipriors.board.core import Board
from vipriors.board.store import too_large
from vipriors.board.web.bodies import declared_size, pieces
from vipriors.board.web.forms import Form
from vipriors.problems import BadInput

WORKED_ON = 32
"""Uploads that are worked on at a time; most of them wait for one of the few processes that check files."""

WRITE_AT = 2**18
"""Bytes that are gathered before they are written."""

T = TypeVar("T")


@dataclass(frozen=True)
class Upload:
    """What was sent.

    Attributes:
        form: the fields before the file.
        file: at its beginning; gone when the upload is done with. None if there was no file.
        name: of the file, as its sender calls it.
    """

    form: Form
    file: BinaryIO | None
    name: str

    def sent(self) -> BinaryIO:
        """The file.

        Raises:
            BadInput: none was chosen.
        """
        if self.file is None or not self.name:
            raise BadInput.single("file", "none was chosen")
        return self.file


class Reader(Protocol):
    """Finds the file in what comes."""

    limit: int
    """Most bytes of the file."""
    around: int
    """Bytes that may come beside it."""
    form: Form
    file_name: str | None
    pending: bytearray
    """What has come of the file and is to be taken from here."""

    def take(self, piece: bytes) -> None:
        """Reads on."""

    def finish(self) -> None:
        """Ends what has come."""


class RawReader:
    """Takes a body for the file itself.

    Args:
        limit: most bytes of it.
        file_name: as the sender calls it.
    """

    around = 0

    def __init__(self, limit: int, file_name: str):
        self.limit = limit
        self.form = Form([])
        self.file_name: str | None = file_name
        self.pending = bytearray()
        self._size = 0

    def take(self, piece: bytes) -> None:
        """Reads on.

        Raises:
            TooLarge: there are too many bytes.
        """
        self._size += len(piece)
        if self._size > self.limit:
            raise too_large(self.limit)
        self.pending += piece

    def finish(self) -> None:
        """Ends what has come, which may be anything."""


@asynccontextmanager
async def receiving(request: Request, board: Board, person_id: int, reader: Reader) -> AsyncIterator[Upload]:
    """Receives an upload, which counts as under way until the block ends.

    Args:
        request: whose body has not been read.
        board: its limits are kept.
        person_id: who sends it.
        reader: finds the file in the body.

    Raises:
        TooMany: others of this person are under way, or there were too many in the last minute.
        TooSlow: it stalled or dripped.
        BadInput: it is too large, ended early, or the reader cannot read it. Counts as an upload.
    """
    with board.under_way.one_more(person_id), tempfile.SpooledTemporaryFile(WRITE_AT) as file:
        board.uploads.check(person_id)
        try:
            if (declared_size(request) or 0) > reader.limit + reader.around:
                raise too_large(reader.limit)
            async for piece in pieces(request):
                reader.take(piece)
                if len(reader.pending) >= WRITE_AT:
                    await to_thread.run_sync(file.write, _taken(reader))
            reader.finish()
        except BadInput:
            board.uploads.take(person_id)
            raise
        await to_thread.run_sync(file.write, _taken(reader))
        file.seek(0)
        sent = None if reader.file_name is None else cast(BinaryIO, file)
        yield Upload(reader.form, sent, reader.file_name or "")


async def worked_on(request: Request, do: Callable[[Upload], T], upload: Upload) -> T:
    """What a function makes of an upload, in a thread."""
    limiter: CapacityLimiter = request.app.state.uploads
    return await to_thread.run_sync(do, upload, limiter=limiter)


def _taken(reader: Reader) -> bytes:
    some = bytes(reader.pending)
    reader.pending.clear()
    return some
