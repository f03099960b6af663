"""What organizers do: each act is for organizers alone, shows on the board, and stands in the log."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from board_helpers import CHALLENGE, add_person, labels, look, queue, the_phase
from sqlalchemy import select, update

from vipriors.board import service, submitting
from vipriors.board.core import Board, Forbidden, NotFound
from vipriors.board.models import (
    SCORED,
    Attachment,
    Challenge,
    Invitation,
    Membership,
    Person,
    Phase,
    Score,
    Submission,
    Team,
    now,
)
from vipriors.problems import BadInput


def message(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInput) as caught:
        call()
    return str(caught.value)


def scored(board: Board, person: Person, value: float) -> str:
    """A submission with this score on every part."""
    submission = queue(board, person, right=4, salt=int(value * 100))
    with board.database.writing() as session, session.begin():
        row = session.get_one(Submission, submission)
        row.state, row.due = SCORED, None
        for part in ("public", "private", "all"):
            session.add(
                Score(submission_id=submission, part=part, labels_version=1, value=value, record={"x": 1})
            )
    return submission


def teams_ranked(board: Board) -> list[tuple[str, float | None]]:
    with board.database.reading() as session:
        phase = session.get_one(Phase, the_phase(board).id)
        return [(line.team, line.place.entry.value) for line in service.leaderboard(session, phase).lines]


def newest(board: Board) -> tuple[str, str, dict[str, Any]]:
    with board.database.reading() as session:
        entry = service.log(session)[0]
        return entry.action, entry.subject, entry.detail


def change(board: Board, what: type[Any], id_: object, **values: Any) -> None:
    with board.database.writing() as session, session.begin():
        session.execute(update(what).where(what.id == id_).values(**values))


@pytest.fixture
def people(any_board: Board) -> dict[str, Person]:
    found = {name: add_person(any_board, name) for name in ("ada", "bob", "olga", "root", "gone", "other")}
    change(any_board, Person, found["root"].id, admin=True)
    change(any_board, Person, found["gone"].id, disabled=now())
    service.make_organizer(any_board, "tiny", "olga")
    service.make_organizer(any_board, "tiny", "gone")
    home = any_board.settings.home.parent
    (home / "second.yaml").write_text(CHALLENGE.replace("tiny", "second"))
    service.add_challenge(any_board, home / "second.yaml", home / "labels.csv")
    service.make_organizer(any_board, "second", "other")
    return found


def test_marks_show_on_the_board_and_in_the_log(any_board: Board, people: dict[str, Person]) -> None:
    board, olga = any_board, people["olga"].id
    best, second = scored(board, people["ada"], 0.9), scored(board, people["bob"], 0.5)
    both, bob = [("ada", 0.9), ("bob", 0.5)], [("bob", 0.5)]
    assert teams_ranked(board) == both
    service.disqualify(board, best, " used other data ", by=olga)
    assert teams_ranked(board) == bob
    assert look(board, best).disqualified == "used other data"
    assert newest(board) == (
        "disqualify",
        best,
        {
            "reason": " used other data ",
            "before": {"disqualified": None},
            "after": {"disqualified": "used other data"},
        },
    )
    service.reinstate(board, best, reason="our mistake", by=olga)
    assert (teams_ranked(board), newest(board)[0]) == (both, "reinstate")
    service.hide(board, best, by=olga)
    assert (teams_ranked(board), newest(board)[2]) == (
        bob,
        {"before": {"hidden": False}, "after": {"hidden": True}},
    )
    service.show(board, best, by=olga)
    assert teams_ranked(board) == both
    assert message(lambda: service.disqualify(board, second, "  ")) == (
        "reason: is empty; expected what the team is told"
    )
    assert message(lambda: service.hide(board, second, reason="x" * 2001)) == (
        "reason: has 2,001 characters; expected at most 2,000"
    )
    assert look(board, second).hidden is False
    with board.database.reading() as session:
        tiny = session.scalars(select(Challenge).where(Challenge.name == "tiny")).one()
        acts = [
            (entry.action, entry.person.name if entry.person else None)
            for entry in service.log(session, tiny)
        ]
        assert acts[:4] == [("show", "olga"), ("hide", "olga"), ("reinstate", "olga"), ("disqualify", "olga")]
        assert [action for action, _ in acts[4:]] == ["make organizer", "make organizer", "add challenge"]
        assert len(service.log(session, tiny, most=2)) == 2
        assert len(service.log(session)) == len(acts) + 2  # of the second challenge


def test_qualified_is_whose_report_is_long_enough(any_board: Board, people: dict[str, Person]) -> None:
    board = any_board
    waiting = queue(board, people["ada"], right=4)
    assert message(lambda: service.qualify(board, waiting)) == (
        f"submission {waiting}: is queued; expected a scored one\n"
        f"submission {waiting}: has no report; expected one of 3 pages or more"
    )
    entry = scored(board, people["bob"], 0.5)
    attach(board, entry, "report", pages=2)
    assert message(lambda: service.qualify(board, entry)) == (
        f"submission {entry}: has a report of 2 pages; expected one of 3 pages or more"
    )
    attach(board, entry, "report", pages=3)
    assert service.qualify(board, entry).audit is None
    assert (look(board, entry).qualified, newest(board)[2]["audit"]) == (True, "none")
    attach(board, entry, "run", audit={"passed": True, "at": "2026-05-01"})
    attach(board, entry, "run", audit={"passed": False, "at": "2026-05-02"})
    assert service.qualify(board, entry).audit is False
    service.unqualify(board, entry)
    assert look(board, entry).qualified is False


def attach(board: Board, submission: str, kind: str, **values: Any) -> None:
    with board.database.writing() as session, session.begin():
        values = {"file_key": "k", "file_name": "f", "sha256": "0" * 64, "size": 1, **values}
        session.add(Attachment(submission_id=submission, kind=kind, **values))


def test_merged_teams_are_one(any_board: Board, people: dict[str, Person]) -> None:
    board = any_board
    first = scored(board, people["ada"], 0.9)
    second = scored(board, people["bob"], 0.5)
    change(board, Submission, first, upload_key="key:same")
    change(board, Submission, second, upload_key="key:same")
    with board.database.writing() as session, session.begin():
        teams = {team.name: team.id for team in session.scalars(select(Team))}
        session.add(Invitation(team_id=teams["ada"], token_hash="h", expires=now() + timedelta(1)))
    service.merge_teams(board, teams["ada"], teams["bob"], reason="one laboratory", by=people["olga"].id)
    assert teams_ranked(board) == [("bob", 0.9)]
    with board.database.reading() as session:
        bob = session.get_one(Team, teams["bob"])
        assert service.former_names(session, bob) == ["ada"]
        tiny = bob.challenge
        assert {person: service.team_of(session, people[person], tiny) for person in ("ada", "bob")} == {
            "ada": bob,
            "bob": bob,
        }
        quota = service.quota_left(session, the_phase(board), bob, now())
        assert quota.left is None
        assert {each.team_id for each in session.scalars(select(Submission))} == {bob.id}
        assert session.scalars(select(Invitation)).one().revoked is not None
        closed = session.scalars(select(Membership).where(Membership.left.is_not(None))).one()
        assert (closed.team_id, closed.person_id) == (teams["ada"], people["ada"].id)
    action, subject, detail = newest(board)
    assert (action, subject, detail["before"]["submissions"], detail["after"]) == (
        "merge teams",
        "ada",
        [first],
        {"team": teams["bob"], "name": "bob", "members": ["ada"]},
    )
    scored(board, people["root"], 0.1)
    with board.database.reading() as session:
        root = session.scalars(select(Team.id).where(Team.name == "root")).one()
    service.merge_teams(board, teams["bob"], root)
    with board.database.reading() as session:
        assert service.former_names(session, session.get_one(Team, root)) == ["bob", "ada"]
        with pytest.raises(BadInput, match="'bob' was merged into another"):
            service.join(session, people["other"], session.get_one(Team, teams["bob"]))


def test_teams_that_cannot_be_merged(any_board: Board, people: dict[str, Person]) -> None:
    board = any_board
    with board.database.writing() as session, session.begin():
        tiny, second = session.scalars(select(Challenge).order_by(Challenge.name.desc()))
        assert (tiny.name, second.name) == ("tiny", "second")
        a, b = (service.create_team(session, people[name], tiny, name).id for name in ("ada", "bob"))
        elsewhere = service.create_team(session, people["ada"], second, "ada").id
    assert message(lambda: service.merge_teams(board, a, a)) == "team: 'ada' cannot be merged into itself"
    assert message(lambda: service.merge_teams(board, b, elsewhere)) == (
        "team: 'bob' and 'ada' are of two challenges"
    )
    service.merge_teams(board, a, b)
    assert message(lambda: service.merge_teams(board, a, b)) == ("team: 'ada' was merged into another before")
    with pytest.raises(NotFound, match="team 999"):
        service.merge_teams(board, 999, b)
    with pytest.raises(NotFound, match=f"team {b}"):
        service.merge_teams(board, b, elsewhere, by=people["other"].id)


def test_a_deadline_that_is_extended(
    any_board: Board, people: dict[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    board, phase = any_board, the_phase(any_board)
    end = datetime(2026, 5, 4, 12, tzinfo=UTC)
    service.change_phase(board, phase.id, start=end - timedelta(9), end=end, grace_minutes=60)
    on_time, late, later = (scored(board, people["ada"], value) for value in (0.1, 0.2, 0.3))
    for submission, minutes in ((on_time, -1), (late, 10), (later, 50)):
        received = end + timedelta(minutes=minutes)
        change(board, Submission, submission, received=received, late=minutes > 0)
    service.change_phase(board, phase.id, end=end + timedelta(minutes=30), reason="the board was down")
    assert [look(board, each).late for each in (on_time, late, later)] == [False, False, True]
    assert newest(board) == (
        "change phase",
        "main",
        {
            "reason": "the board was down",
            "before": {"end": end.isoformat()},
            "after": {"end": (end + timedelta(minutes=30)).isoformat()},
            "in_time_now": [late],
        },
    )
    service.change_phase(board, phase.id, end=end - timedelta(days=1), shows="hidden", per_day=None)
    assert look(board, on_time).late is False
    assert newest(board)[2]["after"] == {"end": (end - timedelta(days=1)).isoformat(), "shows": "hidden"}
    before = end - timedelta(10)
    assert message(lambda: service.change_phase(board, phase.id, end=before, per_day=0, colour="red")) == (
        "phase main, per_day: Input should be greater than or equal to 1\n"
        "phase main, colour: Extra inputs are not permitted"
    )
    assert message(lambda: service.change_phase(board, phase.id, end=before)) == (
        "phase main: the end is not after the start"
    )


def test_one_phase_hands_over_to_the_next_by_time(any_board: Board) -> None:
    board, first = any_board, the_phase(any_board)
    end = datetime(2026, 5, 4, 12, tzinfo=UTC)
    service.change_phase(board, first.id, start=end - timedelta(1), end=end, grace_minutes=30)
    plan = service.PhasePlan(name="final", start=end, end=end + timedelta(1), per_day=1)
    second = service.add_phase(board, "tiny", plan)
    assert (second.position, newest(board)[:2]) == (1, ("add phase", "final"))
    with board.database.reading() as session:
        challenge = session.get_one(Challenge, first.challenge_id)
        for minutes, name in ((0, "main"), (1, "final"), (29, "final")):
            found = submitting.open_phase(challenge, end + timedelta(minutes=minutes))
            assert found.name == name
        in_grace = submitting.open_phase(challenge, end + timedelta(minutes=29), "main")
        assert in_grace.name == "main"
    assert message(lambda: service.add_phase(board, "tiny", plan)) == (
        "phase name: 'final' is taken in this challenge; expected another"
    )
    assert message(lambda: service.change_phase(board, second.id, name="main")) == (
        "phase name: 'main' is taken in this challenge; expected another"
    )


def test_pages_baseline_and_hiding(any_board: Board, people: dict[str, Person]) -> None:
    board, olga = any_board, people["olga"].id
    service.edit_pages(board, "tiny", title="Tiny indeed", rules="- be fair", description="", by=olga)
    assert newest(board)[2] == {
        "before": {"title": "A tiny challenge", "rules": the_rules(board)},
        "after": {"title": "Tiny indeed", "rules": "- be fair"},
    }
    service.set_baseline(board, "tiny", ("A baseline", 0.25), by=olga)
    service.hide_challenge(board, "tiny", by=olga)
    with board.database.reading() as session:
        found = session.scalars(select(Challenge).where(Challenge.name == "tiny")).one()
        assert (found.title, found.rules, found.hidden) == ("Tiny indeed", "- be fair", True)
        assert (found.baseline_name, found.baseline_score) == ("A baseline", 0.25)
    service.set_baseline(board, "tiny", None)
    service.hide_challenge(board, "tiny", False)
    assert newest(board)[:2] == ("show challenge", "tiny")
    assert message(lambda: service.edit_pages(board, "tiny", title=" ", rules="x" * 200_001, yaml="")) == (
        "title: is ' '; expected one printable line\n"
        "rules: has 200,001 characters; expected at most 200,000\n"
        "yaml: is no page; expected one of title, description, rules, data"
    )
    assert message(lambda: service.set_baseline(board, "tiny", ("x", float("nan")))) == (
        "baseline: scores nan; expected a number"
    )
    assert "expected 1 to 100 printable" in message(lambda: service.set_baseline(board, "tiny", ("\n", 1.0)))


def the_rules(board: Board) -> str:
    with board.database.reading() as session:
        second = session.scalars(select(Challenge).where(Challenge.name == "second")).one()
        return second.rules


def test_organizers_and_administrators_come_and_go(any_board: Board, people: dict[str, Person]) -> None:
    board, root = any_board, people["root"].id
    entry = scored(board, people["ada"], 0.5)
    service.remove_organizer(board, "tiny", "olga", by=root)
    with pytest.raises(NotFound):
        service.hide(board, entry, by=people["olga"].id)
    service.make_organizer(board, "tiny", "olga", by=root)
    service.hide(board, entry, by=people["olga"].id)
    service.make_admin(board, "bob", by=root)
    service.disable(board, "ada", reason="spam", by=people["bob"].id)
    assert newest(board)[:2] == ("disable person", "ada")
    with pytest.raises(Forbidden, match="this account cannot submit"):
        service.submit(board, people["ada"].id, "tiny", io.BytesIO(b"x"), "x.csv")
    service.enable(board, "ada")
    service.remove_admin(board, "bob")
    with pytest.raises(Forbidden):
        service.disable(board, "ada", by=people["bob"].id)
    assert message(lambda: service.disable(board, "root", by=root)) == (
        "person: is yourself; expected another administrator to do this"
    )
    with pytest.raises(NotFound, match="person 'nobody'"):
        service.make_admin(board, "nobody")


def test_only_who_runs_a_challenge_may_act(
    any_board: Board, people: dict[str, Person], tmp_path: Path
) -> None:
    board, phase = any_board, the_phase(any_board)
    entry, other = scored(board, people["ada"], 0.5), scored(board, people["bob"], 0.5)
    with board.database.reading() as session:
        team, second = look(board, entry).team_id, look(board, other).team_id
    plan = service.PhasePlan(name="more")
    (tmp_path / "third.yaml").write_text(CHALLENGE.replace("tiny", "third"))
    (tmp_path / "new.csv").write_text(labels(1))
    third, new = tmp_path / "third.yaml", tmp_path / "new.csv"
    acts: list[tuple[type[Exception], Callable[[int], object]]] = [
        (NotFound, lambda by: service.disqualify(board, entry, "x", by=by)),
        (NotFound, lambda by: service.reinstate(board, entry, by=by)),
        (NotFound, lambda by: service.hide(board, entry, by=by)),
        (NotFound, lambda by: service.show(board, entry, by=by)),
        (NotFound, lambda by: service.qualify(board, entry, by=by)),
        (NotFound, lambda by: service.unqualify(board, entry, by=by)),
        (NotFound, lambda by: service.merge_teams(board, team, second, by=by)),
        (Forbidden, lambda by: service.edit_pages(board, "tiny", title="x", by=by)),
        (Forbidden, lambda by: service.set_baseline(board, "tiny", None, by=by)),
        (Forbidden, lambda by: service.hide_challenge(board, "tiny", by=by)),
        (Forbidden, lambda by: service.add_phase(board, "tiny", plan, by=by)),
        (Forbidden, lambda by: service.change_phase(board, phase.id, per_day=9, by=by)),
        (Forbidden, lambda by: service.make_organizer(board, "tiny", "ada", by=by)),
        (Forbidden, lambda by: service.remove_organizer(board, "tiny", "olga", by=by)),
        (Forbidden, lambda by: service.rescore(board, "tiny", new, by=by)),
        (
            Forbidden,
            lambda by: service.add_challenge(board, third, new, by=by),
        ),
        (Forbidden, lambda by: service.disable(board, "bob", by=by)),
        (Forbidden, lambda by: service.enable(board, "bob", by=by)),
        (Forbidden, lambda by: service.make_admin(board, "bob", by=by)),
        (Forbidden, lambda by: service.remove_admin(board, "bob", by=by)),
    ]
    with board.database.reading() as session:
        before = len(service.log(session))
    for name in ("ada", "other", "gone"):
        for expected, act in acts:
            with pytest.raises(Forbidden if name == "gone" else expected):
                act(people[name].id)
    with pytest.raises(Forbidden):
        service.hide(board, entry, by=12345)
    with board.database.reading() as session:
        assert len(service.log(session)) == before
    service.hide_challenge(board, "tiny")
    with pytest.raises(NotFound, match="challenge 'tiny'"):
        service.edit_pages(board, "tiny", title="x", by=people["other"].id)
