"""Opens a board's database, on SQLite or PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from vipriors.board.models import Row, SchemaVersion
from vipriors.problems import BadInput

VERSION = 2
"""Of the tables; it also pins which scoring workers may take up each other's work."""

BUSY_MILLISECONDS = 30_000
"""How long a SQLite writer waits for another."""

_MAKING_TABLES = 0x76697072  # any number that others who share a PostgreSQL do not take


@dataclass(frozen=True)
class Database:
    """A board's database. On SQLite one can write at a time and many read: who only looks should read."""

    engine: Engine

    def reading(self) -> Session:
        """A session that changes nothing."""
        return Session(self.engine, expire_on_commit=False)

    def writing(self) -> Session:
        """A session that may change things: `with database.writing() as session, session.begin(): …`."""
        return Session(self.engine.execution_options(writes=True), expire_on_commit=False)


def connect(url: str) -> Engine:
    """An engine for a board's database.

    Raises:
        BadInput: the URL is of another kind of database, or none.
    """
    place = f"database {_without_password(url)}"
    if url.startswith("postgresql://"):
        url = "postgresql+psycopg://" + url.removeprefix("postgresql://")
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise BadInput.single(place, "is not supported; expected sqlite:///FILE or postgresql://…")
    try:
        # What people give, password hashes among it, is in no message of an error and so in no log.
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), hide_parameters=True)
    except (ArgumentError, ImportError, ValueError) as error:
        raise BadInput.single(place, f"cannot be used: {error}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
    return engine


def open_database(url: str) -> Database:
    """A board's database, whose tables are made if it is empty.

    Raises:
        BadInput: it cannot be reached, or its tables are of another version.
    """
    engine = connect(url)
    place = f"database {_without_password(url)}"
    try:
        if not inspect(engine).has_table(SchemaVersion.__tablename__):
            _make_tables(engine)
        with Session(engine) as session:
            found = session.scalars(select(SchemaVersion.version)).all()
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise BadInput.single(place, f"cannot be used: {cause}") from None
    if found != [VERSION]:
        message = f"holds a board of version {found}; expected {VERSION}, that of this program"
        raise BadInput.single(place, message)
    return Database(engine)


def _make_tables(engine: Engine) -> None:
    """Makes the tables, once even where two processes want to at the same time."""
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_MAKING_TABLES)))
        if not inspect(connection).has_table(SchemaVersion.__tablename__):
            Row.metadata.create_all(connection)
            connection.execute(insert(SchemaVersion).values(version=VERSION))


def _set_up_sqlite(connection: Any, _: object) -> None:
    # The driver's own way of beginning transactions is switched off; see `_begin`.
    connection.isolation_level = None
    for setting in (
        f"busy_timeout = {BUSY_MILLISECONDS}",  # first: to change the journal may take waiting
        "journal_mode = WAL",
        "synchronous = FULL",  # what was acknowledged survives a power cut
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail at once when another writes in between,
    # instead of waiting for its turn; so who may write takes the turn at the start.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://…@{tail}" if at else url
