"""What people do on a board: add challenges, team up, submit within their quota, and see who leads."""

import io
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from board_helpers import (
    CHALLENGE,
    PASSWORD,
    add_person,
    labels,
    look,
    make_board,
    predictions,
    queue,
    send,
    the_phase,
)
from sqlalchemy import func, select

from vipriors.board import choosing, jobs, scoring, service, submitting
from vipriors.board.core import Board, RateLimit
from vipriors.board.models import (
    CANCELLED,
    SCORED,
    Challenge,
    LogEntry,
    Membership,
    Person,
    Phase,
    Score,
    Submission,
    Team,
)
from vipriors.challenges import embedded
from vipriors.problems import BadInput, Problem

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not checked, which takes a process each."""
    monkeypatch.setattr(submitting, "_check", lambda *_: [])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The moment that submissions are sent at."""
    moment = [NOW]
    monkeypatch.setattr(submitting, "now", lambda: moment[0])
    return moment


def a_phase(**changes: Any) -> dict[str, Any]:
    return {"start": NOW - timedelta(days=9), **changes}


def message(call: Any) -> str:
    with pytest.raises(BadInput) as caught:
        call()
    return str(caught.value)


def count(board: Board, what: Any) -> int:
    with board.database.reading() as session:
        return session.scalar(select(func.count()).select_from(what)) or 0


# Challenges


def test_a_challenge_with_its_own_labels(board: Board, tmp_path: Path) -> None:
    service.add_challenge(board, embedded()["digits"], public_share=0.25, baseline=("SVM", 0.8))
    with board.database.reading() as session:
        found = session.scalars(select(Challenge).where(Challenge.name == "digits")).one()
        assert (found.task, found.metric, found.public_share) == ("classification", "top1", 0.25)
        assert (found.classes, found.labels_name) == ([str(n) for n in range(10)], "labels.csv")
        assert [(phase.name, phase.end, phase.shows) for phase in found.phases] == [("main", None, "public")]
        with board.files.open(found.labels_key) as file:
            lines = file.read().decode().splitlines()
    from vipriors.challenges.hidden import find_hidden_test

    truth = find_hidden_test("digits").truth
    assert lines == ["Image IDs,Labels", *(f"{id_},{truth.labels[id_]}" for id_ in truth.index.ids)]


def test_a_challenge_whose_labels_are_maps(board: Board, tmp_path: Path) -> None:
    service.add_challenge(board, embedded()["digits-segmentation"])
    with board.database.reading() as session:
        found = session.scalars(select(Challenge).where(Challenge.name == "digits-segmentation")).one()
    from vipriors.challenges.hidden import find_hidden_test

    hidden = find_hidden_test("digits-segmentation")
    with board.files.local(found.labels_key) as file:
        truth = hidden.task.open_truth(file, found.classes)
    assert (truth.index, truth.classes) == (hidden.truth.index, hidden.truth.classes)
    assert found.labels_name == "labels.zip"


def test_what_an_organizer_gets_wrong(board: Board, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("Image IDs,Labels\na,x\n")
    (tmp_path / "other.yaml").write_text(CHALLENGE.replace("tiny", "other"))
    challenge, other, good = tmp_path / "tiny.yaml", tmp_path / "other.yaml", tmp_path / "labels.csv"
    assert "name: is taken by a challenge of this board; expected another than 'tiny'" in message(
        lambda: service.add_challenge(board, challenge, good)
    )
    assert "bad.csv, row 2: 'x' is no class" in message(
        lambda: service.add_challenge(board, other, tmp_path / "bad.csv")
    )
    assert message(lambda: service.add_challenge(board, other, good, public_share=0)) == (
        "public share: 0; expected more than 0 and at most 1"
    )
    assert count(board, Challenge) == 1
    with pytest.raises(ValueError, match="the end is not after the start"):
        service.PhasePlan(start=NOW, end=NOW)
    with pytest.raises(ValueError, match="timezone"):
        service.PhasePlan(start=datetime(2026, 1, 1))


# People and teams


def test_signing_up(board: Board) -> None:
    made = service.sign_up(board, "Ada L.", " Ada@Example.org ", PASSWORD)
    assert (made.name, made.email, made.admin) == ("Ada L.", "ada@example.org", False)
    assert made.password_hash.startswith("$argon2id$")
    taken = message(lambda: service.sign_up(board, "Ada L.", "ada@example.org", PASSWORD))
    assert taken == (
        "name: 'Ada L.' is taken; expected another\nemail: 'ada@example.org' is taken; expected another"
    )
    assert message(lambda: service.sign_up(board, " x\n", "x@y", "short")).splitlines() == [
        "name: is ' x\\n'; expected 1 to 60 printable characters without spaces around them",
        "email: 'x@y' is no address; expected one such as ada@uni.org",
        "password: has 5 characters; expected 10 to 200",
    ]


def test_a_closed_board_signs_nobody_up(tmp_path: Path) -> None:
    board = make_board(tmp_path, open_sign_up=False)
    with pytest.raises(service.Forbidden):
        service.sign_up(board, "ada", "ada@x.org", PASSWORD)
    assert service.sign_up(board, "root", "root@x.org", PASSWORD, admin=True).admin


def test_teams(any_board: Board) -> None:
    ada, bob = add_person(any_board, "ada"), add_person(any_board, "bob")
    with any_board.database.writing() as session, session.begin():
        challenge = session.scalars(select(Challenge)).one()
        team = service.create_team(session, ada, challenge, "The A")
        assert service.team_of(session, ada, challenge) is team
        assert service.alone(session, ada, challenge) is team
        assert message(lambda: service.create_team(session, ada, challenge, "B")) == (
            "team: you are in 'The A' already; leave it first"
        )
        assert message(lambda: service.create_team(session, bob, challenge, "The A")) == (
            "team name: 'The A' is taken in this challenge; expected another"
        )
        service.join(session, bob, team)
        with pytest.raises(BadInput):
            service.join(session, bob, team)
        service.leave(session, ada, challenge)
        assert service.team_of(session, ada, challenge) is None
        assert message(lambda: service.leave(session, ada, challenge)) == (
            "team: you are in no team of this challenge"
        )
        assert service.team_of(session, bob, challenge) is team
        service.create_team(session, ada, challenge, "bob")
        service.leave(session, bob, challenge)
        assert service.alone(session, bob, challenge).name == "bob 2"


def test_one_person_joins_one_team_however_often_at_once(any_board: Board) -> None:
    ada = add_person(any_board, "ada")
    barrier = threading.Barrier(4)

    def join(number: int) -> bool:
        barrier.wait(60)
        try:
            with any_board.database.writing() as session, session.begin():
                challenge = session.scalars(select(Challenge)).one()
                service.create_team(session, ada, challenge, f"team {number}")
        except BadInput:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(join, range(4))) == 1
    assert count(any_board, Membership) == 1


# Submitting


def test_a_wrong_file_is_answered_at_once_and_leaves_nothing(board: Board) -> None:
    ada = add_person(board, "ada")
    data = predictions(40).replace(b"img_3.png,3", b"img_3.png,7")
    assert message(lambda: send(board, ada, data)) == (
        "predictions.csv, row 5: class '7' is out of range; expected 0 to 3"
    )
    assert (count(board, Submission), count(board, Team)) == (0, 0)


def test_a_right_file_waits_to_be_scored(any_board: Board) -> None:
    ada = add_person(any_board, "ada")
    receipt = send(any_board, ada, predictions(30), declaration={"kind": "ensemble", "parameters": 7})
    found = look(any_board, receipt.submission.id)
    assert (found.state, found.due, found.late, receipt.again) == ("queued", 1, False, False)
    costs = {"parameters": 7, "cost": "", "gpu_hours": None, "flops": None}
    assert found.declaration == {"kind": "ensemble", "data": "", **costs, "card": ""}
    with any_board.files.open(found.file_key) as file:
        assert file.read() == predictions(30)
    with any_board.database.reading() as session:
        assert session.get_one(Team, found.team_id).name == "ada"
        assert service.place_in_queue(session, found) == 1


def test_a_check_that_takes_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = make_board(tmp_path)
    program = (sys.executable, "-c", "import signal, os; os.kill(os.getpid(), signal.SIGXCPU)")
    run = scoring.run
    monkeypatch.setattr(scoring, "run", lambda job, limits: run(job, limits, program=program))
    assert message(lambda: send(board, add_person(board, "ada"), b"x")) == (
        "predictions.csv: checking it takes more than 600 seconds of CPU time, the most that is given"
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"upload_key": ""}, "upload key: expected 1 to 64 printable characters"),
        ({"upload_key": "x" * 65}, "upload key: expected 1 to 64 printable characters"),
        ({"declaration": {"kind": "some"}}, "declaration, kind: Input should be 'single' or 'ensemble'"),
        ({"declaration": {"extra": 1}}, "declaration, extra: Extra inputs are not permitted"),
    ],
)
@pytest.mark.usefixtures("trusting")
def test_what_a_sender_gets_wrong(board: Board, options: dict[str, Any], problem: str) -> None:
    assert len(predictions(1)) == 532
    ada = add_person(board, "ada")
    assert message(lambda: send(board, ada, predictions(1), **options)) == problem
    assert count(board, Submission) == 0


@pytest.mark.usefixtures("trusting")
def test_too_large_an_upload(tmp_path: Path) -> None:
    board = make_board(tmp_path, upload_bytes=500)
    assert message(lambda: send(board, add_person(board, "ada"), predictions(1))) == (
        "upload: is larger than 500 bytes, the most that is taken"
    )


@pytest.mark.usefixtures("trusting")
def test_who_may_submit(board: Board) -> None:
    ada = add_person(board, "ada")
    with pytest.raises(service.NotFound):
        service.submit(board, ada.id, "none", io.BytesIO(b"x"), "x")
    with pytest.raises(service.NotFound):
        send(board, ada, b"x", phase_name="none")
    with pytest.raises(service.Forbidden):
        service.submit(board, 99, "tiny", io.BytesIO(b"x"), "x")
    with board.database.writing() as session, session.begin():
        session.scalars(select(Challenge)).one().hidden = True
    with pytest.raises(service.NotFound):
        send(board, ada, b"x")
    service.make_organizer(board, "tiny", "ada")
    assert send(board, ada, b"x").submission.state == "queued"
    with board.database.writing() as session, session.begin():
        session.get_one(Person, ada.id).disabled = NOW
    with pytest.raises(service.Forbidden):
        send(board, ada, b"y")


@pytest.mark.usefixtures("trusting")
def test_the_same_upload_twice_is_one_submission(board: Board) -> None:
    ada = add_person(board, "ada")
    first, second = send(board, ada, b"x"), send(board, ada, b"x")
    assert (first.again, second.again) == (False, True)
    assert second.submission.id == first.submission.id
    assert not send(board, ada, b"y").again
    service.cancel(board, ada.id, first.submission.id)
    third = send(board, ada, b"x")
    assert not third.again
    assert send(board, ada, b"x").submission.id == third.submission.id
    other = send(board, add_person(board, "bob"), b"x")
    assert other.submission.id not in (first.submission.id, third.submission.id)


@pytest.mark.usefixtures("trusting")
def test_the_same_key_twice_is_one_submission_whatever_came_of_it(board: Board) -> None:
    ada = add_person(board, "ada")
    first = send(board, ada, b"x", upload_key="k")
    service.cancel(board, ada.id, first.submission.id)
    again = send(board, ada, b"x", upload_key="k")
    assert (again.again, again.submission.id, again.submission.state) == (
        True,
        first.submission.id,
        CANCELLED,
    )
    assert message(lambda: send(board, ada, b"y", upload_key="k")) == (
        f"upload key: 'k' was the key of another file, submission {first.submission.id}; expected a new one"
    )
    assert not send(board, ada, b"x", upload_key="l").again


@pytest.mark.usefixtures("trusting")
def test_the_same_upload_by_many_at_once_is_one_submission(any_board: Board) -> None:
    ada = add_person(any_board, "ada")
    barrier = threading.Barrier(4)

    def upload(_: int) -> str:
        barrier.wait(60)
        return send(any_board, ada, b"x", upload_key="k").submission.id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(upload, range(4)))) == 1
    assert (count(any_board, Submission), count(any_board, Team)) == (1, 1)


@pytest.mark.usefixtures("trusting")
def test_many_uploads_at_once_do_not_exceed_the_quota(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_quota = submitting._refuse_beyond_quota

    def slowly(*given: Any) -> None:
        look_at_quota(*given)
        time.sleep(0.3)  # so that others look before this one has added its submission

    monkeypatch.setattr(submitting, "_refuse_beyond_quota", slowly)
    board = make_board(tmp_path, [a_phase(total=2)], database=database_url)
    team = [add_person(board, name) for name in "abcd"]
    with board.database.writing() as session, session.begin():
        challenge = session.scalars(select(Challenge)).one()
        together = service.create_team(session, team[0], challenge, "all")
        for person in team[1:]:
            service.join(session, person, together)
    barrier = threading.Barrier(4)

    def upload(person: Person) -> bool:
        barrier.wait(60)
        try:
            return not send(board, person, person.name.encode()).again
        except BadInput:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(upload, team)) == 2
    assert count(board, Submission) == 2


@pytest.mark.usefixtures("trusting")
def test_quotas_are_the_teams_and_days_are_utc(tmp_path: Path, clock: list[datetime]) -> None:
    board = make_board(tmp_path, [a_phase(per_day=2, total=3)])
    ada, bob = add_person(board, "ada"), add_person(board, "bob")
    with board.database.writing() as session, session.begin():
        challenge = session.scalars(select(Challenge)).one()
        service.join(session, bob, service.create_team(session, ada, challenge, "both"))
    clock[0] = datetime(2026, 5, 4, 23, 59, tzinfo=UTC)
    first = send(board, ada, b"1")
    send(board, bob, b"2")
    day = "phase main: the team has used all 2 submissions of the day; more from 2026-05-05 00:00 UTC on"
    assert message(lambda: send(board, ada, b"3")) == day
    assert send(board, ada, b"1").again
    service.cancel(board, bob.id, first.submission.id)
    send(board, ada, b"3")
    assert message(lambda: send(board, bob, b"4")) == day
    clock[0] = datetime(2026, 5, 5, 0, 0, tzinfo=UTC)
    send(board, bob, b"4")
    assert message(lambda: send(board, bob, b"5")) == (
        "phase main: the team has used all 3 submissions of the phase"
    )
    with board.database.reading() as session:
        phase, team = session.scalars(select(Phase)).one(), session.scalars(select(Team)).one()
        quota = service.quota_left(session, phase, team, clock[0])
        assert (quota.today, quota.total, quota.left) == (1, 0, 0)
        assert quota.next_day == datetime(2026, 5, 6, tzinfo=UTC)
        nobody = service.quota_left(session, phase, None, clock[0])
        assert (nobody.today, nobody.total, nobody.left) == (2, 3, 2)


@pytest.mark.usefixtures("trusting")
def test_phases_open_and_close(tmp_path: Path, clock: list[datetime]) -> None:
    minute = timedelta(minutes=1)
    phases = [
        {"name": "one", "start": NOW, "end": NOW + 60 * minute, "grace_minutes": 10},
        {"name": "two", "start": NOW + 65 * minute, "end": NOW + 90 * minute},
    ]
    board = make_board(tmp_path, phases)
    ada = add_person(board, "ada")
    seen = []
    for at, data in ((0, b"a"), (60, b"b"), (61, b"c"), (65, b"d"), (90, b"e")):
        clock[0] = NOW + at * minute
        sent = send(board, ada, data).submission
        seen.append((sent.phase_id, sent.late))
    assert seen == [(1, False), (1, False), (1, True), (2, False), (2, False)]
    clock[0] = NOW + 70 * minute
    assert send(board, ada, b"f", phase_name="one").submission.late
    for at, name, expected in (
        (-1, None, "phase one: takes submissions from 2026-05-04 12:30 UTC on"),
        (71, "one", "phase one: ended at 2026-05-04 13:30 UTC"),
        (64, "two", "phase two: takes submissions from 2026-05-04 13:35 UTC on"),
        (91, None, "phase two: ended at 2026-05-04 14:00 UTC"),
    ):
        clock[0] = NOW + at * minute
        assert message(lambda name=name: send(board, ada, b"z", phase_name=name)) == expected


def test_endless_failing_uploads_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = make_board(tmp_path, uploads_a_minute=2)
    monkeypatch.setattr(submitting, "_check", lambda *_: [Problem("x", "wrong")])
    ada = add_person(board, "ada")
    for _ in range(2):
        assert message(lambda: send(board, ada, b"x")) == "x: wrong"
    with pytest.raises(service.TooMany, match=r"too many uploads in a minute; the next is taken in \d+ s"):
        send(board, ada, b"x")
    assert message(lambda: send(board, add_person(board, "bob"), b"x")) == "x: wrong"


def test_a_rate_limit_lets_so_many_through_in_any_minute() -> None:
    limit = RateLimit(2)
    limit.take(1, 100.0)
    limit.take(1, 130.0)
    with pytest.raises(service.TooMany) as caught:
        limit.take(1, 145.0)
    assert caught.value.seconds == 15
    limit.take(1, 160.0)
    with pytest.raises(service.TooMany):
        limit.take(1, 161.0)


def test_who_may_cancel(board: Board) -> None:
    ada, bob = add_person(board, "ada"), add_person(board, "bob")
    first, second = queue(board, ada, 1), queue(board, ada, 2, 1)
    for person, submission in ((bob, first), (ada, "none")):
        with pytest.raises(service.NotFound):
            service.cancel(board, person.id, submission)
    service.cancel(board, ada.id, first)
    assert (
        message(lambda: service.cancel(board, ada.id, first)) == f"submission {first}: is cancelled already"
    )
    service.make_organizer(board, "tiny", "bob")
    service.cancel(board, bob.id, second)
    assert look(board, second).state == CANCELLED


# Leaderboards


def test_rescoring_with_other_labels(board: Board, tmp_path: Path) -> None:
    sent = queue(board, add_person(board, "ada"), 40)
    work = jobs.begin(board.database, sent, 1)
    assert work is not None
    jobs.finish(board.database, work, {})
    (tmp_path / "new.csv").write_text(labels(shift=1))
    assert service.rescore(board, "tiny", tmp_path / "new.csv", reason="two were swapped") == 1
    work = jobs.begin(board.database, sent, 2)
    assert work is not None
    with board.files.open(work.labels_key) as file:
        assert file.read().decode() == labels(shift=1)
    with board.database.reading() as session:
        entry = session.scalars(select(LogEntry).where(LogEntry.action == "rescore")).one()
        assert (entry.subject, entry.detail["reason"]) == ("tiny", "two were swapped")
        assert entry.detail["before"]["labels_version"] == 1
    (tmp_path / "new.csv").write_text("")
    assert "the file is empty" in message(lambda: service.rescore(board, "tiny", tmp_path / "new.csv"))
    with pytest.raises(service.NotFound):
        service.rescore(board, "none")


def scored(board: Board, name: str, at: datetime, **values: float | None) -> Submission:
    """A submission of the team `name` with a score of each part."""
    with board.database.writing() as session, session.begin():
        person = session.scalar(select(Person).where(Person.name == name)) or add_to(session, name)
        challenge = session.scalars(select(Challenge)).one()
        team = service.alone(session, person, challenge)
        made = Submission(
            id=submitting.new_id(at),
            phase_id=challenge.phases[0].id,
            team_id=team.id,
            person_id=person.id,
            received=at,
            file_key="",
            file_name="",
            sha256="",
            size=1,
            upload_key=str(at),
            state=SCORED,
        )
        session.add(made)
        for part, value in values.items():
            session.add(Score(submission=made, part=part, labels_version=1, value=value, record={}))
    return made


def add_to(session: Any, name: str) -> Person:
    person = Person(name=name, email=f"{name}@x.org", password_hash="")
    session.add(person)
    session.flush()
    return person


def shown(
    board: Board, at: datetime = NOW, **options: Any
) -> tuple[str, list[tuple[str, int | None, float | None]]]:
    with board.database.reading() as session:
        phase = session.scalars(select(Phase)).one()
        found = service.leaderboard(session, phase, at, **options)
    return found.part, [(line.team, line.place.rank, line.place.entry.value) for line in found.lines]


def test_the_public_part_is_shown_until_the_end_and_then_the_private_one(tmp_path: Path) -> None:
    end = NOW + timedelta(hours=1)
    board = make_board(tmp_path, [a_phase(end=end, grace_minutes=5)])
    scored(board, "ada", NOW - timedelta(days=2), public=0.5, private=0.9, all=0.7)
    scored(board, "bob", NOW - timedelta(days=1), public=0.6, private=0.8, all=0.7)
    scored(board, "cyd", NOW, public=None, private=None, all=None)
    public = ("public", [("bob", 1, 0.6), ("ada", 2, 0.5), ("cyd", None, None)])
    private = ("private", [("ada", 1, 0.9), ("bob", 2, 0.8), ("cyd", None, None)])
    assert shown(board) == shown(board, end + timedelta(minutes=5)) == public
    assert shown(board, end + timedelta(minutes=6)) == private
    assert shown(board, part="all")[1][:2] == [("ada", 1, 0.7), ("bob", 1, 0.7)]


def test_what_stood_by_the_shown_part_ranks_in_the_end(tmp_path: Path) -> None:
    """Not what would do best on the private part, by which nobody may choose."""
    end = NOW + timedelta(hours=1)
    board = make_board(tmp_path, [a_phase(end=end)])
    scored(board, "ada", NOW - timedelta(minutes=3), public=0.7, private=0.5)
    scored(board, "ada", NOW - timedelta(minutes=2), public=0.6, private=0.9)
    scored(board, "bob", NOW - timedelta(minutes=1), public=0.4, private=0.6)
    assert shown(board)[1] == [("ada", 1, 0.7), ("bob", 2, 0.4)]
    assert shown(board, end + timedelta(seconds=1))[1] == [("bob", 1, 0.6), ("ada", 2, 0.5)]


def test_nothing_is_chosen_when_the_final_scores_are_known(tmp_path: Path) -> None:
    board = make_board(tmp_path, [a_phase(end=NOW - timedelta(hours=1))])
    sent = scored(board, "ada", NOW - timedelta(hours=2), public=0.6, private=0.9)
    with pytest.raises(BadInput, match="stands or not as when its phase ended"):
        choosing.choose(board, sent.person_id, sent.id)


def test_of_a_hidden_phase_the_best_on_the_public_part_ranks(tmp_path: Path) -> None:
    board = make_board(tmp_path, [a_phase(end=NOW, shows="hidden", final_part="private")])
    scored(board, "ada", NOW - timedelta(minutes=3), public=0.7, private=0.5)
    scored(board, "ada", NOW - timedelta(minutes=2), public=0.6, private=0.9)
    assert shown(board, NOW + timedelta(seconds=1)) == ("private", [("ada", 1, 0.5)])


def test_a_hidden_board_lists_nothing_before_the_end(tmp_path: Path) -> None:
    board = make_board(tmp_path, [a_phase(end=NOW, shows="hidden", final_part="all")])
    scored(board, "ada", NOW, public=0.5, private=0.9, all=0.7)
    assert shown(board) == ("hidden", [])
    assert shown(board, NOW + timedelta(seconds=1)) == ("all", [("ada", 1, 0.7)])


def test_what_does_not_rank(tmp_path: Path) -> None:
    board = make_board(tmp_path, [a_phase()])
    made = [scored(board, name, NOW, public=0.1 * n) for n, name in enumerate("abcd", start=1)]
    with board.database.writing() as session, session.begin():
        for submission, change in zip(
            made, ({"hidden": True}, {"disqualified": "cheated"}, {"state": "error"}, {}), strict=True
        ):
            for field, value in change.items():
                setattr(session.get_one(Submission, submission.id), field, value)
    assert shown(board) == ("public", [("d", 1, 0.4)])


def test_lines_tell_who_moved_since_yesterday(tmp_path: Path) -> None:
    board = make_board(tmp_path, [a_phase()])
    scored(board, "ada", NOW - timedelta(days=3), public=0.5)
    scored(board, "bob", NOW - timedelta(days=2), public=0.4)
    scored(board, "bob", NOW - timedelta(hours=2), public=0.6)
    with board.database.reading() as session:
        found = service.leaderboard(session, session.scalars(select(Phase)).one(), NOW)
    assert [(line.team, line.place.moved) for line in found.lines] == [("bob", 1), ("ada", -1)]


def test_where_less_is_better(tmp_path: Path) -> None:
    board = make_board(tmp_path, [a_phase()])
    with board.database.writing() as session, session.begin():
        session.scalars(select(Challenge)).one().descending = False
    scored(board, "ada", NOW, public=0.5)
    scored(board, "bob", NOW, public=0.4)
    assert [line[0] for line in shown(board)[1]] == ["bob", "ada"]


def test_ids_sort_by_time_and_differ() -> None:
    moments = [NOW + timedelta(milliseconds=n) for n in range(50)]
    ids = [submitting.new_id(moment) for moment in moments]
    assert ids == sorted(set(ids))
    assert {len(id_) for id_ in ids} == {26}
    assert len({submitting.new_id(NOW) for _ in range(100)}) == 100


def test_the_place_in_the_queue(board: Board) -> None:
    ada = add_person(board, "ada")
    ids = [queue(board, ada, 1, salt) for salt in range(3)]
    service.cancel(board, ada.id, ids[1])
    with board.database.reading() as session:
        places = [service.place_in_queue(session, session.get_one(Submission, id_)) for id_ in ids]
    assert places in ([1, None, 2], [2, None, 1])  # those of one millisecond have no order
    assert the_phase(board).name == "main"
