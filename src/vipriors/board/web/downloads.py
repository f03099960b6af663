"""Files that are saved, and never shown by a browser, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import quote

from fastapi.responses import StreamingResponse

from vipriors.board.core import Board
from vipriors.board.store import CHUNK


def saved_as(name: str) -> str:
    """The header `Content-Disposition` of a file that is to be saved under a name of any letters."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def download(board: Board, key: str, name: str, size: int) -> StreamingResponse:
    """A file of the board's store, as it was sent.

    Args:
        board: whose store it is in.
        key: in the store.
        name: as its sender called it.
        size: in bytes.
    """
    headers = {
        "Content-Disposition": saved_as(name),
        "Content-Length": str(size),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    content = _pieces(board.files.open(key))
    return StreamingResponse(content, headers=headers, media_type="application/octet-stream")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece
