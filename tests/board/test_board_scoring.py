"""The process that checks and scores: right, limited, and alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from board_helpers import IDS, labels, predictions, wait_for

from vipriors.board import scoring
from vipriors.board.parts import split
from vipriors.board.scoring import Job, Limits, NotWanted, ScorerFault, run
from vipriors.problems import Problem
from vipriors.tasks import classification

AMPLE = Limits(cpu_seconds=60, memory_bytes=2**31)


def job_for(folder: Path, data: bytes, truth: str = labels(), **options: object) -> Job:
    (folder / "upload").write_bytes(data)
    (folder / "truth").write_text(truth)
    classes = ("a", "b", "c", "d")
    given = {"seed": "s", "public_share": 0.5, "classes": classes, **options}
    return Job(str(folder / "upload"), "up.csv", "classification", str(folder / "truth"), **given)  # type: ignore[arg-type]


def child(body: str) -> list[str]:
    """A program whose work is `body`."""
    lines = "\n    ".join(body.splitlines())
    code = f"""
import os, signal, socket, sys, time
from vipriors.board import scoring
def work(job):
    {lines}
scoring.child_main(work)
"""
    return [sys.executable, "-I", "-c", code]


def test_scores_each_part(tmp_path: Path) -> None:
    outcome = run(job_for(tmp_path, predictions(25)), AMPLE)
    assert outcome.problems == []
    for part, which in split(IDS, "s", 0.5).items():
        right = sum(position < 25 for position in which.tolist())
        score = outcome.scores[part]
        assert score is not None
        assert score["scores"]["top1"] == pytest.approx(right / len(which))
        assert score["details"]["n_test"] == len(which)
    (tmp_path / "l.csv").write_text(labels())
    truth = classification.open_truth(tmp_path / "l.csv", ["a", "b", "c", "d"])
    read, _ = classification.check(predictions(25), truth.index)
    assert read is not None
    whole = classification.score(read, truth.labels, truth.index, truth.classes)
    assert outcome.scores["all"] == json.loads(json.dumps(whole.to_json()))


def test_every_problem_of_a_file(tmp_path: Path) -> None:
    data = predictions(40).replace(b"img_0.png,0", b"img_0.png,9").replace(b"img_1.png", b"who.png")
    expected = classification.check(data, classification.Index(tuple(IDS), 4), "up.csv")[1]
    assert len(expected) == 3
    for score in (True, False):
        assert run(job_for(tmp_path, data, score=score), AMPLE) == scoring.Outcome(expected)


def test_checking_scores_nothing(tmp_path: Path) -> None:
    assert run(job_for(tmp_path, predictions(1), score=False), AMPLE) == scoring.Outcome([], {})


def test_wrong_labels_are_not_the_files_fault(tmp_path: Path) -> None:
    with pytest.raises(ScorerFault, match="the labels cannot be used: truth: the file is empty"):
        run(job_for(tmp_path, predictions(1), truth=""), AMPLE)


def test_too_much_memory_is_the_files_fault(tmp_path: Path) -> None:
    program = child("return bytearray(2**40)")
    assert run(job_for(tmp_path, b""), Limits(60, 2**29), program=program).problems == [
        Problem("up.csv", "scoring it takes more than 512 MiB of memory, the most that is given")
    ]


def test_a_real_file_that_needs_too_much_memory(tmp_path: Path) -> None:
    data = b"[" + b"[1],\n" * 10**7 + b"1]"
    (tmp_path / "coco.json").write_text(
        json.dumps(
            {
                "images": [{"id": k, "height": 9, "width": 9} for k in range(40_000)],
                "categories": [{"id": 1, "name": "a"}],
                "annotations": [{"image_id": 0, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1}],
            }
        )
    )
    (tmp_path / "upload").write_bytes(data)
    job = Job(str(tmp_path / "upload"), "up.json", "detection", str(tmp_path / "coco.json"), score=False)
    assert run(job, Limits(60, 2**29)).problems == [
        Problem("up.json", "checking it takes more than 512 MiB of memory, the most that is given")
    ]


def test_too_much_time_is_the_files_fault(tmp_path: Path) -> None:
    assert run(job_for(tmp_path, b""), Limits(1, 2**31), program=child("while True: pass")).problems == [
        Problem("up.csv", "scoring it takes more than 1 seconds of CPU time, the most that is given")
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended with -9"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended with -11"),
        ("raise KeyError('secret')", "KeyError: 'secret'"),
        ("print('noise'); return scoring.Outcome()", "answer cannot be read: b'noise"),
        ("os._exit(0)", "answer cannot be read: b''"),
        ("sys.stdout.write('x' * (65 * 2**20))", "File too large"),
    ],
    ids=["killed", "crashed", "raises", "noise", "silent", "chatty"],
)
def test_a_scorer_that_fails_is_the_boards_fault(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ScorerFault, match=message):
        run(job_for(tmp_path, b""), AMPLE, program=child(body))


def test_what_cannot_be_in_json_is_left_out(tmp_path: Path) -> None:
    body = "return scoring.Outcome([], {'all': {'scores': {'top1': float('nan'), 'x': [float('inf'), 1.5]}}})"
    outcome = run(job_for(tmp_path, b""), AMPLE, program=child(body))
    assert outcome.scores == {"all": {"scores": {"top1": None, "x": [None, 1.5]}}}


def test_what_nobody_wants_any_more_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "ASK_EVERY", 0.1)
    with pytest.raises(NotWanted):
        run(job_for(tmp_path, b""), AMPLE, lambda: False, child("time.sleep(600)"))


def test_a_scorer_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "ASK_EVERY", 0.1)
    monkeypatch.setattr(Limits, "wall_seconds", 0.5)
    with pytest.raises(ScorerFault, match="took more than 0 s"):
        run(job_for(tmp_path, b""), AMPLE, program=child("time.sleep(600)"))


def test_the_environment_stays_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPRIORS_BOARD_DATABASE", "postgresql://board:secret@host/db")
    body = "return scoring.Outcome([], {'env': dict(os.environ), 'cwd': sorted(os.listdir('.'))})"
    said = run(job_for(tmp_path, b""), AMPLE, program=child(body)).scores
    assert set(said["env"] or ()) <= {
        "PATH", "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
    }  # fmt: skip
    assert said["cwd"] == ["answer", "errors", "order"]


def leaving_the_network_is_possible() -> bool:
    tool = shutil.which("unshare")
    tries = [["-n", "true"], ["-rn", "true"]]
    return tool is not None and any(subprocess.run([tool, *each]).returncode == 0 for each in tries)


@pytest.mark.skipif(not leaving_the_network_is_possible(), reason="this system lets no process leave it")
def test_there_is_no_network(tmp_path: Path) -> None:
    body = """
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as error:
    return scoring.Outcome([], {"error": error.strerror})
"""
    said = run(job_for(tmp_path, b""), AMPLE, program=child(body.strip())).scores
    assert said["error"] == "Network is unreachable"


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    program = child(f"open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}}\\n'); time.sleep(600)")
    code = f"""
from vipriors.board.scoring import *
run(Job("", "", "", ""), Limits(60, 2**31), program={program!r})
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    pid = int((tmp_path / "pid").read_text())
    parent.kill()
    parent.wait()

    def is_gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"

    wait_for(is_gone)
