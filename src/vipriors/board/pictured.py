"""Pictures of a submission's predictions in the file store: a zip of them, and of what is said under each."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Sequence

from vipriors.board.core import Board, NotFound
from vipriors.tasks.archive import pack

CAPTIONS = "captions.json"
MOST = 2**27
"""Bytes of all pictures of a submission; the process that draws them may answer less."""


def keep(board: Board, drawn: Sequence[dict[str, str]]) -> str | None:
    """Keeps pictures as `picturing` gives them, and says under which key; None if there are none."""
    if not drawn:
        return None
    captions = json.dumps([one["caption"] for one in drawn]).encode()
    files = [(f"{number}.png", base64.b64decode(one["png"])) for number, one in enumerate(drawn)]
    return board.files.put(io.BytesIO(pack([(CAPTIONS, captions), *files])), MOST).key


def captions(board: Board, key: str | None) -> list[str]:
    """What is said under each picture; nothing where there are none."""
    if key is None:
        return []
    with board.files.open(key) as file, zipfile.ZipFile(file) as archive:
        found: list[str] = json.loads(archive.read(CAPTIONS))
    return found


def picture(board: Board, key: str | None, number: int) -> bytes:
    """A picture as a PNG.

    Raises:
        NotFound: there is none of this number.
    """
    if key is not None:
        with board.files.open(key) as file, zipfile.ZipFile(file) as archive:
            if (name := f"{number}.png") in archive.namelist():
                return archive.read(name)
    raise NotFound(f"picture {number}")
