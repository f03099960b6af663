"""A board in this process: takes the runs in a folder as submissions, scores them, prints the leaderboards.

    python examples/local_board.py RUNS [--home DIR]

`RUNS` holds finished runs of `vipriors run … --floors`, such as those that `make demo` makes. Each method
enters as a team of its own. The board stays in its folder: `vipriors board serve --home DIR` shows its pages.
"""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from vipriors.board import service
from vipriors.board.models import PENDING, Challenge, Person, Submission
from vipriors.board.settings import read_settings
from vipriors.board.worker import Process
from vipriors.challenges import find
from vipriors.runs.listing import finished_runs
from vipriors.runs.records import RunRecipe, RunRecord

PATIENCE = 300.0
"""Seconds after which scoring is given up."""


def main() -> None:
    """Submits, scores, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--home", type=Path, help="the board's folder (default: RUNS/board)")
    arguments = parser.parse_args()
    board = service.open_board(read_settings(home=arguments.home or arguments.runs / "board"))
    names = [submit_run(board, folder) for folder in runs_in(arguments.runs)]
    score_all(board)
    for name in dict.fromkeys(names):
        print_leaderboard(board, name)


def runs_in(folder: Path) -> Iterator[Path]:
    """The runs in a folder, each with its floors behind it."""
    for run in finished_runs(folder):
        yield run.folder
        yield from (record.parent for record in sorted(run.folder.glob("floors/*/record.json")))


def submit_run(board: service.Board, folder: Path) -> str:
    """Submits the predictions of a run, and says to which challenge. Sent a second time, it is known."""
    recipe, record = RunRecipe.read(folder), RunRecord.read(folder)
    name = recipe.challenge.name
    with board.database.reading() as session:
        known = session.scalar(select(Challenge.id).where(Challenge.name == name))
        person_id = session.scalar(select(Person.id).where(Person.name == recipe.method))
    if known is None:
        service.add_challenge(board, find(name), public_share=1.0)
    if person_id is None:
        email, password = f"{recipe.method}@example.org", secrets.token_urlsafe(16)
        person_id = service.sign_up(board, recipe.method, email, password).id
    declaration = {
        "data": f"the challenge's own {record.counts.train + record.counts.val} labelled samples",
        "parameters": record.facts.get("parameters"),
        "cost": f"{record.facts['seconds']} s" if "seconds" in record.facts else "",
    }
    with (folder / record.predictions).open("rb") as file:
        service.submit(board, person_id, name, file, record.predictions, declaration=declaration)
    return name


def score_all(board: service.Board) -> None:
    """Scores what waits."""
    process = Process(board)
    process.start()
    try:
        until = time.monotonic() + PATIENCE
        while waiting(board):
            if time.monotonic() > until:
                raise SystemExit(f"{waiting(board)} submissions are not scored after {PATIENCE:.0f} s")
            time.sleep(0.2)
    finally:
        process.stop()


def waiting(board: service.Board) -> int:
    """How many submissions have no outcome yet."""
    with board.database.reading() as session:
        pending = select(func.count()).select_from(Submission).where(Submission.state.in_(PENDING))
        return session.scalar(pending) or 0


def print_leaderboard(board: service.Board, name: str) -> None:
    """Prints the leaderboard of a challenge's first phase."""
    with board.database.reading() as session:
        challenge = session.scalars(select(Challenge).where(Challenge.name == name)).one()
        found = service.leaderboard(session, challenge.phases[0])
        print(f"\n{challenge.title} ({challenge.metric})")
        for line in found.lines:
            entry, rank = line.place.entry, line.place.rank
            numbers = "not defined"
            if entry.value is not None:
                numbers = f"{entry.value:.3f}  (95 % interval {entry.low:.3f} to {entry.high:.3f})"
            print(f"  {rank or '–':>2}  {line.team:24} {numbers}")


if __name__ == "__main__":
    main()
