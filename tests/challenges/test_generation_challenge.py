"""Challenge digits-generation from the prepared folder to the report."""

import json
from pathlib import Path

import numpy as np
import pytest

from vipriors.challenges import embedded, hidden, public
from vipriors.challenges.schema import read_challenge
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.report.finished import read_run
from vipriors.report.page import amount, write_report
from vipriors.report.pictures import pictures_of
from vipriors.report.pictures.generation import GAP, sheet
from vipriors.runs.bridges.generation import ROWS, STEPS
from vipriors.runs.bridges.generation import truth as truth_of
from vipriors.runs.predict import predict
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.run import Plan, run
from vipriors.tasks import generation
from vipriors.worlds.digits import digits

CHALLENGE = read_challenge(embedded()["digits-generation"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    folder = tmp_path_factory.mktemp("generation") / "data"
    return find_data(CHALLENGE, CHALLENGE.rule(), data=folder)


@pytest.fixture(scope="module")
def finished(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    score = run(data, Plan("noisy-copies", fit_on="train"), out)
    assert score is not None and score.headline == "closeness"
    return out


def test_the_prepared_folder(data: RunData) -> None:
    assert verify(data.root) == []
    assert [len(data.select(split)) for split in ("train", "val", "test")] == [800, 200, 200]
    assert data.classes == tuple("0123456789")
    assert data.select("train")[0].id == "image_0.png" and data.select("test")[0].id == "img_0.png"
    truth = truth_of(data, "test")
    images = data.load("test")
    assert np.array_equal(truth.labels.images, images.images) and truth.index.ids == tuple(images.ids)
    part = digits().parts[0]
    known = {image.tobytes(): label for image, label in zip(part.images, part.labels, strict=True)}
    assert [known[image.tobytes()] for image in images.images] == truth.labels.classes.tolist()
    index = public.public_index(CHALLENGE, data.prepared)
    assert index == truth.index


def test_a_part_of_the_training_images(data: RunData) -> None:
    part = find_data(CHALLENGE, CHALLENGE.rule(images_per_class=50), data=data.root)
    assert [len(part.select(split)) for split in ("train", "val", "test")] == [40, 10, 200]
    truth = truth_of(part, "val")
    assert np.array_equal(truth.labels.images, part.load("val").images)


def test_copies_are_close_and_told(data: RunData, finished: Path) -> None:
    found = read_run(finished)
    values = {name: one.value for name, one in found.score.estimates.items()}
    assert values["closeness"] > 0.95 and values["novelty"] < 0.5
    assert found.outcome.validation > 0.9
    predictions, problems = generation.check(
        (finished / "predictions.npz").read_bytes(), public.public_index(CHALLENGE, data.prepared)
    )
    assert problems == [] and predictions.interpolated.shape == (ROWS, STEPS, 8, 8, 1)


def test_the_hidden_test_needs_no_folder(finished: Path) -> None:
    test = hidden.find_hidden_test("digits-generation")
    assert test.check(finished / "predictions.npz") == []
    assert test.truth.classes == tuple("0123456789")
    assert json.loads((finished / "scores.json").read_text())["scores"]["kfd"] == pytest.approx(
        test.score(finished / "predictions.npz").estimates["kfd"].value
    )


def test_the_report(data: RunData, finished: Path, tmp_path: Path) -> None:
    found = read_run(finished)
    shown = pictures_of(found, data.root)
    assert len(shown) == 4
    page = write_report(finished, data.root, tmp_path / "report.html").read_text()
    assert all(one.source in page for one in shown)
    assert "closeness by features" in page and f"{found.score.estimates['kfd'].value:.4f}" in page
    assert amount(0.25, "kfd") == "0.2500" and amount(0.25, "recall").startswith("25.0")


def test_a_sheet_of_images() -> None:
    images = np.arange(2 * 3 * 8 * 8, dtype=np.uint8).reshape(2, 3, 8, 8, 1)
    page = sheet(images)
    assert page.shape == (2 * 40 + GAP, 3 * 40 + 2 * GAP)
    assert np.array_equal(page[40 + GAP :: 5, 40 + GAP : 80 + GAP : 5], images[1, 1, :, :, 0])
    assert sheet(np.zeros((1, 2, 64, 48, 3), np.uint8)).shape == (64, 2 * 48 + GAP, 3)


def test_labels_of_another_run_are_refused(data: RunData, finished: Path, tmp_path: Path) -> None:
    for file in finished.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    scores = json.loads((tmp_path / "scores.json").read_text())
    scores["scores"]["pixel_error"] += 0.01
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(BadInput, match="these are not the labels of this run"):
        pictures_of(read_run(tmp_path), data.root)


def test_nothing_is_said_of_a_single_picture(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is about making images"):
        predict(finished, tmp_path)
