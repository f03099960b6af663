import json
import shutil
from pathlib import Path

import pytest

from vipriors.problems import BadInput
from vipriors.runs.audit import audit
from vipriors.runs.prepared import RunData
from vipriors.runs.replay import foreign


def test_an_honest_run_is_made_again_to_the_bit(finished: Path) -> None:
    found = audit(finished)
    assert found.verdict == "same"
    assert found.passed
    assert found.foreign_reads == []
    assert all(found.checks.values())
    assert found.scores["recorded"] == found.scores["repeated"]


def test_a_changed_submission_is_found(finished: Path, tmp_path: Path, digits: RunData) -> None:
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / "predictions.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], *reversed(lines[1:])]))
    found = audit(tmp_path / "run", data=digits.root)
    assert found.verdict == "different"
    assert not found.passed
    assert [what for what, same in found.checks.items() if not same] == ["predictions on disk"]


def test_a_recipe_that_did_not_make_the_submission_is_found(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    recipe["hyper_parameters"]["steps"] = 3
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe))
    found = audit(tmp_path / "run")
    assert found.verdict == "different"
    assert found.checks["initial weights"]
    assert not found.checks["final weights"]
    assert not found.checks["predictions"]


def test_other_training_images_are_found(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    recipe["subset_seed"] = 2
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe))
    found = audit(tmp_path / "run")
    assert not found.checks["images"]
    assert found.verdict == "different"


def test_an_unfinished_run_cannot_be_audited(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "record.json").unlink()
    with pytest.raises(BadInput, match="not a finished run"):
        audit(tmp_path / "run")


def test_a_run_that_cannot_be_made_again_says_why(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    recipe["method"] = "gone"
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(BadInput, match="could not be made again: method 'gone': unknown"):
        audit(tmp_path / "run")


def test_what_is_foreign_to_a_run(tmp_path: Path) -> None:
    image, own = tmp_path / "data" / "images" / "train" / "a.png", tmp_path / "run"
    test_image = tmp_path / "data" / "images" / "test" / "img_0.png"
    weights = tmp_path / "pretrained.pt"
    events = [
        ("open", str(image)),
        ("open", str(own / "log.jsonl")),
        ("open", json.__file__),
        ("open", "3"),
        ("open", "/proc/cpuinfo"),
        ("open", str(test_image)),
        ("open", str(weights)),
        ("subprocess.Popen", "curl"),
        ("socket.connect", "<socket>"),
    ]
    found = foreign(events, {str(image)}, own)
    assert found == [str(test_image), str(weights), "subprocess.Popen curl", "socket.connect <socket>"]


def test_a_method_that_reads_something_else_is_caught(finished: Path, tmp_path: Path) -> None:
    """A file opened while learning shows up, through the whole chain of processes."""
    secret = tmp_path / "extra.bin"
    secret.write_bytes(b"pre-trained")
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, random\n"
        "import vipriors.methods.classification._network as network\n"
        "real = network.fit\n"
        "def fit(*args):\n"
        f"    open({str(secret)!r}).read()\n"
        "    return real(*args)\n"
        "network.fit = fit\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        found = audit(finished)
    assert found.foreign_reads == [str(secret)]
    assert found.verdict == "same"
    assert not found.passed
