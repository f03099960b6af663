"""Reports and runs that go with a submission: what is kept, what is refused, and what an audit adds."""

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from board_helpers import CHALLENGE, add_person, predictions, queue
from pypdf import PdfWriter

from vipriors.board import examining, scoring, service
from vipriors.board.core import Board, NotFound, TooMany
from vipriors.board.models import Person, Submission
from vipriors.challenges.schema import read_challenge
from vipriors.problems import BadInput
from vipriors.runs.records import Counts, RunRecipe, RunRecord


def message(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInput) as caught:
        call()
    return str(caught.value)


def pdf(pages: int = 3, password: str = "") -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(100, 100)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


CATALOG = b"<</Type /Catalog /Pages 2 0 R>>"


def hand_made(objects: list[bytes]) -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    out, offsets = io.BytesIO(b"%PDF-1.5\n"), []
    out.seek(0, io.SEEK_END)
    for number, content in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    out.write(b"trailer <</Size %d /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))
    return out.getvalue()


def run_zip(
    folder: Path, sent: bytes, top: str = "", without: str = "", claims: str = "", **changes: Any
) -> bytes:
    """A run of `tiny` that wrote `sent`, as a zip; parts of it can be left out or changed."""
    (folder / "challenge.yaml").write_text(CHALLENGE)
    recipe = {
        "challenge": read_challenge(folder / "challenge.yaml"),
        "challenge_file": "tiny.yaml",
        "classes": ("a", "b", "c", "d"),
        "images_per_class": None,
        "subset_seed": 0,
        "manifest_sha256": "0" * 64,
        "method": "residual",
        "preset": "tiny",
        "hyper_parameters": {"steps": 10},
        "seed": 0,
    }
    RunRecipe.model_validate({**recipe, **changes}).write(folder)
    digest = claims or hashlib.sha256(sent).hexdigest()
    RunRecord(counts=Counts(train=4, val=0, test=40), predictions_sha256=digest).write(folder)
    (folder / "predictions.csv").write_bytes(sent)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("recipe.json", "record.json", "predictions.csv"):
            if name != without:
                archive.write(folder / name, top + name)
    return stream.getvalue()


@pytest.fixture
def ada(board: Board) -> Person:
    return add_person(board, "ada")


def count(data: bytes, tmp_path: Path) -> scoring.Outcome:
    (tmp_path / "report.pdf").write_bytes(data)
    job = scoring.Job(str(tmp_path / "report.pdf"), "report.pdf", "classification", "")
    return examining.count_pages(job)


def test_a_report_is_kept_and_its_pages_are_counted(board: Board, ada: Person) -> None:
    entry = queue(board, ada, 4)
    kept = service.attach_report(board, ada.id, entry, io.BytesIO(pdf(4)), "../My report.pdf")
    assert (kept.kind, kept.pages, kept.file_name, kept.audit) == ("report", 4, "My report.pdf", None)
    with board.files.open(kept.file_key) as file:
        assert file.read() == pdf(4)
    with board.database.reading() as session:
        submission = session.get_one(Submission, entry)
        assert [each.id for each in service.attachments(session, submission)] == [kept.id]
        newest = service.log(session)[0]
        assert (newest.action, newest.subject, newest.person_id) == ("attach report", entry, ada.id)
    with pytest.raises(BadInput, match=r"paper\.pdf: is no PDF; expected a file that starts with %PDF-"):
        service.attach_report(board, ada.id, entry, io.BytesIO(b"PK\x03\x04" * 9), "paper.pdf")


def test_reports_that_cannot_be_read(tmp_path: Path) -> None:
    whole = pdf(3)
    assert count(whole, tmp_path).scores == {"report": {"pages": 3}}
    assert count(b"\n" * 900 + whole, tmp_path).scores == {"report": {"pages": 3}}
    for data, said in (
        (pdf(3, "secret"), "is encrypted; expected a PDF without a password"),
        (whole[: len(whole) // 2], "is a damaged PDF"),
        (b"%PDF-1.7\n", "is a damaged PDF"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, "is a damaged PDF"),
        (b" " * 2000 + whole, "is no PDF"),
        (hand_made([b"<</Type /Catalog>>"]), "is a damaged PDF"),
        (
            hand_made([CATALOG, b"<</Type /Pages /Kids [] /Count 9>>"]),
            "has no pages",
        ),
    ):
        (problem,) = count(data, tmp_path).problems
        assert said in problem.message and problem.place == "report.pdf"


def test_a_page_tree_that_bites_its_tail(tmp_path: Path) -> None:
    tree = [CATALOG, b"<</Type /Pages /Kids [2 0 R 3 0 R] /Count 2>>"]
    outcome = count(hand_made([*tree, b"<</Type /Page /Parent 2 0 R>>"]), tmp_path)
    assert outcome.problems or outcome.scores == {"report": {"pages": 1}}


def test_a_report_that_claims_pages_has_those_that_are_there(tmp_path: Path) -> None:
    tree = [CATALOG, b"<</Type /Pages /Kids [3 0 R] /Count 99>>"]
    outcome = count(hand_made([*tree, b"<</Type /Page /Parent 2 0 R>>"]), tmp_path)
    assert outcome.scores == {"report": {"pages": 1}}


def test_a_report_that_takes_too_much_is_the_sender_s_fault(
    board: Board, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of contents that unpacks to half a gigabyte; and a reader that never ends."""
    packed = zlib.compress(b" " * 2**29, 9)
    about = b"<</Type /XRef /Size 1 /W [1 2 1] /Root 1 0 R /Length %d /Filter /FlateDecode>>" % len(packed)
    table = b"1 0 obj\n%s\nstream\n%s\nendstream\nendobj\n" % (about, packed)
    data = b"%PDF-1.5\n" + table + b"startxref\n9\n%%EOF"
    entry = queue(board, ada, 4)
    said = message(lambda: service.attach_report(board, ada.id, entry, io.BytesIO(data), "r.pdf"))
    assert re.match(r"r\.pdf: (is a damaged PDF|checking it takes more than)", said)
    hang = (sys.executable, "-I", "-c", ENDLESS)
    monkeypatch.setitem(examining.PROGRAMS, "report", hang)
    monkeypatch.setattr("vipriors.board.attaching.PAGES_LIMITS", scoring.Limits(1, 2**30))
    assert message(lambda: service.attach_report(board, ada.id, entry, io.BytesIO(pdf()), "r.pdf")) == (
        "r.pdf: checking it takes more than 1 seconds of CPU time, the most that is given"
    )


ENDLESS = """
from vipriors.board.scoring import child_main
def work(job):
    while True: pass
child_main(work)
"""


def test_the_run_that_made_a_submission(board: Board, ada: Person, tmp_path: Path) -> None:
    entry = queue(board, ada, 4)
    data = run_zip(tmp_path, predictions(4), top="my-run/")
    kept = service.attach_run(board, ada.id, entry, io.BytesIO(data), "run.zip")
    assert (kept.kind, kept.pages, kept.sha256) == ("run", None, hashlib.sha256(data).hexdigest())
    outcome = {
        "verdict": "same",
        "checks": {"images": True},
        "scores": {"recorded": 0.5, "repeated": 0.5},
        "foreign_reads": [],
        "passed": True,
    }
    service.record_audit(board, kept.id, outcome)
    with board.database.reading() as session:
        found = service.attachments(session, session.get_one(Submission, entry))
        assert service.audit_passed(found) is True
        assert service.log(session)[0].detail["after"]["verdict"] == "same"
    service.record_audit(board, kept.id, {**outcome, "verdict": "different", "passed": False})
    with board.database.reading() as session:
        assert service.audit_passed(service.attachments(session, session.get_one(Submission, entry))) is False
    assert message(lambda: service.record_audit(board, kept.id, {**outcome, "foreign_reads": ["/x"]})) == (
        "outcome of the audit, passed: does not follow from verdict and foreign_reads"
    )
    assert message(
        lambda: service.record_audit(board, kept.id, {**outcome, "verdict": "fine", "extra": 1})
    ) == (
        "outcome of the audit, verdict: Input should be 'same', 'within the interval' or 'different'\n"
        "outcome of the audit, extra: Extra inputs are not permitted"
    )
    with pytest.raises(NotFound):
        service.record_audit(board, 99, outcome)
    with pytest.raises(NotFound):
        service.record_audit(board, kept.id, outcome, by=ada.id)


def examine(data: bytes, tmp_path: Path) -> str:
    (tmp_path / "run.zip").write_bytes(data)
    (tmp_path / "sent").write_bytes(predictions(4))
    job = scoring.Job(str(tmp_path / "run.zip"), "run.zip", "classification", str(tmp_path / "sent"))
    return "\n".join(map(str, examining.examine_run(job).problems))


def test_folders_that_are_no_finished_run(tmp_path: Path) -> None:
    sent = predictions(4)
    assert examine(run_zip(tmp_path, sent), tmp_path) == ""
    assert examine(b"hello", tmp_path).startswith("run.zip: not a zip archive")
    missing = "run.zip: has no {}; expected a zip of the folder of a finished run"
    for name in ("recipe.json", "record.json", "predictions.csv"):
        assert examine(run_zip(tmp_path, sent, without=name), tmp_path) == missing.format(name)
    assert "expected " + "1" * 64 in examine(run_zip(tmp_path, sent, claims="1" * 64), tmp_path)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("recipe.json", json.dumps({"format": 2}))
        archive.writestr("record.json", "{}")
        archive.writestr("../../x", "{}")
    assert "climbs out of the archive" in examine(stream.getvalue(), tmp_path)
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        archive.writestr("recipe.json", "[" * 100_000)
    assert "run.zip, recipe.json: is not JSON" in examine(stream.getvalue(), tmp_path)
    with zipfile.ZipFile(stream := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recipe.json", b" " * (examining.MOST_JSON + 1))
    assert examine(stream.getvalue(), tmp_path) == "run.zip: " + (
        f"the archive unpacks to {(examining.MOST_JSON + 1) / len(stream.getvalue()):,.0f} times its size; "
        "expected at most 200"
    )


def test_a_run_of_something_else(board: Board, ada: Person, tmp_path: Path) -> None:
    entry = queue(board, ada, 4)
    other = read_challenge_as(tmp_path, "name: tiny", "name: other\nsubset: {unlabelled: all}")
    data = run_zip(tmp_path, predictions(5), challenge=other, images_per_class=50, subset_seed=1)
    attach = lambda: service.attach_run(board, ada.id, entry, io.BytesIO(data), "run.zip")  # noqa: E731
    assert message(attach) == (
        "run.zip, recipe.json, challenge.name: is 'other'; expected 'tiny', as this challenge has it\n"
        "run.zip, recipe.json, images_per_class: is 50; expected None, as this challenge has it\n"
        "run.zip, recipe.json, challenge.subset.unlabelled: is 'all'; expected 0, as this challenge has it\n"
        "run.zip, recipe.json, subset_seed: is 1; expected 0, as this challenge has it\n"
        "run.zip, predictions.csv: is not the file that was submitted; "
        "expected the run that made this submission"
    )
    with board.database.writing() as session, session.begin():
        session.get_one(Submission, entry).declaration = {"kind": "ensemble"}
    one_of_many = run_zip(tmp_path, predictions(5))
    assert service.attach_run(board, ada.id, entry, io.BytesIO(one_of_many), "run.zip").kind == "run"


def read_challenge_as(folder: Path, old: str, new: str) -> Any:
    (folder / "changed.yaml").write_text(CHALLENGE.replace(old, new))
    return read_challenge(folder / "changed.yaml")


def test_who_may_attach_and_how_much(
    board: Board, ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = queue(board, ada, 4)
    bob, olga = add_person(board, "bob"), add_person(board, "olga")
    service.make_organizer(board, "tiny", "olga")
    monkeypatch.setattr(scoring, "run", lambda *_, **__: scoring.Outcome([], {"report": {"pages": 1}}))
    send = lambda who: service.attach_report(board, who, entry, io.BytesIO(b"x"), "r.pdf")  # noqa: E731
    with pytest.raises(NotFound):
        send(bob.id)
    send(olga.id)
    monkeypatch.setattr("vipriors.board.attaching.MOST_REPORT", 10)
    with pytest.raises(BadInput, match="upload: is larger than 10 bytes"):
        service.attach_report(board, ada.id, entry, io.BytesIO(b"x" * 11), "r.pdf")
    monkeypatch.setattr("vipriors.board.attaching.MOST_ATTACHMENTS", 2)
    send(ada.id)
    with pytest.raises(BadInput, match="has 2 attachments, the most that are kept"):
        send(ada.id)
    board.uploads.a_minute = 3
    board.uploads._taken.clear()
    for _ in range(3):
        with pytest.raises(BadInput):
            send(ada.id)
    with pytest.raises(TooMany):
        send(ada.id)


def test_examining_imports_no_torch() -> None:
    code = "import sys, vipriors.board.attaching, vipriors.board.examining; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
