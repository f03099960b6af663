"""What programs read of a board: challenges, leaderboards, their own submissions, health."""

import csv
import io
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_helpers import SUBMISSIONS, client, problems, token_of
from board_helpers import add_person, look, make_board, predictions, queue
from sqlalchemy import select

from vipriors.board import jobs, service, tokens
from vipriors.board.core import Board
from vipriors.board.models import Challenge, Person, Submission, Team, Worker, now
from vipriors.board.scoring import Job, work

API = "/api/v1"
EARLY = datetime(2026, 1, 1, tzinfo=UTC)


def score(board: Board, submission: str) -> None:
    """Scores a submission here and now, as a worker would."""
    todo = jobs.begin(board.database, submission, 1)
    assert todo is not None
    with board.files.local(todo.file_key) as file, board.files.local(todo.labels_key) as labels:
        job = Job(str(file), "x", todo.task, str(labels), todo.classes, todo.split_seed, todo.public_share)
        *_, outcome = work(job)
        jobs.finish(board.database, todo, outcome.scores)


def test_challenges(board: Board) -> None:
    nobody = client(board)
    (summary,) = nobody.get(f"{API}/challenges").json()
    assert (summary["name"], summary["task"], summary["metric"]) == ("tiny", "classification", "top1")
    one = nobody.get(f"{API}/challenges/tiny").json()
    assert (one["title"], one["classes"], one["baseline"]) == ("A tiny challenge", ["a", "b", "c", "d"], None)
    assert one["phases"] == nobody.get(f"{API}/challenges/tiny/phases").json()
    assert [(phase["name"], phase["running"], phase["shows"]) for phase in one["phases"]] == [
        ("main", True, "public")
    ]
    for path in ("challenges/none", "challenges/none/phases", "challenges/none/leaderboard"):
        assert problems(nobody.get(f"{API}/{path}"), 404) == ["challenge 'none': there is none"]


def test_no_answer_holds_a_secret_of_a_challenge(board: Board) -> None:
    with board.database.reading() as session:
        row = session.scalars(select(Challenge)).one()
    text = client(board).get(f"{API}/challenges/tiny").text
    for secret in (row.split_seed, row.labels_key, row.labels_sha256, row.yaml):
        assert secret not in text


def test_a_hidden_challenge_is_as_none_to_others(board: Board) -> None:
    with board.database.writing() as session, session.begin():
        session.scalars(select(Challenge)).one().hidden = True
    token = token_of(board, "olga")
    service.make_organizer(board, "tiny", "olga")
    nobody = client(board)
    assert nobody.get(f"{API}/challenges").json() == []
    assert problems(nobody.get(f"{API}/challenges/tiny"), 404) == ["challenge 'tiny': there is none"]
    olga = {"Authorization": f"bearer {token}"}
    assert nobody.get(f"{API}/challenges/tiny", headers=olga).json()["hidden"] is True
    assert [each["name"] for each in nobody.get(f"{API}/challenges", headers=olga).json()] == ["tiny"]


def test_a_leaderboard_as_json_and_csv(board: Board) -> None:
    with board.database.writing() as session, session.begin():
        challenge = session.scalars(select(Challenge)).one()
        challenge.public_share = 1.0
        challenge.baseline_name, challenge.baseline_score = "SVM", 0.5
    for number, (name, right) in enumerate((("=ada", 30), ("bob", 40), ("carl", 30))):
        sent = queue(board, add_person(board, name), right, number)
        score(board, sent)
    nobody = client(board)
    found = nobody.get(f"{API}/challenges/tiny/leaderboard").json()
    assert (found["phase"], found["part"], found["metric"]) == ("main", "public", "top1")
    assert found["baseline"] == {"name": "SVM", "score": 0.5}
    lines = [(line["rank"], line["team"], line["score"]) for line in found["lines"]]
    assert lines == [(1, "bob", 1.0), (2, "=ada", 0.75), (2, "carl", 0.75)]
    assert found["lines"][0]["low"] <= 1.0 and found["lines"][1]["kind"] == "single"
    answer = nobody.get(f"{API}/challenges/tiny/leaderboard.csv?phase=main")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''tiny-main.csv"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["rank"], row["team"], row["score"]) for row in rows] == [
        ("1", "bob", "1.0"),
        ("2", "'=ada", "0.75"),  # no formula in a spreadsheet
        ("2", "carl", "0.75"),
    ]
    assert problems(nobody.get(f"{API}/challenges/tiny/leaderboard?phase=x"), 404) == [
        "phase 'x' of challenge 'tiny': there is none"
    ]


def test_the_leaderboard_is_of_the_phase_that_began_last(tmp_path: Path) -> None:
    phases = [
        {"name": "one", "start": EARLY, "end": EARLY + timedelta(days=1)},
        {"name": "two", "start": EARLY + timedelta(days=2)},
        {"name": "three", "start": now() + timedelta(days=9)},
    ]
    nobody = client(make_board(tmp_path, phases))
    assert nobody.get(f"{API}/challenges/tiny/leaderboard").json()["phase"] == "two"


def test_a_leaderboard_that_is_embedded_costs_little(board: Board) -> None:
    nobody = client(board)
    path = f"{API}/challenges/tiny/leaderboard"
    first = nobody.get(path)
    assert first.headers["cache-control"] == "public, max-age=10"
    assert first.headers["access-control-allow-origin"] == "*"
    tag = first.headers["etag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}'):
        same = nobody.get(path, headers={"If-None-Match": given})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert nobody.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    score(board, queue(board, add_person(board, "ada"), 30))
    changed = nobody.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag


def test_what_comes_with_a_token_is_kept_by_no_cache_and_open_to_no_other_site(board: Board) -> None:
    ada = client(board, "ada")
    for path in ("challenges", "challenges/tiny", "challenges/tiny/phases", "challenges/tiny/leaderboard"):
        headers = ada.get(f"{API}/{path}").headers
        assert headers["cache-control"] == "private, no-cache" and headers["vary"] == "Authorization"
        assert "access-control-allow-origin" not in headers
    for path in ("me", "challenges/tiny/team", "challenges/tiny/submissions"):
        headers = ada.get(f"{API}/{path}").headers
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer vip_" + "x" * 43])
def test_a_wrong_token_is_refused_everywhere(board: Board, given: str) -> None:
    for path in ("challenges", "challenges/tiny/leaderboard", "me", "submissions/x"):
        answer = client(board).get(f"{API}/{path}", headers={"Authorization": given})
        assert problems(answer, 401) == [
            "token: is missing or not valid; expected Authorization: Bearer vip_…"
        ]
        assert answer.headers["www-authenticate"] == "Bearer"


def test_cookies_sign_nobody_in(board: Board) -> None:
    token = token_of(board, "ada")
    nobody = client(board)
    nobody.cookies.set("session", token)
    nobody.cookies.set("token", token)
    assert nobody.get(f"{API}/me").status_code == 401


def test_a_submission_from_the_queue_to_its_details(board: Board) -> None:
    ada = client(board, "ada")
    with board.database.reading() as session:
        person = session.scalars(select(Person)).one()
    first, sent = queue(board, add_person(board, "bob"), 3), queue(board, person, 30)
    waiting = ada.get(f"{API}/submissions/{sent}").json()
    assert (waiting["state"], waiting["place_in_queue"], waiting["scores"]) == ("queued", 2, [])
    score(board, first)
    score(board, sent)
    found = ada.get(f"{API}/submissions/{sent}").json()
    assert (found["state"], found["place_in_queue"], found["challenge"]) == ("scored", None, "tiny")
    assert (found["team"], found["sent_by"], found["file_name"]) == ("ada", "ada", "predictions.csv")
    (part,) = found["scores"]
    assert part["part"] == "public" and part["low"] <= part["value"] <= part["high"]
    (details,) = found["details"]
    assert (details["part"], details["headline"], details["n"]) == ("public", "top1", 20)
    assert details["numbers"]["top1"]["value"] == part["value"]
    assert {"class", "n", "recall"} == set(details["per_class"][0])
    assert "confusion" not in str(found) and "private" not in str(found)
    (listed,) = ada.get(SUBMISSIONS).json()
    assert listed == {key: value for key, value in found.items() if key != "details"}
    assert ada.get(f"{SUBMISSIONS}?phase=main").json() == [listed]
    assert problems(ada.get(f"{SUBMISSIONS}?phase=x"), 404) == [
        "phase 'x' of challenge 'tiny': there is none"
    ]
    assert len(ada.get(f"{SUBMISSIONS}?limit=1").json()) == 1
    assert problems(ada.get(f"{SUBMISSIONS}?limit=0"), 422) == [
        "query, limit: Input should be greater than or equal to 1"
    ]


def test_a_file_comes_back_as_it_was_sent(board: Board) -> None:
    ada = client(board, "ada")
    with board.database.reading() as session:
        sent = queue(board, session.scalars(select(Person)).one(), 30)
    with board.database.writing() as session, session.begin():
        session.get_one(Submission, sent).file_name = 'ü "x";.csv'
    answer = ada.get(f"{API}/submissions/{sent}/file")
    assert answer.content == predictions(30)
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%BC%20%22x%22%3B.csv"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(predictions(30)))


def test_cancelling(board: Board) -> None:
    ada = client(board, "ada")
    with board.database.reading() as session:
        sent = queue(board, session.scalars(select(Person)).one(), 30)
    path = f"{API}/submissions/{sent}"
    assert problems(client(board, "bob").post(f"{path}/cancel"), 404) == [f"submission {sent}: there is none"]
    assert ada.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert problems(ada.post(f"{path}/cancel"), 409) == [f"submission {sent}: is cancelled already"]
    assert look(board, sent).state == "cancelled"


def test_choosing(board: Board) -> None:
    ada = client(board, "ada")
    with board.database.reading() as session:
        person = session.scalars(select(Person)).one()
    better, worse = queue(board, person, 40), queue(board, person, 10, 1)
    path = f"{API}/submissions/{worse}/chosen"
    assert problems(ada.put(path), 422) == [f"submission {worse}: is queued; expected a scored one"]
    score(board, better)
    score(board, worse)

    def leads() -> float:
        found: float = ada.get(f"{API}/challenges/tiny/leaderboard").json()["lines"][0]["score"]
        return found

    assert leads() == 1.0
    assert ada.put(path).json()["chosen"] is True
    assert leads() < 0.5
    assert ada.delete(path).json()["chosen"] is False
    assert leads() == 1.0
    assert problems(client(board, "bob").put(path), 404) == [f"submission {worse}: there is none"]


def test_teams_and_quotas(tmp_path: Path) -> None:
    board = make_board(tmp_path, [{"per_day": 3, "total": 10}])
    ada = client(board, "ada")
    alone = ada.get(f"{API}/challenges/tiny/team").json()
    assert (alone["name"], alone["members"]) == (None, [])
    assert [(each["phase"], each["today"], each["total"], each["left"]) for each in alone["quota"]] == [
        ("main", 3, 10, 3)
    ]
    with board.database.writing() as session, session.begin():
        person = session.scalars(select(Person)).one()
        challenge = session.scalars(select(Challenge)).one()
        team = service.create_team(session, person, challenge, "The A")
        service.join(session, session.merge(add_to(session, "bob")), team)
    queue(board, person, 30)
    found = ada.get(f"{API}/challenges/tiny/team").json()
    assert (found["name"], found["members"]) == ("The A", ["ada", "bob"])
    assert [(each["today"], each["total"], each["left"]) for each in found["quota"]] == [(2, 9, 2)]
    me = ada.get(f"{API}/me").json()
    assert me == {
        "name": "ada",
        "email": "ada@example.org",
        "admin": False,
        "organizes": [],
        "teams": [{"challenge": "tiny", "team": "The A"}],
    }


def add_to(session: Any, name: str) -> Person:
    person = Person(name=name, email=f"{name}@x.org", password_hash="")
    session.add(person)
    session.flush()
    return person


def test_health(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = client(board)
    assert nobody.get(f"{API}/health").json() == {"status": "no workers", "workers": 0, "queue": 0}
    queue(board, add_person(board, "ada"), 3)
    with board.database.writing() as session, session.begin():
        for name, ago in (("lives", 3), ("died", 60)):
            beat = now() - timedelta(seconds=ago)
            session.add(Worker(name=name, started=EARLY, heartbeat=beat, version="1"))
    assert nobody.get(f"{API}/health").json() == {"status": "ok", "workers": 1, "queue": 1}
    Team.metadata.drop_all(board.database.engine)
    answer = nobody.get(f"{API}/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "no database")


def test_unknown_paths_and_methods_are_answered_alike(board: Board) -> None:
    nobody = client(board)
    assert problems(nobody.get(f"{API}/none"), 404) == ["request: There is no such page"]
    answer = nobody.delete(f"{API}/challenges")
    assert problems(answer, 405) == ["request: That cannot be done here"]
    assert answer.headers["allow"] == "GET"


def test_a_fault_of_the_board_tells_nothing(
    board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = token_of(board, "ada")

    def break_down(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(tokens, "person_of", break_down)
    answer = client(board).get(f"{API}/me", headers={"Authorization": f"Bearer {token}"})
    (problem,) = problems(answer, 500)
    assert problem.startswith("board: fault ") and "secret" not in answer.text
    assert token not in caplog.text and caplog.records[0].levelno == logging.ERROR
