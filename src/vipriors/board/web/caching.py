"""Keeps pages that are the same for all strangers.

A page is made again when anything in the database has changed, but not at every change: to make a large
leaderboard takes a tenth of a second, in which all other requests are slowed down. So a page is shown for a
second whatever changes, and for a second more at most while one request makes it anew. Whoever is signed in
gets pages of their own, which are made each time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from fastapi import Response
from sqlalchemy import text
from starlette.types import ASGIApp, Receive, Scope, Send

from vipriors.board.database import Database

SECONDS = 5
"""For which a page is kept at most: it tells of moments that pass, such as the end of a phase."""

RESTS_SECONDS = 1.0
"""For which a page is shown whatever changes: while scores come all the time it is made once a second."""

STALE_SECONDS = 2.0
"""For which a page is shown after a change at most, and then only while another request makes it anew."""

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

    @property
    def cheap(self) -> bool:
        """Whether asking takes no longer than a look into memory."""
        return self._watching is not None

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


@dataclass(frozen=True)
class _Page:
    """A page, how things stood when it was begun, and until when it holds if they stay so."""

    mark: Hashable
    until: float
    body: bytes
    headers: tuple[tuple[str, str], ...]


@dataclass
class _Kept:
    """The page of an address, the moment for which it was last known to be right, and who makes it anew."""

    lock: threading.Lock
    page: _Page | None = None
    right: float = 0.0


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
        if page := self._held_by(kept):
            return _response(page)
        with kept.lock:  # many who ask at once wait for one page, instead of making as many
            if page := self._held_by(kept, waited=True):
                return _response(page)
            began = time.monotonic()
            mark = self._changes.mark()  # before anything is read, so that no later change is missed
            made = make()
            if made.status_code != 200 or "set-cookie" in made.headers:
                return made
            kept.page = _Page(mark, began + SECONDS, bytes(made.body), tuple(made.headers.items()))
            kept.right = began
            return _response(kept.page)

    def peek(self, address: Hashable) -> Response | None:
        """The page of an address if it is kept and holds; answers without waiting for anything."""
        kept = self._kept.get(address) if self._changes.cheap else None
        page = self._held_by(kept) if kept else None
        return _response(page) if page else None

    def _held_by(self, kept: _Kept, waited: bool = False) -> _Page | None:
        page, right, moment = kept.page, kept.right, time.monotonic()
        if page is None:
            return None
        age = moment - right
        if age < RESTS_SECONDS:
            return page
        if page.mark == self._changes.mark() and moment < page.until:
            kept.right = moment
            return page
        return page if age < STALE_SECONDS and not waited and kept.lock.locked() else None


class Shortcut:
    """Answers strangers with pages that are kept, without all that it takes to make one.

    Args:
        app: what makes pages.
        pages: what keeps them.
    """

    def __init__(self, app: ASGIApp, pages: PageCache):
        self.app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http" and scope["method"] == "GET":
            names = {name for name, _ in scope["headers"]}
            page = None if names & _PERSONAL else self._pages.peek(address_of(scope))
            if page is not None:
                await page(scope, receive, send)
                return
        await self.app(scope, receive, send)


_PERSONAL = {b"cookie", b"authorization", b"if-none-match", b"range"}
"""Headers with which a request is not one of any stranger's."""


def address_of(scope: Scope) -> Hashable:
    """What tells the pages that strangers ask for apart."""
    return scope["path"], scope["query_string"]


def _response(page: _Page) -> Response:
    return Response(page.body, headers=dict(page.headers))
