"""Commands as a person meets them: what they print, their exit status, and never a traceback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from vipriors.bench import claims
from vipriors.cli import main, parser
from vipriors.report import write_report  # noqa: F401  the report's dependencies load before timing anything

FAST = ["--set", "steps=20", "--set", "width=4", "--threads", "1"]


def vipriors(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own."""
    command = [sys.executable, "-m", "vipriors", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with one finished run in `runs/first`."""
    folder = tmp_path_factory.mktemp("work")
    done = vipriors(
        "run", "digits", "baseline", "--rehearse", "--floors", "--out", "runs/first", *FAST, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    (folder / "output.txt").write_text(done.stdout)
    return folder


def test_run_prints_the_scores_and_where_the_report_is(place: Path) -> None:
    output = (place / "output.txt").read_text()
    for method in ("residual", "support-vector-machine", "nearest-neighbour"):
        assert re.search(
            rf"^{method} +top1 0\.\d{{3}}  \(95 % interval 0\.\d{{3}} to \d\.\d{{3}}\)$", output, re.M
        )
    assert re.search(r"^report +runs/first/report.html$", output, re.M)
    assert (place / "runs" / "first" / "report.html").stat().st_size > 10_000
    assert (place / "data" / "digits-n10-s0" / "dataset.json").exists()


def test_check_and_score_the_run_s_submission(place: Path) -> None:
    submission = "runs/first/predictions.csv"
    checked = vipriors("check", "digits", submission, cwd=place)
    assert (checked.returncode, checked.stderr) == (0, "")
    scored = json.loads(vipriors("score", "digits", submission, "--json", cwd=place).stdout)
    assert scored == json.loads((place / "runs" / "first" / "scores.json").read_text())
    as_task = vipriors(
        "score",
        "classification",
        submission,
        "--labels",
        "data/digits-n10-s0/labels/test.csv",
        "--json",
        cwd=place,
    )
    assert json.loads(as_task.stdout)["scores"] == scored["scores"]


def test_every_problem_of_a_submission_is_printed(place: Path) -> None:
    lines = (place / "runs" / "first" / "predictions.csv").read_text().splitlines(keepends=True)
    (place / "bad.csv").write_text("".join([lines[0], *lines[2:], "img_9999.png,1\n"]))
    for command in ("check", "score"):
        refused = vipriors(command, "digits", "bad.csv", cwd=place)
        assert refused.returncode == 1
        assert refused.stdout == ""
        assert "bad.csv, row 801" in refused.stderr
        assert f"no row for '{lines[1].split(',')[0]}'" in refused.stderr
        assert "2 problems" in refused.stderr
        as_json = vipriors(command, "digits", "bad.csv", "--json", cwd=place)
        assert len(json.loads(as_json.stdout)["problems"]) == 2


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["run", "nope"], 1, "challenge 'nope': unknown; expected one of"),
        (["run", "digits", "risidual"], 1, "did you mean 'residual'"),
        (["run", "digits", "--preset", "huge", "--set", "lrr=1", "--set", "steps=x"], 1, "3 problems"),
        (["run", "digits", "--set", "lr"], 1, "--set lr: expected NAME=VALUE"),
        (["run", "cifar-10"], 1, "give its folder with --source"),
        (["run", "fashion-mnist", "--source", "/nonexistent"], 1, "does not exist"),
        (["check", "digits", "missing.csv"], 1, "missing.csv: cannot be read"),
        (["score", "classification", "missing.csv"], 1, "--labels"),
        (["data", "verify", "."], 1, "is no prepared folder"),
        (["predict", ".", "--images", "."], 1, "is not a run folder"),
        (["export", "."], 1, "is not a run folder"),
        (["audit", "."], 1, "is not a run folder"),
        (["report", "."], 1, "recipe.json"),
        (["new", "mine", "--images", "/nonexistent"], 1, "does not exist"),
        (["bench", "digits", "nope", "--sizes", "5", "--out", "x"], 1, "unknown"),
        (["bench", "digits", "residual", "--sizes", "five", "--out", "x"], 2, "invalid"),
        (["run"], 2, "required"),
        (["nonsense"], 2, "invalid choice"),
        ([], 2, "required"),
    ],
)
def test_bad_input_gives_one_clear_message(
    words: Sequence[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        found = main(words)
    except SystemExit as exit_:
        found = int(exit_.code or 0)
    assert found == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_predict_export_and_audit(place: Path) -> None:
    picture = "data/digits-n10-s0/images/test/img_0.png"
    predicted = vipriors("predict", "runs/first", "--images", picture, cwd=place).stdout.splitlines()
    assert predicted[0] == "file,label,probability"
    assert predicted[1].startswith(f"{picture},")
    written = vipriors("predict", "runs/first", "--images", picture, "--out", "labels.csv", cwd=place)
    assert written.returncode == 0
    assert (place / "labels.csv").read_text().splitlines() == predicted
    exported = vipriors("export", "runs/first", "--format", "onnx", cwd=place)
    assert exported.returncode == 0
    assert (place / "runs" / "first" / "model.onnx").exists()
    audited = vipriors("audit", "runs/first", "--json", cwd=place)
    assert audited.returncode == 0, audited.stdout
    assert json.loads(audited.stdout)["verdict"] == "same"


def test_verify_names_what_is_damaged(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    assert vipriors("data", "prepare", "digits", "--images-per-class", 2, "--out", out).returncode == 0
    assert vipriors("data", "verify", out).returncode == 0
    (out / "images" / "test" / "img_3.png").unlink()
    (out / "images" / "test" / "img_4.png").write_bytes(b"")
    refused = vipriors("data", "verify", out)
    assert refused.returncode == 1
    assert "img_3.png" in refused.stderr
    assert "img_4.png" in refused.stderr
    assert "2 problems" in refused.stderr


def test_interrupted_and_resumed(place: Path) -> None:
    """Ctrl-C ends with 130 and what to type next; --resume ends where an uninterrupted run does."""
    words = ["run", "digits", "--set", "steps=400", "--set", "width=4", "--threads", "1"]
    command = [sys.executable, "-m", "vipriors", *words, "--out", "runs/cut"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=place)
    log = place / "runs" / "cut" / "log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in error
    assert "Traceback" not in error
    assert not (place / "runs" / "cut" / "record.json").exists()
    assert vipriors(*words, "--out", "runs/cut", "--resume", cwd=place).returncode == 0
    assert vipriors(*words, "--out", "runs/whole", cwd=place).returncode == 0
    cut, whole = ((place / "runs" / name / "predictions.csv").read_bytes() for name in ("cut", "whole"))
    assert cut == whole


def test_a_closed_pipe_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "vipriors", "list"]
    process = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (process.returncode, process.stderr) == (0, "")


def test_list_and_help_import_nothing_heavy() -> None:
    script = (
        "import sys; from vipriors.cli import main; main(['list']); "
        "print({'torch', 'numpy', 'sklearn', 'pydantic', 'PIL', 'rich'} & sys.modules.keys() or 'light')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "light"
    assert "residual" in done.stdout


def test_the_list_of_methods_says_which_systems_they_are_and_what_became_of_their_claims(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(cwd: Path) -> dict[str, dict[str, str | None]]:
        monkeypatch.chdir(cwd)
        assert main(["list", "methods", "--json"]) == 0
        return {row["name"]: row for row in json.loads(capsys.readouterr().out)["methods"]}

    checkout = Path(__file__).parents[2]
    elsewhere, here = rows(checkout / "tests"), rows(checkout)
    assert here["residual"]["system"] is here["residual"]["verdict"] is None
    assert here["sandglass"]["system"] == elsewhere["sandglass"]["system"] == "R3"
    expected = claims.standing(claims.outcomes(claims.find_system("R3")))
    assert here["sandglass"]["verdict"] == expected != "not measured"
    assert elsewhere["sandglass"]["verdict"] is None, "there are no records"
    assert main(["list", "methods"]) == 0
    assert f" [R3: {expected}]\n" in capsys.readouterr().out


def test_every_command_answers_with_json(place: Path) -> None:
    listed = json.loads(vipriors("list", "--json").stdout)
    assert {row["name"] for row in listed["challenges"]} >= {"digits", "fashion-mnist", "cifar-10"}
    ran = vipriors("run", "digits", "nearest-neighbour", "--out", "runs/nn", "--json", cwd=place)
    answer = json.loads(ran.stdout)
    assert answer["score"]["scores"]["top1"] > 0.8
    assert ran.stderr == ""


def test_every_argument_has_a_help_text() -> None:
    def commands(of: object) -> list[object]:
        found = []
        for action in of._actions:  # type: ignore[attr-defined]
            if hasattr(action, "choices") and isinstance(action.choices, dict):
                for inner in action.choices.values():
                    found += [inner, *commands(inner)]
        return found

    silent = {"--precision", "--format", "--task"}
    for command in commands(parser()):
        for action in command._actions:  # type: ignore[attr-defined]
            name = (action.option_strings or [action.dest])[-1]
            assert action.help or name in silent or isinstance(action.choices, dict), (command, name)
