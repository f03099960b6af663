"""The other side of a board: sends it a predictions file and follows what becomes of it.

What is sent twice is one submission, as the board knows a file by its hash; so a broken connection, or the
same command given again, does no harm.
"""

from __future__ import annotations

import io
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx

from vipriors.data.files import os_errors
from vipriors.problems import BadInput, Problem

TRIES = 6
"""Of each request, where the connection breaks or the board is overloaded."""

LONGEST_PAUSE = 60.0
"""Seconds between two tries."""

ASK_EVERY = (0.3, 3.0)
"""Seconds between two questions for the state: at first, and after a while."""

TIMEOUT = httpx.Timeout(30.0, read=900.0)
"""Seconds; the check of a large file takes long."""

ENDED = ("scored", "failed", "cancelled", "error")

_AGAIN = (408, 429, 502, 503, 504)


@dataclass(frozen=True)
class Entry:
    """What is sent.

    Attributes:
        challenge: its name on the board.
        file: the predictions.
        declaration: as `Declaration` of the board has it.
        phase: by default the one that is open.
    """

    challenge: str
    file: Path
    declaration: dict[str, Any]
    phase: str | None = None


class Server:
    """A board that is reached over HTTP.

    Args:
        url: of the board.
        token: that its account's page made.

    Raises:
        BadInput: by all methods, with everything that the board says is wrong, or that it cannot be reached.
    """

    def __init__(self, url: str, token: str):
        self.url = url.rstrip("/")
        try:
            place = httpx.URL(self.url)
        except httpx.InvalidURL:
            place = httpx.URL("")
        if place.scheme not in ("http", "https") or not place.host or "%" in place.host:
            raise BadInput.single(f"server {url}", "is no address; expected one such as https://board.org")
        if not (token.isascii() and token.isprintable() and token):
            raise BadInput.single("token", "is none; make one on your account's page of the board")
        self.is_open = place.scheme == "http" and place.host not in ("127.0.0.1", "localhost", "::1")
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._client = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=TIMEOUT)

    def me(self) -> dict[str, Any]:
        """Whose token it is."""
        return cast(dict[str, Any], self._ask("GET", "/me").json())

    def submit(self, entry: Entry, tell: Callable[[int, int], None]) -> tuple[dict[str, Any], bool]:
        """Sends a file; the submission, and whether it had been sent before.

        Args:
            entry: what is sent.
            tell: called with the bytes that were sent, and with all there are.
        """
        fields = {"declaration": json.dumps(entry.declaration)}
        if entry.phase is not None:
            fields["phase"] = entry.phase
        with os_errors(entry.file), entry.file.open("rb") as opened:
            file = _Told(opened, tell)
            files = {"file": (entry.file.name, cast(BinaryIO, file), "application/octet-stream")}
            answer = self._ask("POST", f"/challenges/{entry.challenge}/submissions", data=fields, files=files)
        return answer.json(), answer.status_code == 200

    def follow(self, id_: str, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Waits until a submission has ended, and returns it.

        Args:
            id_: of the submission.
            tell: called with the submission as it is, again and again.
        """
        pause, slowest = ASK_EVERY
        while True:
            found = cast(dict[str, Any], self._ask("GET", f"/submissions/{id_}").json())
            tell(found)
            if found["state"] in ENDED:
                return found
            time.sleep(pause)
            pause = min(pause * 1.2, slowest)

    def standing(self, submission: dict[str, Any]) -> tuple[int | None, int] | None:
        """The rank of a submission's team and the number of teams; None where the team is not listed."""
        where = f"/challenges/{submission['challenge']}/leaderboard"
        board = self._ask("GET", where, params={"phase": submission["phase"]}).json()
        for line in board["lines"]:
            if line["team"] == submission["team"]:
                return line["rank"], len(board["lines"])
        return None

    def page(self, id_: str) -> str:
        """Where people look at a submission."""
        return f"{self.url}/s/{id_}"

    def _ask(self, method: str, path: str, **what: Any) -> httpx.Response:
        place = f"server {self.url}"
        for attempt in range(1, TRIES + 1):
            pause = min(2.0 ** (attempt - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
            try:
                answer = self._client.request(method, path, **what)
            except httpx.TransportError as error:
                if attempt == TRIES:
                    cause = str(error) or type(error).__name__
                    raise BadInput.single(place, f"cannot be reached: {cause}") from None
            else:
                if answer.status_code not in _AGAIN or attempt == TRIES:
                    return _good(answer, place)
                pause = max(pause, min(_seconds(answer.headers.get("retry-after")), LONGEST_PAUSE))
            time.sleep(pause)
        raise AssertionError("unreachable")


class _Told(io.RawIOBase):
    """A file that tells how much of it was read; httpx reads it anew for each try."""

    def __init__(self, file: BinaryIO, tell: Callable[[int, int], None]):
        self._file, self._tell = file, tell
        self._size = os.fstat(file.fileno()).st_size

    def fileno(self) -> int:
        """For httpx, which takes its size from there."""
        return self._file.fileno()

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes."""
        piece = self._file.read(-1 if size is None else size)
        self._tell(self._file.tell(), self._size)
        return piece

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Goes somewhere."""
        return self._file.seek(offset, whence)


def _good(answer: httpx.Response, place: str) -> httpx.Response:
    if answer.is_success:
        try:
            answer.json()
        except ValueError:
            raise BadInput.single(place, "answers, but not as a board does") from None
        return answer
    if answer.is_redirect:
        raise BadInput.single(place, f"has moved to {answer.headers.get('location', '')!r}; give that one")
    try:
        problems = [Problem(str(each["place"]), str(each["message"])) for each in answer.json()["problems"]]
    except (ValueError, KeyError, TypeError):
        problems = []
    if answer.status_code == 401:
        problems = [Problem("token", f"is not valid for {place}; make one on your account's page there")]
    raise BadInput(problems or [Problem(place, f"answers {answer.status_code} {answer.reason_phrase}")])


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdecimal() else 0.0
