"""A board's archive: what is in it, what is not, and that another board is the same after taking it over."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from board_helpers import CHALLENGE, add_person, labels, look, make_board, predictions, queue, the_phase
from sqlalchemy import func, select

from vipriors.board import jobs, scoring, service
from vipriors.board.core import Board, NotFound, open_board
from vipriors.board.exchange.archive import export_archive
from vipriors.board.exchange.restoring import import_archive
from vipriors.board.models import Attachment, Challenge, LogEntry, Person, Phase, Score, Submission, Team
from vipriors.board.settings import read_settings
from vipriors.problems import BadInput


def message(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInput) as caught:
        call()
    return str(caught.value)


def score(board: Board, submission: str) -> None:
    """Scores in this process what a worker would."""
    work = jobs.begin(board.database, submission, look(board, submission).due or 0)
    assert work is not None
    with board.files.local(work.file_key) as file, board.files.local(work.labels_key) as truth:
        job = scoring.Job(
            str(file), "p.csv", work.task, str(truth), work.classes, work.split_seed, work.public_share
        )
        *_, outcome = scoring.work(job)
        jobs.finish(board.database, work, outcome.scores)


def standings(board: Board) -> list[tuple[Any, ...]]:
    """Every leaderboard, of every part, as plain values."""
    found = []
    with board.database.reading() as session:
        for phase in session.scalars(select(Phase).join(Challenge).order_by(Challenge.name, Phase.position)):
            for part in ("public", "private", "all"):
                for line in service.leaderboard(session, phase, part=part).lines:
                    entry = line.place.entry
                    about = (phase.challenge.name, phase.name, part, line.place.rank, line.team)
                    sent = (entry.submission, entry.received, line.qualified)
                    found.append((*about, entry.value, entry.low, entry.high, *sent))
    return found


def records(board: Board) -> list[tuple[Any, ...]]:
    with board.database.reading() as session:
        rows = [
            (row.submission_id, row.part, row.labels_version, row.made, row.record)
            for row in session.scalars(select(Score))
        ]
    return sorted(rows, key=lambda row: row[:3])


def count(board: Board) -> dict[str, int]:
    tables = (Person, Challenge, Phase, Team, Submission, Score, Attachment, LogEntry)
    with board.database.reading() as session:
        return {
            each.__tablename__: session.scalar(select(func.count()).select_from(each)) or 0 for each in tables
        }


def empty_board(home: Path, **settings: Any) -> Board:
    return open_board(read_settings(home=home, uploads_a_minute=10_000, **settings))


@pytest.fixture
def full(tmp_path: Path) -> Board:
    """Two challenges, three people, scored, waiting, disqualified and merged entries, a report."""
    board = make_board(tmp_path / "first")
    (tmp_path / "second.yaml").write_text(CHALLENGE.replace("tiny", "second"))
    (tmp_path / "labels.csv").write_text(labels())
    service.add_challenge(board, tmp_path / "second.yaml", tmp_path / "labels.csv")
    people = {name: add_person(board, name) for name in ("ada", "bob", "eve", "olga", "idle")}
    service.make_organizer(board, "tiny", "olga")
    entries = {}
    for name, right in (("ada", 30), ("bob", 20), ("eve", 25)):
        entries[name] = queue(board, people[name], right)
        score(board, entries[name])
    (tmp_path / "fixed.csv").write_text(labels(1))
    service.rescore(board, "tiny", tmp_path / "fixed.csv")
    for entry in entries.values():
        score(board, entry)
    queue(board, people["ada"], 10)
    service.disqualify(board, entries["bob"], "copied")
    with board.database.reading() as session:
        teams = {team.name: team.id for team in session.scalars(select(Team))}
    service.merge_teams(board, teams["eve"], teams["ada"])
    stored = board.files.put(io.BytesIO(b"%PDF-"), 100)
    with board.database.writing() as session, session.begin():
        about = {"sha256": stored.sha256, "size": stored.size, "pages": 4}
        file = {"kind": "report", "file_key": stored.key, "file_name": "r.pdf"}
        session.add(Attachment(submission_id=entries["ada"], **about, **file))
        session.scalars(select(Person).where(Person.name == "olga")).one().admin = True
    return board


def test_another_board_is_the_same_after_taking_an_archive_over(
    full: Board, tmp_path: Path, database_url: str
) -> None:
    archive, secrets = tmp_path / "all.zip", tmp_path / "labels.zip"
    written = export_archive(full, archive, labels=secrets)
    assert written.rows == {
        "person": 5, "challenge": 2, "organizer": 1, "phase": 2, "team": 3, "membership": 4,
        "submission": 4, "score": 18, "attachment": 1, "log_entry": 6,
    }  # fmt: skip
    assert (written.files, secrets.stat().st_mode & 0o077) == (5, 0)
    other = empty_board(tmp_path / "other", database=database_url)
    add_person(other, "somebody")
    restored = import_archive(other, archive, secrets)
    assert (restored.challenges, restored.without_labels, restored.known) == (["tiny", "second"], [], [])
    assert standings(full) and standings(other) == standings(full)
    assert records(other) == records(full)
    expected = count(full)
    expected |= {"person": expected["person"] + 1, "log_entry": expected["log_entry"] + 2}
    assert count(other) == expected
    with other.database.reading() as session, full.database.reading() as before:
        ours = {row.id: row for row in session.scalars(select(Submission))}
        theirs = {row.id: row for row in before.scalars(select(Submission))}
        assert set(ours) == set(theirs)
        for id_, row in ours.items():
            for name in ("received", "state", "sha256", "upload_key", "disqualified", "due", "declaration"):
                assert getattr(row, name) == getattr(theirs[id_], name), name
            assert (row.team.name, row.person.email) == (theirs[id_].team.name, theirs[id_].person.email)
            with other.files.open(row.file_key) as file, full.files.open(theirs[id_].file_key) as original:
                assert file.read() == original.read()
        tiny = session.scalars(select(Challenge).where(Challenge.name == "tiny")).one()
        assert [entry.action for entry in service.log(session, tiny)][:3] == [
            "import challenge", "merge teams", "disqualify",
        ]  # fmt: skip
        ada = session.scalars(select(Team).where(Team.name == "ada")).one()
        assert service.former_names(session, ada) == ["eve"]
        olga = session.scalars(select(Person).where(Person.name == "olga")).one()
        assert service.is_organizer(session, olga, tiny)
        assert (olga.admin, olga.password_hash) == (False, "none")
        waiting = session.scalars(select(Submission).where(Submission.state == "queued")).one()
    score(other, waiting.id)
    score(full, waiting.id)
    assert standings(other) == standings(full)


def test_a_second_time_nothing_changes(full: Board, tmp_path: Path) -> None:
    export_archive(full, tmp_path / "all.zip", labels=tmp_path / "labels.zip")
    other = empty_board(tmp_path / "other")
    import_archive(other, tmp_path / "all.zip", tmp_path / "labels.zip")
    before = count(other)
    again = lambda: import_archive(other, tmp_path / "all.zip", tmp_path / "labels.zip")  # noqa: E731
    assert message(again) == (
        "challenge second: is on this board already\nchallenge tiny: is on this board already"
    )
    assert count(other) == before


def test_an_archive_tells_no_secret(full: Board, tmp_path: Path) -> None:
    with full.database.writing() as session, session.begin():
        session.scalars(select(Person).where(Person.name == "ada")).one().password_hash = "$argon2id$ada"
        challenges = session.scalars(select(Challenge)).all()
        secret = [each.split_seed for each in challenges] + [each.labels_key for each in challenges]
    export_archive(full, tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        names = archive.namelist()
        text = b"".join(archive.read(name) for name in names)
    assert not [name for name in names if "label" in name]
    for hidden in ("$argon2id$ada", *secret[:2]):
        assert hidden.encode() not in text
    assert not [key for key in secret[2:] if f"files/{key}" in names]
    assert labels(1).encode() not in text
    export_archive(full, tmp_path / "accounts.zip", accounts=True)
    other = empty_board(tmp_path / "other")
    import_archive(other, tmp_path / "accounts.zip")
    with other.database.reading() as session:
        people = {person.name: person for person in session.scalars(select(Person))}
    assert people["ada"].password_hash == "$argon2id$ada"
    assert (people["olga"].admin, people["ada"].admin) == (True, False)


def test_without_labels_a_challenge_shows_what_it_showed(full: Board, tmp_path: Path) -> None:
    export_archive(full, tmp_path / "all.zip")
    other = empty_board(tmp_path / "other")
    restored = import_archive(other, tmp_path / "all.zip")
    assert restored.without_labels == ["tiny", "second"]
    assert standings(other) == standings(full)
    with other.database.reading() as session:
        states = sorted(row.state for row in session.scalars(select(Submission)))
        assert states == ["error", "scored", "scored", "scored"]
        ada = session.scalars(select(Person).where(Person.name == "ada")).one()
    assert (
        message(lambda: service.submit(other, ada.id, "tiny", io.BytesIO(predictions(9)), "p.csv"))
        == "challenge tiny: takes no submissions: its labels are missing"
    )
    assert "has no labels on this board" in message(
        lambda: export_archive(other, tmp_path / "x.zip", labels=tmp_path / "y.zip")
    )
    assert service.rescore(other, "tiny", tmp_path / "fixed.csv") == 4
    assert service.submit(other, ada.id, "tiny", io.BytesIO(predictions(9)), "p.csv").again is False


def test_one_challenge_and_who_is_in_it(full: Board, tmp_path: Path) -> None:
    written = export_archive(full, tmp_path / "one.zip", challenge="tiny")
    assert (written.rows["challenge"], written.rows["person"], written.rows["submission"]) == (1, 4, 4)
    with pytest.raises(NotFound, match="challenge 'other'"):
        export_archive(full, tmp_path / "none.zip", challenge="other")
    assert not (tmp_path / "none.zip").exists()
    other = empty_board(tmp_path / "other")
    clash = Person(name="bob", email="other@example.org", password_hash="x")
    same = Person(name="Ada L.", email="ada@example.org", password_hash="x")
    with other.database.writing() as session, session.begin():
        session.add_all([clash, same])
    restored = import_archive(other, tmp_path / "one.zip")
    assert (restored.known, restored.renamed) == (["ada"], {"bob": "bob 2"})
    with other.database.reading() as session:
        rows = session.scalars(select(Submission)).all()
        assert {row.person.name for row in rows} == {"Ada L.", "bob 2", "eve"}
        assert session.get_one(Person, same.id).password_hash == "x"


def rewritten(source: Path, target: Path, **members: Callable[[bytes], bytes] | None) -> Path:
    """An archive with some members changed or left out; names as in `tables__team`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            short = name.partition(".")[0].replace("/", "__")[:20]
            change = members.get(short, lambda content: content)
            if change is not None:
                new.writestr(name, change(old.read(name)))
    return target


def test_archives_that_are_none_or_damaged(full: Board, tmp_path: Path) -> None:
    good, bad = tmp_path / "all.zip", tmp_path / "bad.zip"
    export_archive(full, good, labels=tmp_path / "labels.zip")
    other = empty_board(tmp_path / "other")
    before = count(other)

    def refused(labels: Path | None = None, **members: Any) -> str:
        return message(lambda: import_archive(other, rewritten(good, bad, **members), labels))

    bad.write_bytes(b"not a zip")
    assert "is no such archive" in message(lambda: import_archive(other, bad))
    assert "No such file" in message(lambda: import_archive(other, tmp_path / "missing.zip"))
    assert "is no such archive" in refused(board=None)
    assert "is of ('vipriors board', 99); expected 'vipriors board', version" in refused(
        board=lambda text: json.dumps({**json.loads(text), "version": 99}).encode()
    )
    assert "all.zip: is no such archive" in refused(labels=good)
    assert "tables/team.jsonl: is missing or cannot be read" in refused(tables__team=None)
    assert refused(tables__team=lambda text: b"[]\nx\n" + text) == (
        f"{bad}, tables/team.jsonl, line 1: expected an object\n{bad}, tables/team.jsonl, line 2: is not JSON"
    )

    def team(**changes: Any) -> Callable[[bytes], bytes]:
        def change(text: bytes) -> bytes:
            rows = [{**json.loads(line), **changes} for line in text.splitlines()]
            return b"".join(json.dumps(row).encode() + b"\n" for row in rows[:1])

        return change

    assert refused(tables__team=team(name=5, created="yesterday", colour="red", challenge_id=None)) == (
        f"{bad}, tables/team.jsonl, line 1: has 'colour', which is no column\n"
        f"{bad}, tables/team.jsonl, line 1, challenge_id: is null; expected a value\n"
        f"{bad}, tables/team.jsonl, line 1, name: is int; expected str\n"
        f"{bad}, tables/team.jsonl, line 1, created: "
        "expected a moment with a time zone, such as 2026-05-04T12:00:00+00:00"
    )
    assert "name: has 61 characters; expected at most 60" in refused(tables__team=team(name="x" * 61))
    assert "refers to team" in refused(tables__team=lambda text: b"")
    assert "its rows contradict each other" in refused(tables__team=lambda text: text + text.splitlines()[0])
    changed = refused(**{first_file(good): lambda content: content[:-1] + b"?"})
    assert "has SHA-256" in changed and "; expected" in changed
    assert "is missing or cannot be read" in refused(**{first_file(good): None})
    assert count(other) == before


def first_file(archive: Path) -> str:
    with zipfile.ZipFile(archive) as opened:
        name = next(name for name in opened.namelist() if name.startswith("files/"))
    return name.replace("/", "__")[:20]


def test_damaged_bytes_of_a_file(full: Board, tmp_path: Path) -> None:
    export_archive(full, tmp_path / "all.zip")
    data = bytearray((tmp_path / "all.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        files = [info for info in archive.infolist() if info.filename.startswith("files/")]
    info = max(files, key=lambda each: each.compress_size)
    start = info.header_offset + 30 + len(info.filename) + 60
    data[start : start + 8] = b"\xff" * 8
    (tmp_path / "bad.zip").write_bytes(data)
    other = empty_board(tmp_path / "other")
    assert f"{info.filename}: is damaged" in message(lambda: import_archive(other, tmp_path / "bad.zip"))
    assert the_phase(full)
