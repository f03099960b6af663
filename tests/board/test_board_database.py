"""Opening a board's database, and what its sessions promise."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from vipriors.board.database import VERSION, open_database
from vipriors.board.models import LogEntry, Moment, Person, SchemaVersion, Team
from vipriors.problems import BadInput

ZONES = st.integers(-12, 12).map(lambda hours: timezone(timedelta(hours=hours)))


def person(name: str) -> Person:
    return Person(name=name, email=f"{name}@x.org", password_hash="")


def test_what_is_written_is_there_when_opened_again(database_url: str) -> None:
    with open_database(database_url).writing() as session, session.begin():
        session.add(person("ada"))
    with open_database(database_url).reading() as session:
        found = session.scalars(select(Person)).one()
        assert (found.name, found.created.tzinfo) == ("ada", UTC)
        assert session.scalars(select(SchemaVersion.version)).all() == [VERSION]


def test_many_may_open_an_empty_one_at_once(database_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(open_database, [database_url] * 6))
    with opened[0].reading() as session:
        assert session.scalars(select(SchemaVersion.version)).all() == [VERSION]


def test_writers_wait_for_each_other(database_url: str) -> None:
    database = open_database(database_url)
    with database.writing() as session, session.begin():
        session.add(LogEntry(action="count", subject="", detail={"n": 0}))

    def add_one(_: int) -> None:
        with database.writing() as session, session.begin():
            entry = session.scalars(select(LogEntry).with_for_update()).one()
            entry.detail = {"n": entry.detail["n"] + 1}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, range(40)))
    with database.reading() as session:
        assert session.scalars(select(LogEntry)).one().detail == {"n": 40}


def test_a_reader_does_not_wait_for_a_writer(database_url: str) -> None:
    database = open_database(database_url)
    seen: list[int | None] = []

    def read() -> None:
        with database.reading() as session:
            seen.append(session.scalar(select(func.count(Person.id))))

    with database.writing() as session, session.begin():
        session.add(person("ada"))
        session.flush()
        thread = threading.Thread(target=read)
        thread.start()
        thread.join(60)
    assert seen == [0]


def test_rows_refer_to_rows_that_exist(database_url: str) -> None:
    with (
        pytest.raises(IntegrityError),
        open_database(database_url).writing() as session,
        session.begin(),
    ):
        session.add(Team(challenge_id=99, name="x"))


def test_another_version_is_refused(database_url: str) -> None:
    with open_database(database_url).writing() as session, session.begin():
        session.execute(text("UPDATE schema_version SET version = 7"))
    with pytest.raises(BadInput, match=r"holds a board of version \[7\]; expected 2, that of this program"):
        open_database(database_url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "mysql+pymysql://me:secret@host/db",
            "mysql+pymysql://…@host/db: is not supported; expected sqlite:///FILE or ",
        ),
        ("nonsense", "database nonsense: is not supported; expected sqlite:///FILE or postgresql://…"),
        ("postgresql://me:secret@127.0.0.1:1/db", "database postgresql://…@127.0.0.1:1/db: cannot be used: "),
        ("postgresql://host:port/db", "database postgresql://host:port/db: cannot be used: "),
        ("sqlite:////no/such/folder/board.db", "cannot be used: unable to open database file"),
    ],
)
def test_what_cannot_be_opened(url: str, message: str) -> None:
    with pytest.raises(BadInput, match=message.replace("+", r"\+")) as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "board.db").write_bytes(b"x" * 5000)
    with pytest.raises(BadInput, match="cannot be used: file is not a database"):
        open_database(f"sqlite:///{tmp_path / 'board.db'}")


@given(st.datetimes(timezones=ZONES, min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))
def test_moments_keep_their_microsecond(moment: datetime) -> None:
    kept = Moment().process_bind_param(moment, None)  # type: ignore[arg-type]
    assert Moment().process_result_value(kept, None) == moment  # type: ignore[arg-type]


def test_a_moment_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        Moment().process_bind_param(datetime(2026, 1, 1), None)  # type: ignore[arg-type]
