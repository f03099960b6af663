"""A board with a small challenge, on SQLite and on PostgreSQL."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_helpers import free_port, make_board

from vipriors.board.core import Board

PATIENCE = 120


def _postgres_programs() -> Path | None:
    found = [Path(found).parent for found in [shutil.which("initdb")] if found]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "postgres").exists()), None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL that is started for the tests, without the name of a database."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL (initdb, postgres) is not installed on this machine")
    user = {"user": "nobody"} if os.geteuid() == 0 else {}  # PostgreSQL refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="vipriors-postgres-"))
    port = free_port()
    try:
        if user:
            shutil.chown(home, user["user"])
        data = home / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "board", "--auth=trust", "--no-sync", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=home,
            **user,
        )
        control = [programs / "pg_ctl", "-D", data, "-w", "-t", str(PATIENCE), "-l", home / "log"]
        options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home, **user}
        subprocess.run([*control, "-o", options, "start"], check=True, **quiet)
        try:
            yield f"postgresql://board@127.0.0.1:{port}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'board.db'}"
    import psycopg

    server = request.getfixturevalue("postgres_server")
    name = f"board_{os.urandom(6).hex()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@pytest.fixture(autouse=True)
def _pages_never_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever changes is shown at once, but where a test is of the time that this takes otherwise."""
    from vipriors.board.web import caching

    monkeypatch.setattr(caching, "RESTS_SECONDS", 0.0)


@pytest.fixture
def checked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions are checked in this process: to start one for each takes longer than all the rest."""
    from vipriors.board import scoring

    run = scoring.run

    def here(job, limits, wanted=None, program=scoring.PROGRAM):  # type: ignore[no-untyped-def]
        return (
            list(scoring.work(job))[-1] if program == scoring.PROGRAM else run(job, limits, wanted, program)
        )

    monkeypatch.setattr(scoring, "run", here)


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes hashing passwords as quick as it can be."""
    from functools import partial

    from argon2 import PasswordHasher

    from vipriors.board import people, signing

    quick = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(people, "PasswordHasher", quick)
    monkeypatch.setattr(signing, "PasswordHasher", quick)


@pytest.fixture
def any_board(tmp_path: Path, database_url: str) -> Board:
    """A board on each kind of database."""
    return make_board(tmp_path, database=database_url)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A board on SQLite."""
    return make_board(tmp_path)
