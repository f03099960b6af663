"""Submissions are scored once, whatever dies."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from board_helpers import (
    WORKER,
    add_person,
    look,
    make_board,
    queue,
    start_worker,
    wait_for,
)
from sqlalchemy import func, select

from vipriors.board import jobs, service
from vipriors.board.core import Board
from vipriors.board.models import CANCELLED, ERROR, FAILED, SCORED, SCORING, Submission, Worker, now
from vipriors.board.worker import jobs_database, run
from vipriors.problems import BadInput

ENDLESS_SCORER = (
    """
import sys
from vipriors.board import scoring
run, code = scoring.run, "import time; time.sleep(600)"
scoring.run = lambda job, limits, wanted: run(job, limits, wanted, (sys.executable, "-c", code))
"""
    + WORKER
)


FAILING_AT_FIRST = (
    """
from vipriors.board import jobs
begin, calls = jobs.begin, []
def failing(database, submission, version):
    calls.append(submission)
    if len(calls) < 3:
        raise ConnectionError("the database was away")
    return begin(database, submission, version)
jobs.begin = failing
"""
    + WORKER
)


def all_ended(board: Board) -> bool:
    with board.database.reading() as session:
        return not session.scalar(select(func.count()).where(Submission.finished.is_(None)))


def is_any(board: Board, state: str) -> bool:
    with board.database.reading() as session:
        return bool(session.scalar(select(func.count()).where(Submission.state == state)))


def end(*workers: subprocess.Popen[bytes]) -> list[int]:
    for worker in workers:
        worker.terminate()
    return [worker.wait(120) for worker in workers]


@pytest.mark.slow
def test_two_workers_killed_while_they_score_lose_nothing_and_score_once(any_board: Board) -> None:
    person = add_person(any_board, "ada")
    sent = {queue(any_board, person, right, right): right for right in range(10, 16)}
    workers = [start_worker(any_board, 2.0), start_worker(any_board, 2.0)]
    try:
        for turn in range(2):
            wait_for(lambda: is_any(any_board, SCORING))
            workers[turn].kill()
            workers[turn].wait()
            workers += [start_worker(any_board, 2.0)] if turn == 0 else []
        wait_for(lambda: all_ended(any_board))
    finally:
        ends = end(*workers)
    assert ends == [-9, -9, 0]
    for id_, right in sent.items():
        found = look(any_board, id_)
        assert (found.state, found.message, found.due) == (SCORED, "", None)
        assert [score.value for score in found.scores if score.part == "all"] == [right / 40]
        assert len(found.scores) == 3


@pytest.mark.slow
def test_what_a_worker_that_never_comes_back_had_is_taken_by_another(board: Board) -> None:
    sent = queue(board, add_person(board, "ada"), 20)
    first = start_worker(board, 2.0, ENDLESS_SCORER)
    try:
        wait_for(lambda: look(board, sent).state == SCORING)
    finally:
        first.kill()
        first.wait()
    second = start_worker(board, 2.0)
    try:
        wait_for(lambda: look(board, sent).finished)
    finally:
        end(second)
    assert (look(board, sent).state, look(board, sent).attempts) == (SCORED, 2)


@pytest.mark.slow
def test_one_worker_lives_through_everything_that_goes_wrong(tmp_path: Path) -> None:
    board = make_board(tmp_path)
    ada = add_person(board, "ada")
    good, wrong, lost, gone = (queue(board, ada, 20, salt) for salt in range(4))
    with board.database.writing() as session, session.begin():
        # Passed the check, but the labels have changed since; and a file that the store has lost.
        unfit = board.files.put((tmp_path / "tiny.yaml").open("rb"), 10**6)
        session.get_one(Submission, wrong).file_key = unfit.key
        session.get_one(Submission, lost).file_key = f"aa/aa{'0' * 30}"
        # Its job was lost, as when the worker died before it had given it to DBOS.
        session.get_one(Submission, good).job = "a job that is not known"
        jobs.cancel(session, gone)
    worker = start_worker(board, program=FAILING_AT_FIRST)
    try:
        wait_for(lambda: all_ended(board))
        states = [look(board, id_).state for id_ in (good, wrong, lost, gone)]
        assert states == [SCORED, FAILED, ERROR, CANCELLED]
        assert look(board, wrong).message.startswith("predictions.csv, row 1: the header has 1 columns")
        assert (look(board, lost).message, look(board, lost).attempts) == (jobs.SYSTEM_ERROR, 3)
        assert service.rescore(board, "tiny") == 2
        wait_for(lambda: look(board, good).due is None)
        assert {score.labels_version for score in look(board, good).scores} == {1, 2}
        assert [heard.name for heard in living(board)] != []
    finally:
        assert end(worker) == [0]


def living(board: Board) -> list[Worker]:
    with board.database.reading() as session:
        return list(session.scalars(select(Worker).where(Worker.heartbeat > now() - timedelta(seconds=60))))


@pytest.mark.slow
def test_cancelling_and_stopping_end_what_is_under_way(board: Board) -> None:
    ada = add_person(board, "ada")
    first, second = queue(board, ada, 20), queue(board, ada, 20, 1)
    worker = start_worker(board, program=ENDLESS_SCORER)
    try:
        wait_for(lambda: is_any(board, SCORING))
        begun, other = (first, second) if look(board, first).state == SCORING else (second, first)
        service.cancel(board, ada.id, begun)
        wait_for(lambda: look(board, other).state == SCORING)
    finally:
        assert end(worker) == [0]
    assert look(board, begun).state == CANCELLED
    found = look(board, other)
    assert (found.state, found.attempts, found.job) == ("queued", 0, None)


def test_a_worker_of_a_board_that_scores_nothing_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="board setting workers: 0 scores nothing; expected at least 1"):
        run(make_board(tmp_path, workers=0))


def test_jobs_are_kept_beside_the_database(any_board: Board) -> None:
    url = jobs_database(any_board)
    if any_board.database.engine.dialect.name == "sqlite":
        assert url.endswith("/board-jobs.db")
    else:
        assert url == any_board.settings.database
