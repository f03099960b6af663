"""Every change of a submission's state is made once, whoever else is at it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from board_helpers import add_person, look, queue, the_phase

from vipriors.board import jobs
from vipriors.board.core import Board
from vipriors.board.models import CANCELLED, ERROR, FAILED, QUEUED, SCORED, SCORING, Challenge, Team
from vipriors.board.submitting import quota_left
from vipriors.problems import Problem


def scores(value: float | None) -> dict[str, dict[str, object] | None]:
    record = {"scores": {"top1": value}, "intervals": {"top1": [0.1, 0.9]}}
    return {"public": record, "private": None, "all": record}


def begin(board: Board, submission: str, version: int = 1) -> jobs.Work:
    work = jobs.begin(board.database, submission, version)
    assert work is not None
    return work


@pytest.fixture
def sent(any_board: Board) -> str:
    """A submission that waits."""
    return queue(any_board, add_person(any_board, "ada"), 20)


def test_from_queued_to_scored(any_board: Board, sent: str) -> None:
    assert look(any_board, sent).state == QUEUED
    work = begin(any_board, sent)
    assert (work.attempt, work.task, work.metric, work.public_share) == (1, "classification", "top1", 0.5)
    assert work.classes == ("a", "b", "c", "d")
    assert look(any_board, sent).state == SCORING
    assert jobs.is_wanted(any_board.database, work)
    assert jobs.finish(any_board.database, work, scores(0.5))
    found = look(any_board, sent)
    assert (found.state, found.due, found.finished is not None) == (SCORED, None, True)
    assert {score.part: (score.value, score.low, score.high) for score in found.scores} == {
        "public": (0.5, 0.1, 0.9),
        "private": (None, None, None),
        "all": (0.5, 0.1, 0.9),
    }
    assert not jobs.is_wanted(any_board.database, work)


def test_of_two_attempts_the_first_to_end_counts(any_board: Board, sent: str) -> None:
    first, second = begin(any_board, sent), begin(any_board, sent)
    assert (first.attempt, second.attempt) == (1, 2)
    assert jobs.finish(any_board.database, second, scores(0.5))
    assert not jobs.finish(any_board.database, first, scores(0.9))
    assert not jobs.fail(any_board.database, first, [Problem("x", "y")])
    jobs.give_back(any_board.database, first)
    found = look(any_board, sent)
    assert (found.state, [score.value for score in found.scores if score.part == "all"]) == (SCORED, [0.5])


def test_many_that_end_at_once_end_it_once(any_board: Board, sent: str) -> None:
    works = [begin(any_board, sent) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda work: jobs.finish(any_board.database, work, scores(0.5)), works))
    assert sorted(ended) == [False, False, True]
    assert len(look(any_board, sent).scores) == 3


def test_an_attempt_that_is_late_gives_nothing_back(any_board: Board, sent: str) -> None:
    first = begin(any_board, sent)
    begin(any_board, sent)
    jobs.give_back(any_board.database, first)
    assert look(any_board, sent).state == SCORING


def test_after_three_attempts_it_is_the_boards_error(any_board: Board, sent: str) -> None:
    for attempt in (1, 2, 3):
        work = begin(any_board, sent)
        assert work.attempt == attempt
        jobs.give_back(any_board.database, work)
    found = look(any_board, sent)
    assert (found.state, found.due, found.message) == (ERROR, None, jobs.SYSTEM_ERROR)
    assert found.scores == []
    assert jobs.begin(any_board.database, sent, 1) is None


def test_after_three_killed_workers_too(any_board: Board, sent: str) -> None:
    for _ in range(3):
        begin(any_board, sent)
    assert jobs.begin(any_board.database, sent, 1) is None
    assert look(any_board, sent).state == ERROR


def test_a_worker_that_is_told_to_end_uses_no_attempt(any_board: Board, sent: str) -> None:
    for _ in range(5):
        jobs.give_back(any_board.database, begin(any_board, sent), counts=False)
    assert (look(any_board, sent).state, look(any_board, sent).attempts) == (QUEUED, 0)


def test_a_file_that_cannot_be_scored(any_board: Board, sent: str) -> None:
    assert jobs.fail(any_board.database, begin(any_board, sent), [Problem("a", "b"), Problem("c", "d")])
    assert (look(any_board, sent).state, look(any_board, sent).message) == (FAILED, "a: b\nc: d")


@pytest.mark.parametrize("begun", [False, True])
def test_cancelled_is_cancelled(any_board: Board, sent: str, begun: bool) -> None:
    work = begin(any_board, sent) if begun else None
    with any_board.database.writing() as session, session.begin():
        assert jobs.cancel(session, sent)
        assert not jobs.cancel(session, sent)
    assert look(any_board, sent).state == CANCELLED
    assert jobs.begin(any_board.database, sent, 1) is None
    if work:
        assert not jobs.is_wanted(any_board.database, work)
        assert not jobs.finish(any_board.database, work, scores(1.0))
        assert look(any_board, sent).scores == []


def end_as(board: Board, submission: str, state: str) -> None:
    if state == SCORED:
        jobs.finish(board.database, begin(board, submission), scores(0.5))
    elif state == FAILED:
        jobs.fail(board.database, begin(board, submission), [])
    elif state == ERROR:
        for _ in range(3):
            jobs.give_back(board.database, begin(board, submission))
    elif state == CANCELLED:
        with board.database.writing() as session, session.begin():
            jobs.cancel(session, submission)
    elif state == SCORING:
        begin(board, submission)


@pytest.mark.parametrize("state", [QUEUED, SCORING, SCORED, FAILED, ERROR, CANCELLED])
def test_what_waits_or_is_scored_uses_quota(board: Board, state: str) -> None:
    sent = queue(board, add_person(board, "ada"), 20)
    end_as(board, sent, state)
    found = look(board, sent)
    assert found.state == state
    with board.database.reading() as session:
        phase = the_phase(board)
        phase.total = 10
        left = quota_left(session, phase, session.get(Team, found.team_id), found.received).total
    assert left == (9 if state in (QUEUED, SCORING, SCORED) else 10)


def rescore(board: Board) -> int:
    with board.database.writing() as session, session.begin():
        return jobs.rescore(session, session.get_one(Challenge, 1))


def versions(board: Board) -> tuple[int, int]:
    with board.database.reading() as session:
        challenge = session.get_one(Challenge, 1)
        return challenge.labels_version, challenge.shown_version


def test_new_scores_rank_when_all_have_them(any_board: Board) -> None:
    person = add_person(any_board, "ada")
    states = [SCORED, SCORED, FAILED, ERROR, CANCELLED, QUEUED]
    ids = [queue(any_board, person, 20, salt) for salt in range(6)]
    for id_, state in zip(ids, states, strict=True):
        end_as(any_board, id_, state)
    assert rescore(any_board) == 4
    assert [look(any_board, id_).state for id_ in ids] == [SCORED, SCORED, FAILED, QUEUED, CANCELLED, QUEUED]
    assert versions(any_board) == (2, 1)
    assert jobs.begin(any_board.database, ids[0], 1) is None
    assert jobs.finish(any_board.database, begin(any_board, ids[0], 2), scores(0.6))
    assert versions(any_board) == (2, 1)
    assert jobs.finish(any_board.database, begin(any_board, ids[1], 2), scores(0.7))
    assert versions(any_board) == (2, 2)
    kept = [
        (score.labels_version, score.value) for score in look(any_board, ids[0]).scores if score.part == "all"
    ]
    assert kept == [(1, 0.5), (2, 0.6)]


def test_scoring_anew_while_it_is_scored(any_board: Board, sent: str) -> None:
    old = begin(any_board, sent)
    assert rescore(any_board) == 1
    assert versions(any_board) == (2, 2)
    assert not jobs.finish(any_board.database, old, scores(0.1))
    assert jobs.finish(any_board.database, begin(any_board, sent, 2), scores(0.6))
    assert {score.labels_version for score in look(any_board, sent).scores} == {2}


def test_scoring_anew_again_before_all_was_done(any_board: Board, sent: str) -> None:
    jobs.finish(any_board.database, begin(any_board, sent), scores(0.5))
    rescore(any_board)
    rescore(any_board)
    assert versions(any_board) == (3, 1)
    assert jobs.begin(any_board.database, sent, 2) is None
    jobs.finish(any_board.database, begin(any_board, sent, 3), scores(0.6))
    assert versions(any_board) == (3, 3)
