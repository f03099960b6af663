import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from vipriors.challenges.schema import Challenge
from vipriors.data.manifest import manifest_hash, read_manifest
from vipriors.data.sources import ArrayPart, ArraySource
from vipriors.problems import BadInput
from vipriors.runs import prepared
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.records import RunRecipe, RunRecord, read_score
from vipriors.runs.run import Plan, load_model, run
from vipriors.train import Execution

from .conftest import PLAN

CPU = Execution(device="cpu")


def read_csv(file: Path) -> dict[str, int]:
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    return {row[0]: int(row[1]) for row in rows}


def test_the_score_is_that_of_the_predictions_file(finished: Path, digits: RunData) -> None:
    predicted = read_csv(finished / "predictions.csv")
    labels = read_csv(digits.root / "labels" / "test.csv")
    truth = [labels[name] for name in predicted]
    score = read_score(finished)
    assert score is not None
    estimates = score.estimates
    assert estimates["top1"].value == pytest.approx(accuracy_score(truth, list(predicted.values())))
    assert estimates["balanced_accuracy"].value == pytest.approx(
        balanced_accuracy_score(truth, list(predicted.values()))
    )
    assert estimates["top1"].value > 0.5  # far above the chance of a tenth, even after sixty steps


def test_the_folder_says_what_made_it(finished: Path, digits: RunData) -> None:
    recipe, record = RunRecipe.read(finished), RunRecord.read(finished)
    rows = read_manifest(finished / "manifest.csv")
    assert recipe.manifest_sha256 == manifest_hash(rows) == digits.manifest_sha256
    assert (recipe.method, recipe.seed, recipe.images_per_class, recipe.subset_seed) == ("residual", 3, 5, 1)
    assert recipe.hyper_parameters["steps"] == 60
    assert recipe.hyper_parameters["lr"] == 0.1
    digest = hashlib.sha256((finished / "predictions.csv").read_bytes()).hexdigest()
    assert record.predictions_sha256 == digest
    assert record.counts.model_dump() == {"train": 30, "val": 20, "test": 800, "unlabelled": 0}
    assert record.environment["device"] == "cpu"
    assert {"torch", "numpy", "python", "threads"} <= record.environment.keys()
    assert record.facts["initial_weights_sha256"] != record.facts["final_weights_sha256"]
    assert record.validation is not None
    last = json.loads((finished / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 60
    rehearsed = json.loads((finished / "rehearsal" / "log.jsonl").read_text().splitlines()[-1])
    assert rehearsed["val_top1"] == pytest.approx(record.validation)


def test_the_model_read_back_predicts_what_was_submitted(finished: Path, digits: RunData) -> None:
    _, classifier = load_model(finished, CPU)
    test = digits.load("test")
    predicted = classifier.probabilities(test.images).argmax(1)
    assert dict(zip(test.ids, predicted.tolist(), strict=True)) == read_csv(finished / "predictions.csv")


def test_test_labels_are_not_needed(digits: RunData, tmp_path: Path) -> None:
    shutil.copytree(digits.root, tmp_path / "data", ignore=shutil.ignore_patterns("labels"))
    blind = dataclasses.replace(digits, prepared=dataclasses.replace(digits.prepared, root=tmp_path / "data"))
    plan = dataclasses.replace(PLAN, overrides={"steps": "2"}, rehearse=False)
    assert run(blind, plan, tmp_path / "run", execution=CPU) is None
    assert (tmp_path / "run" / "predictions.csv").exists()
    assert not (tmp_path / "run" / "scores.json").exists()


def test_a_folder_with_another_run_is_left_alone(finished: Path, digits: RunData) -> None:
    before = (finished / "recipe.json").read_bytes()
    with pytest.raises(BadInput, match="is not empty"):
        run(digits, PLAN, finished, execution=CPU)
    other = dataclasses.replace(PLAN, seed=4, overrides={**PLAN.overrides, "lr": "0.2"})
    with pytest.raises(BadInput) as caught:
        run(digits, other, finished, execution=CPU, resume=True)
    assert [str(problem) for problem in caught.value.problems] == [
        "recipe.json, hyper_parameters.lr: is 0.1; asked for now: 0.2",
        "recipe.json, seed: is 3; asked for now: 4",
    ]
    assert (finished / "recipe.json").read_bytes() == before


def test_a_finished_run_is_not_run_again(finished: Path, digits: RunData) -> None:
    before = (finished / "record.json").stat().st_mtime_ns
    score = run(digits, PLAN, finished, execution=CPU, resume=True)
    assert score == read_score(finished)
    assert (finished / "record.json").stat().st_mtime_ns == before


def test_stopped_in_the_middle_and_resumed_it_ends_the_same(
    finished: Path, digits: RunData, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int, words: str) -> None:
        if stage == "train" and done >= 30:
            raise Stop

    with pytest.raises(Stop):
        run(digits, PLAN, tmp_path / "run", execution=CPU, progress=stop)
    assert not (tmp_path / "run" / "record.json").exists()
    run(digits, PLAN, tmp_path / "run", execution=CPU, resume=True)
    again, first = RunRecord.read(tmp_path / "run"), RunRecord.read(finished)
    assert again.predictions_sha256 == first.predictions_sha256
    assert again.facts["final_weights_sha256"] == first.facts["final_weights_sha256"]


def test_fit_on_train_leaves_the_validation_images_out(digits: RunData, tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, fit_on="train", rehearse=False)
    run(digits, plan, tmp_path / "run", execution=CPU)
    record = RunRecord.read(tmp_path / "run")
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert record.validation == pytest.approx(last["val_top1"])


def test_floors_are_tuned_on_validation_and_recorded(finished: Path) -> None:
    floors = {folder.name: RunRecipe.read(folder) for folder in (finished / "floors").iterdir()}
    assert floors.keys() == {"support-vector-machine", "nearest-neighbour"}
    assert floors["support-vector-machine"].hyper_parameters["c"] > 0
    assert floors["nearest-neighbour"].hyper_parameters["distance"] != "searched"


@pytest.mark.parametrize("channels", [1, 3, 13])
def test_any_number_of_channels_works_end_to_end(
    channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two classes that differ in the last channel alone: it has to arrive."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 60, (40, 12, 16, channels), dtype=np.uint8)
    labels = np.arange(40, dtype=np.int64) % 2
    images[labels == 1, ..., -1] += 150
    source = ArraySource("bands", ("dark", "bright"), (ArrayPart("bands", None, images, labels),))
    monkeypatch.setattr(Challenge, "open", lambda self, path=None: source)
    challenge = Challenge.model_validate(
        {
            "name": "bands",
            "title": "Bands",
            "task": "classification",
            "source": {"world": "digits"},
            "subset": {"images_per_class": 10, "test_per_class": 10},
            "input": {"size": [12, 16], "channels": channels},
            "invariance": {"flip": True, "shift": 1, "rotate": 5},
        }
    )
    data = find_data(challenge, challenge.rule(), data=tmp_path / "data")
    suffix = ".npy" if channels == 13 else ".png"
    assert all(row.id.endswith(suffix) for row in data.rows)
    plan = Plan(overrides={"steps": "30", "width": "4", "lr": "0.1"})
    score = run(data, plan, tmp_path / "run", execution=CPU)
    assert score is not None
    assert score.estimates["top1"].value == 1.0


def test_a_smaller_subset_inside_a_prepared_folder_is_the_one_prepared_alone(
    digits: RunData, tmp_path: Path
) -> None:
    challenge = digits.challenge
    alone = find_data(challenge, challenge.rule(2, 1), data=tmp_path / "alone")
    inside = find_data(challenge, challenge.rule(2, 1), data=digits.root)
    assert inside.rows == alone.rows
    assert inside.manifest_sha256 == alone.manifest_sha256 != digits.manifest_sha256


@pytest.mark.parametrize(
    ("size", "seed", "message"),
    [(6, 1, "holds 5 images a class; expected 6"), (5, 2, "holds a subset with seed 1; expected 2")],
)
def test_a_prepared_folder_of_another_subset_is_refused(
    digits: RunData, size: int, seed: int, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        find_data(digits.challenge, digits.challenge.rule(size, seed), data=digits.root)


def test_a_prepared_folder_of_another_challenge_is_refused(digits: RunData) -> None:
    other = digits.challenge.model_copy(update={"name": "other"})
    with pytest.raises(BadInput, match="holds challenge 'digits'; expected 'other'"):
        find_data(other, other.rule(5, 1), data=digits.root)


def test_a_damaged_image_stops_the_run_and_is_named(digits: RunData, tmp_path: Path) -> None:
    shutil.copytree(digits.root, tmp_path / "data", ignore=shutil.ignore_patterns("cache"))
    victim = digits.select("train")[0]
    (tmp_path / "data" / victim.file).write_bytes(b"not an image")
    prepared = dataclasses.replace(digits.prepared, root=tmp_path / "data")
    data = dataclasses.replace(digits, prepared=prepared, cache=None)
    with pytest.raises(BadInput, match=victim.id):
        run(data, PLAN, tmp_path / "run", execution=CPU)


def test_a_damaged_recipe_is_explained(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a run folder"):
        RunRecipe.read(tmp_path)
    content = json.loads((finished / "recipe.json").read_text())
    content["seed"] = "three"
    content["surprise"] = 1
    (tmp_path / "recipe.json").write_text(json.dumps(content))
    with pytest.raises(BadInput) as caught:
        RunRecipe.read(tmp_path)
    assert {problem.place.rpartition(", ")[2] for problem in caught.value.problems} == {"seed", "surprise"}


def test_default_folders_tell_subsets_apart(digits: RunData) -> None:
    rules = [digits.challenge.rule(n, s) for n in (5, 10) for s in (0, 1)]
    assert len({prepared.default_folder(digits.challenge, rule) for rule in rules}) == 4
