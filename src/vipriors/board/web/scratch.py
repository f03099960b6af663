"""A folder for what was sent, while it is looked at."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vipriors.board.store import CHUNK
from vipriors.board.submitting import plain_name
from vipriors.board.web.uploads import Upload
from vipriors.problems import BadInput, Problem


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; problems of files in it call them by their names alone."""
    with tempfile.TemporaryDirectory(prefix="vipriors-sent-") as name:
        try:
            yield Path(name)
        except BadInput as error:
            raise BadInput(
                Problem(problem.place.replace(f"{name}/", ""), problem.message.replace(f"{name}/", ""))
                for problem in error.problems
            ) from None


def keep(upload: Upload, folder: Path) -> Path:
    """The file of a form under its own name, by which tasks tell kinds of labels apart.

    Raises:
        BadInput: none was chosen.
    """
    sent = upload.sent()
    folder.mkdir(exist_ok=True)
    file = folder / plain_name(upload.name)
    copy(sent, file)
    return file


def copy(stream: BinaryIO, to: Path) -> None:
    """Writes a stream to a file."""
    with to.open("wb") as kept:
        while piece := stream.read(CHUNK):
            kept.write(piece)
