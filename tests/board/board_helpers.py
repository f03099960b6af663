"""What tests of the board share: a small challenge, people, files to submit, and processes that score."""

import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from vipriors.board import service
from vipriors.board.core import Board
from vipriors.board.models import Challenge, Person, Phase, Submission
from vipriors.board.settings import read_settings

IDS = [f"img_{number}.png" for number in range(40)]
"""Of the test; the class of number n is n % 4."""

CHALLENGE = """\
name: tiny
title: A tiny challenge
task: classification
source: {kind: folder, path: nowhere, classes: [a, b, c, d]}
input: {size: [8, 8]}
"""

PASSWORD = "correct horse battery"


def make_board(home: Path, phases: list[dict[str, Any]] | None = None, **settings: Any) -> Board:
    """A board with the challenge `tiny`, half of whose test is public."""
    settings = {"home": home / "board", "uploads_a_minute": 10_000, **settings}
    board = service.open_board(read_settings(**settings))
    (home / "tiny.yaml").write_text(CHALLENGE)
    (home / "labels.csv").write_text(labels())
    plans = [service.PhasePlan(**phase) for phase in phases or [{}]]
    service.add_challenge(board, home / "tiny.yaml", home / "labels.csv", phases=plans)
    return board


def labels(shift: int = 0) -> str:
    """The labels file."""
    rows = "".join(f"{id_},{(number + shift) % 4}\n" for number, id_ in enumerate(IDS))
    return f"Image IDs,Labels\n{rows}"


def predictions(right: int, salt: int = 0) -> bytes:
    """A predictions file whose first `right` rows are right; salt makes it another file."""
    rows = [f"{id_},{(number + (number >= right)) % 4}\n" for number, id_ in enumerate(IDS)]
    turn = salt % len(rows)
    return ("Image IDs,Predictions\n" + "".join(rows[turn:] + rows[:turn])).encode()


def add_person(board: Board, name: str) -> Person:
    """Somebody with an account, made without the time that a password takes."""
    person = Person(name=name, email=f"{name}@example.org", password_hash="none")
    with board.database.writing() as session, session.begin():
        session.add(person)
    return person


def send(board: Board, person: Person, data: bytes, **options: Any) -> service.Receipt:
    """Submits a file to `tiny`."""
    return service.submit(board, person.id, "tiny", io.BytesIO(data), "predictions.csv", **options)


def queue(board: Board, person: Person, right: int, salt: int = 0) -> str:
    """A submission that is stored without the time that its check takes; its id."""
    from datetime import UTC, datetime

    from vipriors.board.submitting import new_id

    data = predictions(right, salt)
    stored = board.files.put(io.BytesIO(data), 10**6)
    with board.database.writing() as session, session.begin():
        challenge = session.scalars(select(Challenge).where(Challenge.name == "tiny")).one()
        team = service.alone(session, session.get_one(Person, person.id), challenge)
        made = Submission(
            id=new_id(datetime.now(UTC)),
            phase_id=challenge.phases[0].id,
            team_id=team.id,
            person_id=person.id,
            file_key=stored.key,
            file_name="predictions.csv",
            sha256=stored.sha256,
            size=stored.size,
            upload_key=os.urandom(8).hex(),
            due=challenge.labels_version,
        )
        session.add(made)
    return made.id


def look(board: Board, submission: str) -> Submission:
    """A submission with its scores, as it is now."""
    with board.database.reading() as session:
        found = session.get_one(Submission, submission)
        assert found.scores is not None
        return found


def the_phase(board: Board) -> Phase:
    """The first phase, with its challenge."""
    with board.database.reading() as session:
        phase = session.scalars(select(Phase).order_by(Phase.id)).first()
        assert phase is not None and phase.challenge.phases
        return phase


WORKER = """
import logging, sys
from vipriors.board import core, settings, worker
logging.basicConfig(level=logging.WARNING)
worker.run(core.open_board(settings.read_settings()), lost_after=float(sys.argv[1]), retry_after=0.1)
"""


def start_worker(board: Board, lost_after: float = 3.0, program: str = WORKER) -> subprocess.Popen[bytes]:
    """A process that scores."""
    given = board.settings.model_dump(exclude={"worker_name"})
    environment = {f"VIPRIORS_BOARD_{name.upper()}": str(value) for name, value in given.items()}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(lost_after)], env={**os.environ, **environment}
    )


def wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.2)


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])
