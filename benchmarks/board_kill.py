"""Kills a board's processes at random moments and counts what is lost: nothing may be.

Two processes score and one takes submissions, as a server does: it notes each that it has acknowledged. One
of the three, drawn by chance, is killed with SIGKILL after a random time, and started again; so 200 times. Of
five kills one may hit a process that is still starting; the others wait until it works, however slow the
machine is.
Then every acknowledged submission must be there and have ended, scored with the right score and once, or, if
three of its attempts were killed, given up as the board's error.

    python benchmarks/board_kill.py [--kills 200] [--seed 0] [--database postgresql://user@host/empty]

Prints one JSON object, and what is wrong to standard error; the exit status is 1 if anything was lost, made
twice, or scored wrong.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

IDS = [f"img_{number}.png" for number in range(40)]
CHALLENGE = """\
name: tiny
title: A tiny challenge
task: classification
source: {kind: folder, path: nowhere, classes: [a, b, c, d]}
input: {size: [8, 8]}
"""
LOST_AFTER = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=6.0, help="seconds between two kills")
    parser.add_argument("--database", default="", help="an empty one; SQLite by default")
    parser.add_argument("--json", action="store_true", help="as it always does")
    parser.add_argument("--role", choices=("worker", "server"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "worker":
        return work()
    if arguments.role == "server":
        return serve()
    with tempfile.TemporaryDirectory(prefix="vipriors-kill-") as home:
        return torment(Path(home), arguments.kills, arguments.seed, arguments.longest, arguments.database)


def torment(home: Path, kills: int, seed: int, longest: float, database: str) -> int:
    """Runs it all and reports."""
    os.environ["VIPRIORS_BOARD_HOME"] = str(home / "board")
    os.environ["VIPRIORS_BOARD_UPLOADS_A_MINUTE"] = "1000000"
    if database:
        os.environ["VIPRIORS_BOARD_DATABASE"] = database
    os.environ["KILL_NOTES"] = str(home / "notes")
    from sqlalchemy import select

    from vipriors.board import service
    from vipriors.board.models import ERROR, PENDING, SCORED, Submission
    from vipriors.board.settings import read_settings

    board = service.open_board(read_settings())
    (home / "tiny.yaml").write_text(CHALLENGE)
    rows = "".join(f"{id_},{number % 4}\n" for number, id_ in enumerate(IDS))
    (home / "labels.csv").write_text(f"Image IDs,Labels\n{rows}")
    service.add_challenge(board, home / "tiny.yaml", home / "labels.csv")
    service.sign_up(board, "ada", "ada@example.org", "correct horse battery")

    def start(role: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, __file__, "--role", role], stdout=subprocess.PIPE)

    chance, started = random.Random(seed), time.monotonic()
    roles = ["worker", "worker", "server"]
    processes = [start(role) for role in roles]
    killed: Counter[str] = Counter()
    try:
        for _ in range(kills):
            which = chance.randrange(3)
            if chance.random() < 0.8:
                processes[which].stdout.readline()  # its first line: it works
            time.sleep(chance.uniform(0, longest))
            processes[which].kill()
            processes[which].wait()
            killed[roles[which]] += 1
            processes[which] = start(roles[which])
        processes[2].kill()
        processes[2].wait()
        end = time.monotonic() + 1200
        while time.monotonic() < end:
            with board.database.reading() as session:
                if session.scalar(select(Submission.id).where(Submission.state.in_(PENDING))) is None:
                    break
            time.sleep(1)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    noted = dict(line.split() for line in (home / "notes").read_text().splitlines())
    wrong: list[str] = []
    with board.database.reading() as session:
        made = {each.id: each for each in session.scalars(select(Submission))}
        wrong += [f"{id_} was acknowledged and is lost" for id_ in noted.keys() - made.keys()]
        for id_, each in made.items():
            parts = Counter(score.part for score in each.scores)
            values = {score.value for score in each.scores if score.part == "all"}
            if each.state == SCORED:
                if parts != Counter(["public", "private", "all"]):
                    wrong.append(f"{id_} is scored {dict(parts)}")
                if id_ in noted and values != {int(noted[id_]) / len(IDS)}:
                    wrong.append(f"{id_} has {values} instead of {noted[id_]} of {len(IDS)}")
            elif each.state != ERROR or each.attempts != 3 or parts:
                wrong.append(f"{id_} is {each.state} after {each.attempts} attempts with {dict(parts)}")
        states = Counter(each.state for each in made.values())
        again = sum(each.attempts > 1 for each in made.values())
    for line in wrong:
        print(line, file=sys.stderr)
    report = {
        "database": board.database.engine.dialect.name,
        "workers_killed": killed["worker"],
        "servers_killed": killed["server"],
        "acknowledged": len(noted),
        "scored": states[SCORED],
        "of_them_begun_again": again - states[ERROR],
        "given_up": states[ERROR],
        "lost_or_wrong": len(wrong),
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(report))
    return 1 if wrong else 0


def work() -> int:
    """Scores until it is killed."""
    from vipriors.board import core, worker
    from vipriors.board.settings import read_settings

    logging.basicConfig(level=logging.ERROR)
    print("working", flush=True)
    worker.run(core.open_board(read_settings()), lost_after=LOST_AFTER, retry_after=0.1)
    return 0


def serve() -> int:
    """Takes submissions until it is killed, and notes each that it acknowledged."""
    from vipriors.board import service
    from vipriors.board.settings import read_settings

    board = service.open_board(read_settings())
    chance = random.Random()
    while True:
        right = chance.randrange(len(IDS) + 1)
        rows = [f"{id_},{(number + (number >= right)) % 4}\n" for number, id_ in enumerate(IDS)]
        chance.shuffle(rows)
        data = ("Image IDs,Predictions\n" + "".join(rows)).encode()
        made = service.submit(board, 1, "tiny", io.BytesIO(data), "p.csv").submission
        with Path(os.environ["KILL_NOTES"]).open("a") as notes:
            notes.write(f"{made.id} {right}\n")
        print("working", flush=True)
        time.sleep(chance.uniform(0, 1))


if __name__ == "__main__":
    sys.exit(main())
