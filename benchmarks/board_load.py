"""Loads a board: leaderboards asked for by many at once, uploads all at once, and the time to a score.

The board has 10,000 scored submissions in SQLite; it is served by one process, and another scores, as
`vipriors board serve --no-worker` and `vipriors board worker` start them. Clients are in a third process on
the same machine, so they take part of its cores.

    python benchmarks/board_load.py [--submissions 10000] [--clients 32] [--seconds 10] [--uploads 200]

`cached` is asked while nothing changes; `changing` while another writes to the database ten times a second,
so that what is kept has to be made anew. Aims: 99 % of leaderboards within 50 ms; a score within 2 s.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, insert, select, update

from vipriors.board import core, service, tokens
from vipriors.board.models import (
    PENDING,
    SCORED,
    Challenge,
    Membership,
    Person,
    Score,
    Submission,
    Team,
    Worker,
    now,
)
from vipriors.board.settings import read_settings
from vipriors.board.submitting import new_id
from vipriors.challenges import embedded
from vipriors.challenges.hidden import find_hidden_test
from vipriors.tasks import classification

PROGRAM = str(Path(sys.executable).with_name("vipriors"))
PAGES = {
    "page": "/c/digits/leaderboard",
    "JSON": "/api/v1/challenges/digits/leaderboard",
}
A_TEAM = 20
"""Submissions of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each kind of request")
    parser.add_argument("--uploads", type=int, default=200, help="at once")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vipriors-load-") as folder:
        records = measure(Path(folder), args)
    if args.json:
        print(json.dumps(records, indent=1))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def measure(folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Makes the board and measures all."""
    board = core.open_board(read_settings(home=folder / "board"))
    service.add_challenge(board, embedded()["digits"])
    fill(board, args.submissions)
    senders = [sender(board, f"sender {number}") for number in range(args.uploads + 10)]
    records: list[dict[str, Any]] = []

    def keep(record: dict[str, Any]) -> None:
        print(record, file=sys.stderr, flush=True)
        records.append(record)

    with running(board) as url:
        for name, path in PAGES.items():
            for state in ("cached", "changing"):
                with changing(board, state == "changing"):
                    asyncio.run(ask(url, path, 1, 0.5))
                    found = asyncio.run(ask(url, path, args.clients, args.seconds))
                keep({"leaderboard": f"{name}, {state}", "clients": args.clients, **found})
        keep(idle(board, url, senders[:10]))
        keep(at_once(board, url, senders[10:]))
    return records


def fill(board: core.Board, submissions: int) -> None:
    """Puts scored submissions of many teams into the database."""
    chance, moment = random.Random(0), now()
    with board.database.writing() as session, session.begin():
        challenge = session.scalars(select(Challenge)).one()
        phase = challenge.phases[0]
        phase.start = moment - timedelta(days=100)
        record = score_record()
        teams = range(1, submissions // A_TEAM + 1)
        session.execute(
            insert(Person),
            [{"id": n, "name": f"p{n}", "email": f"p{n}@x.org", "password_hash": "-"} for n in teams],
        )
        session.execute(
            insert(Team), [{"id": n, "challenge_id": challenge.id, "name": f"Team {n}"} for n in teams]
        )
        session.execute(insert(Membership), [{"team_id": n, "person_id": n} for n in teams])
        rows, scores = [], []
        for number in range(submissions):
            received = moment - timedelta(days=90 * (1 - number / submissions) + 1)
            rows.append(
                {
                    "id": new_id(received),
                    "phase_id": phase.id,
                    "team_id": 1 + number % len(teams),
                    "person_id": 1 + number % len(teams),
                    "received": received,
                    "file_key": "",
                    "file_name": "predictions.csv",
                    "sha256": f"{number:064}",
                    "size": 1,
                    "upload_key": f"key:{number}",
                    "state": SCORED,
                    "finished": received,
                    "declaration": {"kind": "single", "parameters": chance.randrange(10**8), "cost": "1 h"},
                }
            )
            value = 0.5 + 0.4 * chance.random() * number / submissions
            for part in ("public", "private", "all"):
                same = {"submission_id": rows[-1]["id"], "part": part, "labels_version": 1, "record": record}
                scores.append({**same, "value": value, "low": value - 0.03, "high": value + 0.03})
        session.execute(insert(Submission), rows)
        session.execute(insert(Score), scores)


def score_record() -> dict[str, Any]:
    """As large as a true one."""
    test = find_hidden_test("digits")
    predictions, _ = classification.check(predictions_file(0), test.truth.index)
    found = classification.score(predictions, test.truth.labels, test.truth.index, test.truth.classes)
    return found.to_json()


def predictions_file(number: int) -> bytes:
    """A good file for `digits`; another for each number."""
    ids = test_ids()
    turn = number % len(ids)
    rows = [f"{id_},{(number + place) % 10}\n" for place, id_ in enumerate(ids)]
    return ("Image IDs,Predictions\n" + "".join(rows[turn:] + rows[:turn])).encode()


@cache
def test_ids() -> tuple[str, ...]:
    return tuple(find_hidden_test("digits").truth.index.ids)


def sender(board: core.Board, name: str) -> str:
    """The token of somebody new."""
    with board.database.writing() as session, session.begin():
        person = Person(name=name, email=f"{name.replace(' ', '')}@y.org", password_hash="-")
        session.add(person)
    return tokens.make(board, person.id, "load")


@contextmanager
def running(board: core.Board) -> Iterator[str]:
    """A process that serves and one that scores; the address."""
    home = ["--home", str(board.settings.home)]
    processes = [
        subprocess.Popen(
            [PROGRAM, "board", "serve", *home, "--port", "0", "--no-worker", "--json"],
            stdout=subprocess.PIPE,
            text=True,
        ),
        subprocess.Popen([PROGRAM, "board", "worker", *home], stdout=subprocess.DEVNULL),
    ]
    try:
        assert processes[0].stdout is not None
        said = processes[0].stdout.readline()
        url = json.loads(said)["address"]
        wait_until(lambda: scalar(board, select(func.count()).select_from(Worker)))
        time.sleep(2)
        yield url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


@contextmanager
def changing(board: core.Board, really: bool) -> Iterator[None]:
    """Changes something in the database ten times a second."""
    over = threading.Event()

    def change() -> None:
        while not over.wait(0.1):
            with board.database.writing() as session, session.begin():
                session.execute(update(Challenge).values(outside={"at": time.monotonic()}))

    thread = threading.Thread(target=change)
    if really:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if really:
            thread.join()


async def ask(url: str, path: str, clients: int, seconds: float) -> dict[str, Any]:
    """Many clients, each asking again as soon as it is answered, over a connection that stays."""
    place = urlsplit(url)
    head = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    times: list[float] = []
    sizes: set[int] = set()
    end = time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=2**24)
        while time.perf_counter() < end:
            began = time.perf_counter()
            writer.write(head)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - began)
            sizes.add(length)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    whole = time.perf_counter() - began
    times.sort()
    return {
        "kilobytes": round(max(sizes) / 1000, 1),
        "requests": len(times),
        "a_second": round(len(times) / whole),
        "p50_ms": milliseconds(times[len(times) // 2]),
        "p99_ms": milliseconds(times[int(0.99 * len(times))]),
        "most_ms": milliseconds(times[-1]),
    }


def idle(board: core.Board, url: str, senders: list[str]) -> dict[str, Any]:
    """How long a file takes from the first byte sent to its score, one after the other."""
    import httpx

    taken, scored = [], []
    for number, token in enumerate(senders):
        began = time.perf_counter()
        answer = httpx.post(
            f"{url}/api/v1/challenges/digits/submissions",
            content=predictions_file(number),
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )
        assert answer.status_code == 201, answer.text
        taken.append(time.perf_counter() - began)
        which = select(Submission.state).where(Submission.id == answer.json()["id"])
        wait_until(lambda which=which: scalar(board, which) == SCORED, 0.01)
        scored.append(time.perf_counter() - began)
    return {
        "uploads": f"one by one, {len(senders)} times",
        "acknowledged_median_s": round(statistics.median(taken), 2),
        "scored_median_s": round(statistics.median(scored), 2),
        "scored_most_s": round(max(scored), 2),
        "lost": 0,
    }


def at_once(board: core.Board, url: str, senders: list[str]) -> dict[str, Any]:
    """Everybody sends a file at the same time."""
    import httpx

    files = [predictions_file(1000 + number) for number in range(len(senders))]
    barrier, ids, times = threading.Barrier(len(senders)), [], []

    def send(token: str, data: bytes) -> None:
        barrier.wait()
        began = time.perf_counter()
        answer = httpx.post(
            f"{url}/api/v1/challenges/digits/submissions",
            files={"file": ("predictions.csv", io.BytesIO(data))},
            headers={"Authorization": f"Bearer {token}"},
            timeout=600,
        )
        times.append(time.perf_counter() - began)
        if answer.status_code == 201:
            ids.append(answer.json()["id"])
        else:
            print(answer.status_code, answer.text, file=sys.stderr)

    began = time.perf_counter()
    threads = [threading.Thread(target=send, args=pair) for pair in zip(senders, files, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pending = select(func.count()).where(Submission.state.in_(PENDING))
    wait_until(lambda: scalar(board, pending) == 0, 0.1)
    whole = time.perf_counter() - began
    there = select(func.count()).where(Submission.id.in_(ids), Submission.state == SCORED)
    return {
        "uploads": f"{len(senders)} at once",
        "acknowledged_median_s": round(statistics.median(times), 2),
        "acknowledged_most_s": round(max(times), 2),
        "all_scored_s": round(whole, 2),
        "lost": len(senders) - (scalar(board, there) or 0),
    }


def scalar(board: core.Board, what: Any) -> Any:
    with board.database.reading() as session:
        return session.scalar(what)


def wait_until(what: Any, pause: float = 0.1) -> None:
    end = time.monotonic() + 600
    while not what():
        assert time.monotonic() < end
        time.sleep(pause)


def milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
