"""The list of finished runs."""

import json
import shutil
from pathlib import Path

import pytest

from vipriors.problems import BadInput
from vipriors.runs.listing import finished_runs, table


def test_runs_are_listed_with_their_best_floor(finished: Path) -> None:
    (run,) = finished_runs(finished.parent)
    scores = json.loads((finished / "scores.json").read_text())
    floors = {
        folder.name: json.loads((folder / "scores.json").read_text())["scores"]["top1"]
        for folder in (finished / "floors").iterdir()
    }
    told = run.to_json()
    assert told["score"] == scores["scores"]["top1"] and told["interval"] == scores["intervals"]["top1"]
    assert told["floor"] == max(floors, key=lambda name: floors[name])
    assert told["floor_score"] == max(floors.values())
    header, line = table([run]).splitlines()
    assert header.split()[:3] == ["challenge", "method", "score"]
    assert line.startswith(f"digits     residual  top1 {scores['scores']['top1']:.3f}")


def test_runs_without_labels_or_floors(finished: Path, tmp_path: Path) -> None:
    for name in ("recipe.json", "record.json"):
        (tmp_path / "run").mkdir(exist_ok=True)
        shutil.copy(finished / name, tmp_path / "run" / name)
    (run,) = finished_runs(tmp_path)
    assert run.to_json()["score"] is None and run.floor is None
    assert "not scored" in table([run])


def test_no_runs_and_damaged_ones(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no finished run"):
        finished_runs(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(finished / "recipe.json", tmp_path / name)
        (tmp_path / name / "record.json").write_text("{")
    with pytest.raises(BadInput) as caught:
        finished_runs(tmp_path)
    assert len(caught.value.problems) == 2
