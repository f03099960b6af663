"""`vipriors board …` as an organizer meets it: what is printed, the exit status, and what it did."""

import csv
import io
import json
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from vipriors.board import jobs, scoring, service
from vipriors.board.core import Board, open_board
from vipriors.board.models import Attachment, Challenge, Person, Phase, Submission, Team
from vipriors.board.planning import read_fields
from vipriors.board.settings import read_settings
from vipriors.board.submitting import new_id
from vipriors.cli import main
from vipriors.problems import BadInput

IDS = [f"img_{number}.png" for number in range(40)]

CHALLENGE = """\
name: tiny
title: A tiny challenge
task: classification
source: {kind: folder, path: nowhere, classes: [a, b, c, d]}
input: {size: [8, 8]}
"""

Said = Callable[..., str]


def table(head: str, right: int = 40) -> str:
    rows = "".join(f"{id_},{(number + (number >= right)) % 4}\n" for number, id_ in enumerate(IDS))
    return f"Image IDs,{head}\n{rows}"


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command on the board in `home`; what it printed, for the expected exit status."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CHALLENGE)
    (tmp_path / "labels.csv").write_text(table("Labels"))

    def run(command: str, *words: object, status: int = 0, home: str = "home") -> str:
        found = main(["board", command, *map(str, words), "--home", home])
        printed = capsys.readouterr()
        assert (found, bool(printed.err)) == (status, status != 0), printed.err
        return printed.err if status else printed.out

    return run


@pytest.fixture
def tiny(said: Said) -> Board:
    """The board in `home` with the challenge `tiny`, and two people."""
    assert said("add", "tiny.yaml", "--labels", "labels.csv") == "added tiny: A tiny challenge\n"
    board = open_board(read_settings(home=Path("home")))
    with board.database.writing() as session, session.begin():
        for name in ("ada", "bob"):
            session.add(Person(name=name, email=f"{name}@example.org", password_hash="none"))
    return board


def enter(board: Board, name: str, right: int) -> str:
    """A scored submission of somebody; its id."""
    data = table("Predictions", right).encode()
    stored = board.files.put(io.BytesIO(data), 10**6)
    with board.database.writing() as session, session.begin():
        challenge = session.scalars(select(Challenge)).one()
        person = session.scalars(select(Person).where(Person.name == name)).one()
        team = service.alone(session, person, challenge)
        made = Submission(
            id=new_id(datetime.now(UTC)),
            phase_id=challenge.phases[0].id,
            team_id=team.id,
            person_id=person.id,
            file_key=stored.key,
            file_name="predictions.csv",
            sha256=stored.sha256,
            size=stored.size,
            upload_key=f"{name} {right}",
            due=challenge.labels_version,
        )
        session.add(made)
    score(board)
    return made.id


def score(board: Board) -> None:
    """Scores in this process what a worker would."""
    with board.database.reading() as session:
        due = session.scalars(select(Submission).where(Submission.due.is_not(None))).all()
    for row in due:
        work = jobs.begin(board.database, row.id, row.due or 0)
        assert work is not None
        with board.files.local(work.file_key) as file, board.files.local(work.labels_key) as labels:
            job = scoring.Job(
                str(file), "p", work.task, str(labels), work.classes, work.split_seed, work.public_share
            )
            *_, outcome = scoring.work(job)
            jobs.finish(board.database, work, outcome.scores)


def test_adding_a_challenge(said: Said) -> None:
    day = datetime(2031, 5, 4, tzinfo=UTC)
    made = said(
        *("add", "tiny.yaml", "--labels", "labels.csv", "--public-share", 0.25, "--hidden", "--json"),
        *("--baseline", "SVM=0.5"),
        *("--phase", "name=dev,start=2031-05-04,end=2031-05-06T12:00,per-day=5,grace=30"),
        *("--phase", "name=final,start=2031-05-06T14:00+02:00,total=2,shows=hidden,final=all"),
    )
    assert json.loads(made) == {"challenge": "tiny"}
    with open_board(read_settings(home=Path("home"))).database.reading() as session:
        found = session.scalars(select(Challenge)).one()
        assert (found.hidden, found.public_share) == (True, 0.25)
        assert (found.baseline_name, found.baseline_score) == ("SVM", 0.5)
        dev, final = found.phases
    end = day + timedelta(days=2, hours=12)
    assert (dev.start, dev.end, dev.per_day, dev.total, dev.grace_minutes) == (day, end, 5, None, 30)
    assert (final.start, final.end, final.total) == (end, None, 2)
    assert (final.shows, final.final_part) == ("hidden", "all")


def test_an_embedded_challenge_needs_no_labels(said: Said) -> None:
    assert said("add", "digits").startswith("added digits: Handwritten digits")


def test_what_is_wrong_with_a_new_challenge(said: Said) -> None:
    bad = ("add", "tiny.yaml", "--labels", "labels.csv")
    assert "'colour=red': expected some of name=…, start=…" in said(*bad, "--phase", "colour=red", status=1)
    wrong = said(*bad, "--phase", "name=x,end=soon,per-day=0", status=1).splitlines()
    assert [line.partition(": ")[0] for line in wrong] == [
        "--phase name=x,end=soon,per-day=0, end",
        "--phase name=x,end=soon,per-day=0, per_day",
        "2 problems",
    ]
    assert said(*bad, "--baseline", "SVM", status=1) == (
        "--baseline: 'SVM'; expected NAME=SCORE, such as SVM=0.81\n"
    )
    assert said(*bad, "--organizer", "nobody", status=1) == "--organizer: there is no person 'nobody'\n"
    assert said("add", "missing.yaml", status=1) == "missing.yaml: no such challenge file\n"


def test_a_command_on_no_board_makes_none(said: Said) -> None:
    assert said("log", status=1, home="typo") == (
        "typo: holds no board; expected a board's folder (--home); `vipriors board init` makes one\n"
    )
    assert not Path("typo").exists()


def test_marks(said: Said, tiny: Board) -> None:
    entry = enter(tiny, "ada", 30)
    said("mark", entry, "disqualify", "--reason", "used the test")
    with tiny.database.reading() as session:
        assert session.get_one(Submission, entry).disqualified == "used the test"
    said("mark", entry, "reinstate")
    assert said("mark", entry, "disqualify", status=1) == "reason: is empty; expected what the team is told\n"
    assert "has no report; expected one of 3 pages or more" in said("mark", entry, "qualify", status=1)
    with tiny.database.writing() as session, session.begin():
        about = {"file_key": "k", "file_name": "f", "sha256": "0" * 64, "size": 1}
        session.add(Attachment(submission_id=entry, kind="report", pages=4, **about))
        session.add(Attachment(submission_id=entry, kind="run", **about))
    assert said("mark", entry, "qualify") == (
        f"{entry}: qualify done; its report has 4 pages; no audit is recorded\n"
    )
    outcome = {"verdict": "same", "checks": {}, "scores": {}, "foreign_reads": [], "passed": True}
    Path("audit.json").write_text(json.dumps(outcome))
    assert said("audit-outcome", entry, "audit.json") == f"{entry}: audit passed\n"
    assert json.loads(said("mark", entry, "qualify", "--json")) == {
        "submission": entry, "done": "qualify", "pages": 4, "audit": True,
    }  # fmt: skip
    assert said("mark", "nosuch", "hide", status=1) == "submission nosuch: there is none on this board\n"
    assert "has no run that could be audited" in said("audit-outcome", "nosuch", "audit.json", status=1)


def test_a_deadline_is_extended(said: Said, tiny: Board) -> None:
    printed = said("phase", "tiny", "main", "end=2031-07-01,per-day=3", "--reason", "the board was down")
    assert "end 2031-07-01T00:00:00+00:00" in printed and "per_day 3" in printed
    said("phase", "tiny", "final", "start=2031-07-01,total=1", "--new")
    said("phase", "tiny", "main", "end=never,per-day=none")
    with tiny.database.reading() as session:
        main_, final = session.scalars(select(Phase).order_by(Phase.position))
    assert (main_.end, main_.per_day, final.name, final.total) == (None, None, "final", 1)
    assert said("phase", "tiny", "other", "end=never", status=1) == (
        "phase 'other' of challenge 'tiny': there is none on this board\n"
    )
    assert "the end is not after the start" in said("phase", "tiny", "main", "end=2020-01-01", status=1)
    log = json.loads(said("log", "tiny", "--json"))["log"]
    assert [entry["action"] for entry in log] == [
        "change phase",
        "add phase",
        "change phase",
        "add challenge",
    ]
    assert log[2]["reason"] == "the board was down"
    assert log[2]["after"]["end"] == "2031-07-01T00:00:00+00:00"
    assert said("log", "--most", 1).rstrip().endswith("command line  change phase main")


def test_pages_people_and_teams(said: Said, tiny: Board) -> None:
    Path("rules.md").write_text("- Be fair.\n")
    said("people", "--make-admin", "ada")
    printed = said("edit", "tiny", "--title", "New", "--rules", "rules.md", "--organizer", "bob", "--hide")
    assert printed == "tiny: rules, title, hidden, organizer bob\n"
    with tiny.database.reading() as session:
        found = session.scalars(select(Challenge)).one()
        assert (found.title, found.rules, found.hidden) == ("New", "- Be fair.\n", True)
        bob = session.scalars(select(Person).where(Person.name == "bob")).one()
        assert service.is_organizer(session, bob, found)
    assert said("edit", "tiny", status=1) == "board edit: nothing to change was given; see --help\n"
    said("people", "--disable", "bob", "--reason", "spam")
    people = json.loads(said("people", "--json"))["people"]
    assert [(each["name"], each["admin"], each["disabled"]) for each in people] == [
        ("ada", True, False),
        ("bob", False, True),
    ]
    enter(tiny, "ada", 30)
    enter(tiny, "bob", 20)
    assert said("merge-teams", "tiny", "bob", "ada") == "bob is ada now\n"
    with tiny.database.reading() as session:
        team = session.scalars(select(Team).where(Team.name == "ada")).one()
        assert service.former_names(session, team) == ["bob"]
    assert said("merge-teams", "tiny", "eve", "ada", status=1) == (
        "team 'eve': there is none in challenge tiny\n"
    )


def test_scores_leave_the_board(said: Said, tiny: Board) -> None:
    enter(tiny, "ada", 30)
    enter(tiny, "bob", 20)
    rows = list(csv.DictReader(io.StringIO(said("leaderboard", "tiny", "--part", "all", "--csv"))))
    found = [(row["rank"], row["team"], row["score"]) for row in rows]
    assert found == [("1", "ada", "0.75"), ("2", "bob", "0.5")]
    lines = json.loads(said("leaderboard", "tiny", "--part", "all", "--json"))["lines"]
    assert [(line["team"], line["score"]) for line in lines] == [("ada", 0.75), ("bob", 0.5)]
    text = said("leaderboard", "tiny", "--part", "all", "--phase", "main").splitlines()
    assert text[0] == "A tiny challenge, main: top1 on the all part"
    assert text[1].startswith("   1  0.7500  (") and text[1].endswith("  ada")
    Path("fixed.csv").write_text(table("Labels", 20))
    assert said("rescore", "tiny", "--labels", "fixed.csv", "--reason", "wrong") == (
        "2 submissions of tiny will be scored anew by the board's workers\n"
    )
    score(tiny)
    lines = json.loads(said("leaderboard", "tiny", "--part", "all", "--json"))["lines"]
    assert [(line["team"], line["score"]) for line in lines] == [("bob", 1.0), ("ada", 0.75)]


def test_a_board_moves_to_another_machine(said: Said, tiny: Board) -> None:
    enter(tiny, "ada", 30)
    before = said("leaderboard", "tiny", "--json")
    assert said("export", "all.zip", "--labels", "secret.zip") == "all.zip: 1 challenges, 1 submissions\n"
    assert said("import", "all.zip", "--labels", "secret.zip", home="other") == "added tiny: 1 submissions\n"
    assert said("leaderboard", "tiny", "--json", home="other") == before
    assert said("import", "all.zip", home="other", status=1) == "challenge tiny: is on this board already\n"
    said("export", "all.zip", "--challenge", "tiny")
    printed = said("import", "all.zip", home="third")
    assert "without labels, and so without new submissions: tiny" in printed
    for words in ((), ("x.zip", "--static", "site")):
        assert said("export", *words, status=1) == "board export: expected either OUT.zip or --static DIR\n"


def test_a_bundle_of_another_platform(said: Said) -> None:
    Path("bundle").mkdir()
    Path("bundle/competition.yaml").write_text(
        "{version: 2, title: Few, terms: terms.md, image: a.png, phases: [{name: One, start: 2026-01-01}]}"
    )
    Path("bundle/terms.md").write_text("Be fair.")
    given = ("--task", "classification", "--labels", "labels.csv", "--classes", "a,b,c,d")
    printed = said("import", "bundle", *given)
    assert printed.splitlines() == [
        "added few: Few (Codabench 2)",
        "  phase One: 2026-01-01 00:00:00+00:00 to no end",
        "  not taken over: image: the board shows no logo",
        "  not taken over: the size of images is not in it; the challenge says 224 x 224",
    ]
    assert said("import", "bundle", "--task", "classification", status=1) == (
        "--labels: is missing; expected the labels of the bundle's test\n"
    )
    assert "is no such archive" in said("import", "labels.csv", status=1)


def test_fields_of_a_phase() -> None:
    assert read_fields(" name=a b , end=never,grace=5, total=none,final=all") == {
        "name": "a b", "end": None, "grace_minutes": "5", "total": None, "final_part": "all",
    }  # fmt: skip
    with pytest.raises(BadInput) as caught:
        read_fields("per_day=1,end")
    assert len(caught.value.problems) == 2


ROOT = Path(__file__).parents[2]


def organizer_block(file: str) -> str:
    """The organizer's commands in a page."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return text.split("<!-- run: organizer -->")[1].split("<!-- run: end -->")[0]


def test_from_nothing_to_a_running_challenge_in_five_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name in ("robin", "wren"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            picture = Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8))
            picture.save(tmp_path / "photos" / name / f"{number}.png")
    text = organizer_block("docs/board.md")
    assert organizer_block("README.md") == text
    lines = [shlex.split(line) for line in text.splitlines() if line and not line.startswith("```")]
    assert (
        len(lines) == 5 and lines[0][:2] == ["pip", "install"] and lines[4] == ["vipriors", "board", "serve"]
    )
    for words in lines[1:4]:
        assert main(words[1:]) == 0
    command = [sys.executable, "-m", *lines[4], "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = json.loads(server.stdout.readline())
            with urllib.request.urlopen(f"{said['address']}/c/birds") as answer:
                page = answer.read().decode()
        finally:
            server.terminate()
    assert "5 a day for a team" in page and "Final" in page
    assert said["administrator"].startswith(f"{said['address']}/sign-up?key=")
