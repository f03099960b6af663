"""A board that is open: its settings, database and files; and what it answers when it will not do a thing."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from vipriors.board.database import Database, open_database
from vipriors.board.scoring import Limits
from vipriors.board.settings import Settings
from vipriors.board.store import FileStore
from vipriors.data.files import os_errors

MOST_REMEMBERED = 10_000
"""Whom a rate limit remembers at a time; addresses of strangers are without number."""

UPLOADS_AT_ONCE = 4
"""Of one person."""

AGAIN_IN = 5.0
"""Seconds after which one may try again what one does too often at a time."""


class Forbidden(Exception):
    """The person may not do this; the text says why."""


class NotFound(Exception):
    """There is no such thing, or none that this person may know of."""


class TooMany(Exception):
    """Too much of a thing, such as uploads, at a time or in a short time.

    Args:
        seconds: after which one may try again.
        message: what is too much.
    """

    def __init__(self, seconds: float, message: str):
        self.seconds = seconds
        super().__init__(message)


class RateLimit:
    """Lets everybody do a thing so often in a minute. Kept in memory: a restart forgets it.

    Args:
        a_minute: how often.
        what: the thing, in the plural.
    """

    def __init__(self, a_minute: int, what: str = "uploads"):
        self.a_minute = a_minute
        self._what = what
        self._lock = threading.Lock()
        self._taken: dict[Hashable, deque[float]] = {}

    def take(self, who: Hashable, moment: float | None = None) -> None:
        """Notes that somebody does it.

        Raises:
            TooMany: not yet again.
        """
        moment = time.monotonic() if moment is None else moment
        with self._lock:
            if len(self._taken) >= MOST_REMEMBERED:
                self._forget(moment)
            taken = self._taken.setdefault(who, deque(maxlen=self.a_minute))
            self._refuse_beyond(taken, moment)
            taken.append(moment)

    def check(self, who: Hashable) -> None:
        """Looks whether somebody may do it, without noting anything.

        Raises:
            TooMany: not yet again.
        """
        with self._lock:
            self._refuse_beyond(self._taken.get(who, deque()), time.monotonic())

    def _refuse_beyond(self, taken: deque[float], moment: float) -> None:
        if len(taken) == self.a_minute and moment - taken[0] < 60:
            seconds = 60 - (moment - taken[0])
            message = f"too many {self._what} in a minute; the next is taken in {seconds:.0f} s"
            raise TooMany(seconds, message)

    def _forget(self, moment: float) -> None:
        """Drops who did nothing for a minute; if nobody did nothing, the half that was added first."""
        self._taken = {who: taken for who, taken in self._taken.items() if moment - taken[-1] < 60}
        if len(self._taken) >= MOST_REMEMBERED:
            self._taken = dict(list(self._taken.items())[MOST_REMEMBERED // 2 :])


class AtOnce:
    """Lets everybody do only so many of a thing at the same time.

    Args:
        most: how many.
        what: the thing, in the plural.
    """

    def __init__(self, most: int = UPLOADS_AT_ONCE, what: str = "uploads"):
        self.most = most
        self._what = what
        self._lock = threading.Lock()
        self._under_way = Counter[Hashable]()

    @contextmanager
    def one_more(self, who: Hashable) -> Iterator[None]:
        """While somebody does it.

        Raises:
            TooMany: they do it too often at the moment.
        """
        with self._lock:
            if self._under_way[who] >= self.most:
                message = (
                    f"{self.most} {self._what} are under way, the most at a time; wait until one has ended"
                )
                raise TooMany(AGAIN_IN, message)
            self._under_way[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[who] -= 1
                if not self._under_way[who]:
                    del self._under_way[who]


@dataclass(frozen=True)
class Board:
    """A board that is open."""

    settings: Settings
    database: Database
    files: FileStore
    uploads: RateLimit
    checking: threading.Semaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
    )
    """Files that are checked at a time."""
    under_way: AtOnce = field(default_factory=AtOnce)
    """Uploads of one person at a time."""

    @property
    def limits(self) -> Limits:
        """Of the process that checks or scores a file."""
        return Limits(self.settings.scoring_seconds, self.settings.scoring_bytes)


def open_board(settings: Settings) -> Board:
    """Opens a board, which is made if there is none.

    Raises:
        BadInput: its database or files cannot be used.
    """
    with os_errors(settings.home):
        settings.home.mkdir(parents=True, exist_ok=True)
    database = open_database(settings.database_url)
    return Board(settings, database, FileStore(settings.files_url), RateLimit(settings.uploads_a_minute))
