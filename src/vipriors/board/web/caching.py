"""Keeps pages that are the same for all strangers, until anything in the database changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from fastapi import Response
from sqlalchemy import text

from vipriors.board.database import Database

SECONDS = 5
"""For which a page is kept at most: it tells of moments that pass, such as the end of a phase."""

MOST = 200
"""Pages that are kept."""


class Changes:
    """Tells whether a database has changed, exactly and at hardly any cost.

    SQLite counts, for each connection, the commits of all others, in whatever process. PostgreSQL's snapshot
    changes with every transaction that writes.
    """

    def __init__(self, database: Database):
        self._engine = database.engine
        self._lock = threading.Lock()
        self._watching = None
        if self._engine.name == "sqlite":
            self._watching = self._engine.raw_connection()
            self._watching.detach()  # it is kept for good, so it is none of the pool's

    def mark(self) -> Hashable:
        """What stays the same as long as nothing changes."""
        if self._watching is None:
            with self._engine.connect() as connection:
                return str(connection.scalar(text("SELECT pg_current_snapshot()::text")))
        with self._lock:
            cursor = self._watching.cursor()
            try:
                found: int = cursor.execute("PRAGMA data_version").fetchone()[0]
                return found
            finally:
                cursor.close()


@dataclass
class _Kept:
    """A page, how things stood when it was begun, and who makes it anew."""

    lock: threading.Lock
    mark: Hashable = None
    until: float = 0.0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class PageCache:
    """Pages by their addresses.

    Args:
        database: on which all of them depend.
    """

    def __init__(self, database: Database):
        self._changes = Changes(database)
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept] = {}

    def get(self, address: Hashable, make: Callable[[], Response]) -> Response:
        """The page of an address: the one that is kept, if it still holds, else a new one."""
        with self._lock:
            kept = self._kept.setdefault(address, _Kept(threading.Lock()))
            while len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]
        with kept.lock:  # many who ask at once wait for one page, instead of making as many
            mark = self._changes.mark()  # before anything is read, so that no later change is missed
            if kept.mark != mark or time.monotonic() >= kept.until:
                until = time.monotonic() + SECONDS
                made = make()
                if made.status_code != 200 or "set-cookie" in made.headers:
                    return made
                kept.mark, kept.until, kept.body = mark, until, bytes(made.body)
                kept.headers = tuple(made.headers.items())
            return Response(kept.body, headers=dict(kept.headers))
