"""`bench` and `report` of its records, as typed."""

import json
from pathlib import Path

import pytest

from vipriors.cli import main

BENCH = [
    "bench",
    "digits",
    "nearest-neighbour",
    "--sizes",
    "2,4",
    "--seeds",
    "2",
    "--out",
    "r",
    "--jobs",
    "0",
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_bench_and_its_report(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(BENCH) == 0
    said = capsys.readouterr()
    assert "| nearest-neighbour |" in said.out
    assert "4 of 4 done, 0 running" in said.err
    assert main([*BENCH, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": "r", "cells": 4, "run": 0}
    assert main(["report", "r"]) == 0
    assert capsys.readouterr().out.strip() == "r/report.html"
    assert "nearest-neighbour" in (place / "r" / "report.html").read_text()
    assert main(["report", ".", "--json", "--out", "all.html", "--reference", "nearest-neighbour"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": "all.html"}
    assert main(["report", "r", "--reference", "residual"]) == 1
    assert "was not measured" in capsys.readouterr().err


def test_failed_cells_end_a_bench_with_their_causes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = place / "r" / "failed"
    failed.mkdir(parents=True)
    (failed / "nearest-neighbour-n4-s1.json").write_text(
        '{"error": "ValueError: no", "where": "a.py, line 1"}'
    )
    assert main(BENCH) == 1
    said = capsys.readouterr().err
    assert "3 of 4 done, 0 running, 1 failed" in said
    assert "nearest-neighbour-n4-s1: failed: ValueError: no (a.py, line 1); --retry-failed runs it" in said
    assert main([*BENCH, "--retry-failed"]) == 0
    assert list(failed.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["bench", "digits", "residual", "residual", "--out", "x"], 1, "names 2 contenders"),
        (["bench", "digits", "u-net", "--out", "x"], 1, "is for the task segmentation"),
        (["bench", "digits", "residual", "--out", "x", "--gpus-per-run", "1.5"], 2, "invalid"),
        (["bench", "digits", "residual", "--out", "x", "--jobs", "-1"], 2, "invalid"),
        (["tune", "digits", "residual", "--out", "x", "--method", "grid"], 2, "invalid choice"),
    ],
)
def test_wrong_words(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, message: str
) -> None:
    try:
        assert main(words) == status
    except SystemExit as ended:
        assert ended.code == status
    assert message in capsys.readouterr().err
    assert list(place.iterdir()) == []
