"""Who may see which challenges, submissions and scores, and that what is seen of a score tells no label."""

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_helpers import IDS, add_person, make_board, queue
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board import service, viewing
from vipriors.board.core import Board, NotFound
from vipriors.board.models import SCORED, Challenge, Person, Phase, Score, Submission
from vipriors.board.viewing import NOBODY, Viewer, viewer_of
from vipriors.tasks import classification
from vipriors.tasks.index import Index

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclasses.dataclass
class Scene:
    """A board with two challenges: `tiny`, run by olga, with a scored file of ada's; `other` by otto."""

    board: Board
    session: Session
    viewers: dict[str, Viewer]
    sent: str

    def can(self, look: Callable[[Viewer], Any]) -> set[str]:
        """Who finds what is looked for."""
        found = set()
        for name, viewer in self.viewers.items():
            try:
                look(viewer)
            except NotFound:
                continue
            found.add(name)
        return found


EVERYBODY = {"nobody", "ada", "bob", "olga", "otto", "root"}


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    board = make_board(tmp_path, [{"name": "dev", "start": NOW - HOUR, "end": NOW, "grace_minutes": 10}])
    people = {name: add_person(board, name) for name in ("ada", "bob", "olga", "otto", "root")}
    sent = queue(board, people["ada"], 10)
    (tmp_path / "other.yaml").write_text((tmp_path / "tiny.yaml").read_text().replace("tiny", "other"))
    service.add_challenge(board, tmp_path / "other.yaml", tmp_path / "labels.csv", hidden=True)
    service.make_organizer(board, "tiny", "olga")
    service.make_organizer(board, "other", "otto")
    with board.database.writing() as session, session.begin():
        session.get_one(Person, people["root"].id).admin = True
        session.get_one(Submission, sent).state = SCORED
        for version, value in ((1, 0.1), (2, 0.2)):
            for part in ("public", "private", "all"):
                row = Score(submission_id=sent, part=part, labels_version=version, value=value, record={})
                session.add(row)
        session.scalars(select(Challenge).where(Challenge.name == "tiny")).one().shown_version = 2
    with board.database.reading() as session:
        viewers = {name: viewer_of(session.get_one(Person, each.id)) for name, each in people.items()}
        yield Scene(board, session, {"nobody": NOBODY, **viewers}, sent)


def test_a_viewer_is_a_person_whose_account_is_not_disabled() -> None:
    person = Person(id=7, name="x", email="x", password_hash="", admin=True)
    assert viewer_of(person) == Viewer(7, True)
    person.disabled = NOW
    assert viewer_of(person) == viewer_of(None) == NOBODY == Viewer(None, False)


def test_hidden_challenges_are_known_to_those_who_run_them(scene: Scene) -> None:
    session = scene.session
    assert scene.can(lambda viewer: viewing.challenge(session, viewer, "tiny")) == EVERYBODY
    assert scene.can(lambda viewer: viewing.challenge(session, viewer, "other")) == {"otto", "root"}
    assert scene.can(lambda viewer: viewing.challenge(session, viewer, "none")) == set()
    assert scene.can(lambda viewer: viewing.phase(session, viewer, "tiny", "dev")) == EVERYBODY
    assert scene.can(lambda viewer: viewing.phase(session, viewer, "other", "main")) == {"otto", "root"}
    assert scene.can(lambda viewer: viewing.phase(session, viewer, "tiny", "main")) == set()
    for name, viewer in scene.viewers.items():
        listed = [each.name for each in viewing.challenges(session, viewer)]
        assert listed == (["other", "tiny"] if name in ("otto", "root") else ["tiny"])


def test_what_is_not_there_and_what_may_not_be_seen_are_answered_alike(scene: Scene) -> None:
    with pytest.raises(NotFound) as hidden:
        viewing.challenge(scene.session, NOBODY, "other")
    assert str(hidden.value) == "challenge 'other'"
    with pytest.raises(NotFound) as others:
        viewing.submission(scene.session, scene.viewers["bob"], scene.sent)
    assert str(others.value) == f"submission {scene.sent!r}"


def test_who_runs_a_challenge(scene: Scene) -> None:
    for name, runs in (("tiny", {"olga", "root"}), ("other", {"otto", "root"})):
        challenge = scene.session.scalars(select(Challenge).where(Challenge.name == name)).one()
        found = {
            who for who, viewer in scene.viewers.items() if viewing.runs(scene.session, viewer, challenge)
        }
        assert found == runs


def test_submissions_are_the_teams_and_the_organizers(scene: Scene) -> None:
    session = scene.session
    see = scene.can(lambda viewer: viewing.submission(session, viewer, scene.sent))
    assert see == {"ada", "olga", "root"}
    assert scene.can(lambda viewer: viewing.submission(session, viewer, "none")) == set()
    sent = session.get_one(Submission, scene.sent)
    assert scene.can(lambda viewer: viewing.scores(session, viewer, sent, NOW)) == see
    challenge = viewing.challenge(session, NOBODY, "tiny")
    for name, viewer in scene.viewers.items():
        listed = [each.id for each in viewing.own_submissions(session, viewer, challenge)]
        assert listed == ([scene.sent] if name == "ada" else [])
    ada = scene.viewers["ada"]
    assert viewing.own_submissions(session, ada, challenge, challenge.phases[0]) != []
    assert viewing.own_submissions(session, ada, challenge, Phase(id=99)) == []


def test_who_left_a_team_sees_nothing_of_it(scene: Scene) -> None:
    with scene.board.database.writing() as session, session.begin():
        challenge = viewing.challenge(session, NOBODY, "tiny")
        ada, bob = (session.get_one(Person, scene.viewers[name].person_id) for name in ("ada", "bob"))
        team = service.team_of(session, ada, challenge)
        assert team is not None
        service.leave(session, ada, challenge)
        service.join(session, bob, team)
    with scene.board.database.reading() as scene.session:
        see = scene.can(lambda viewer: viewing.submission(scene.session, viewer, scene.sent))
        assert see == {"bob", "olga", "root"}


def test_a_hidden_challenge_hides_its_submissions_from_its_teams(scene: Scene) -> None:
    with scene.board.database.writing() as session, session.begin():
        viewing.challenge(session, NOBODY, "tiny").hidden = True
    with scene.board.database.reading() as scene.session:
        see = scene.can(lambda viewer: viewing.submission(scene.session, viewer, scene.sent))
        assert see == {"olga", "root"}


AFTER = NOW + timedelta(minutes=11)


@pytest.mark.parametrize(
    ("shows", "final", "at", "parts"),
    [
        ("public", "private", NOW, "public"),
        ("public", "private", NOW + timedelta(minutes=10), "public"),  # in its grace
        ("public", "private", AFTER, "public private"),
        ("all", "all", AFTER, "all"),
        ("hidden", "private", NOW, ""),
        ("hidden", "private", AFTER, "private"),
        ("public", "all", AFTER, "public all"),
    ],
)
def test_the_parts_that_are_seen(scene: Scene, shows: str, final: str, at: datetime, parts: str) -> None:
    session = scene.session
    phase = viewing.phase(session, NOBODY, "tiny", "dev")
    phase.shows, phase.final_part = shows, final
    sent = session.get_one(Submission, scene.sent)
    for name, viewer in scene.viewers.items():
        seen = ("public", "private", "all") if name in ("olga", "root") else tuple(parts.split())
        assert viewing.parts_visible(session, viewer, phase, at) == seen
        if name in ("ada", "olga", "root"):
            found = viewing.scores(session, viewer, sent, at)
            assert tuple(score.part for score in found) == seen
            assert {score.labels_version for score in found} <= {2}
    session.rollback()


def test_old_scores_are_the_organizers(scene: Scene) -> None:
    session = scene.session
    sent = session.get_one(Submission, scene.sent)
    for name, viewer in scene.viewers.items():
        old = [score.labels_version for score in viewing.old_scores(session, viewer, sent)]
        assert old == ([1, 1, 1] if name in ("olga", "root") else [])


def test_a_score_of_a_version_that_does_not_rank_yet(scene: Scene) -> None:
    session = scene.session
    sent = session.get_one(Submission, scene.sent)
    ada = scene.viewers["ada"]
    for shown, counts in ((1, 1), (2, 2), (3, 2)):
        sent.phase.challenge.shown_version = shown
        assert [score.labels_version for score in viewing.scores(session, ada, sent, NOW)] == [counts]
    session.rollback()


# Details

NAMES = ["a", "b", "c", "d"]
INDEX = Index(tuple(IDS), 4)


def record(truth: Any, predicted: Any) -> dict[str, Any]:
    predictions = classification.Predictions(np.asarray(predicted), None)
    return classification.score(predictions, np.asarray(truth), INDEX, NAMES).to_json()


def test_the_details_of_a_classification() -> None:
    truth = [number % 4 for number in range(40)]
    found = viewing.details(record(truth, [0] * 37 + [1] * 3), "public")
    assert (found.part, found.headline, found.n) == ("public", "top1", 40)
    assert found.numbers["top1"].value == 0.275
    low, high = found.numbers["top1"].low, found.numbers["top1"].high
    assert low is not None and high is not None and low < 0.275 < high
    assert found.per_class[1] == {"class": "b", "n": 10, "recall": 0.1}


def test_the_numbers_of_rare_classes_are_not_told() -> None:
    truth = [0] * 4 + [1] * 5 + [2] * 31
    found = viewing.details(record(truth, truth), "public").per_class
    assert [row["recall"] for row in found] == [None, 1.0, 1.0, None]


classes = st.lists(st.integers(0, 3), min_size=40, max_size=40)


@given(truth=classes, predicted=classes, turn=st.integers(1, 3))
def test_details_tell_how_many_are_right_and_not_what_was_taken_for_what(
    truth: list[int], predicted: list[int], turn: int
) -> None:
    """Other wrong answers, as many of each class: what is told is the same to the last digit."""
    others = [
        now if now == true else (true + 1 + (now - true - 1 + turn) % 3) % 4
        for true, now in zip(truth, predicted, strict=True)
    ]
    found, same = (viewing.details(record(truth, each), "public") for each in (predicted, others))
    assert found == same


LEAKY = {
    "confusion": [[1, 0]],
    "n_predicted": 3,
    "n_images_predicted": 3,
    "n_results": 5,
    "images": {"img_3.png": 0.4},
    "n_images": 8,
    "per_class": [
        {"class": "cat", "n": 9, "n_results": 5, "AP": 0.123456, "secret": 1, "ids": ["img_3.png"]}
    ],
    "per_category": [{"category": "animal", "iou": 0.5, "ids": ["img_3.png"]}],
}


def test_only_what_is_known_to_tell_no_label_gets_through() -> None:
    given = {"headline": "AP", "scores": {"AP": 0.5}, "intervals": {"AP": [0.4, 0.6]}, "details": LEAKY}
    found = viewing.details(given, "all")
    assert json.loads(json.dumps(dataclasses.asdict(found))) == {
        "part": "all",
        "headline": "AP",
        "numbers": {"AP": {"value": 0.5, "low": 0.4, "high": 0.6}},
        "n": 8,
        "per_class": [{"class": "cat", "n": 9, "AP": 0.1235}],
        "per_category": [{"category": "animal", "iou": 0.5}],
        "lost": None,
    }


def test_the_details_of_a_part_with_nothing_to_score() -> None:
    assert viewing.details({}, "private") == viewing.Details("private", "", {}, None, [], [])
