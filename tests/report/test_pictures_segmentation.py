"""Pictures of a segmentation: which images, what lies on them, what is said of them."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors.challenges.schema import Challenge
from vipriors.pictures.maps import GAP, OPACITY, PANEL, colour, half, legend
from vipriors.problems import BadInput
from vipriors.report import write_report
from vipriors.report.finished import FinishedRun, read_run
from vipriors.report.pictures.segmentation import COUNT, pictures, score_of
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.records import Counts, RunRecipe, RunRecord
from vipriors.tasks import segmentation
from vipriors.tasks.class_map import plain

NAMES = ("ground", "house", "a tree with a name that is long")
TESTS = 12


def ids_of(number: int) -> np.ndarray:
    """Image `number` of the test is of house in its first rows."""
    ids = np.zeros((24, 30), np.uint8)
    ids[:10] = 1
    ids[:, 20:] = 2
    ids[-2:] = 9 if number % 2 else 0
    return ids


def predicted_of(number: int) -> np.ndarray:
    """Ever more of it is wrong."""
    ids = np.where(ids_of(number) == 9, 0, ids_of(number))
    ids[:, : 2 * number] = 2 - ids[:, : 2 * number]
    return ids


@pytest.fixture
def data(tmp_path: Path) -> RunData:
    source = tmp_path / "source"
    for split, count in (("train", 2), ("val", 1), ("test", TESTS)):
        (source / split).mkdir(parents=True)
        (source / f"{split}annot").mkdir()
        for number in range(count):
            # The image's first pixel tells its number.
            image = np.full((24, 30, 3), 100, np.uint8)
            image[0, 0] = number
            Image.fromarray(image).save(source / split / f"{number:02}.png")
            Image.fromarray(ids_of(number)).save(source / f"{split}annot" / f"{number:02}.png")
    challenge = Challenge.model_validate(
        {
            "name": "places",
            "title": "Places",
            "task": "segmentation",
            "source": {"kind": "label-maps", "classes": NAMES},
            "subset": {"images": None, "validation": "source"},
            "input": {"size": [24, 30]},
        }
    )
    return find_data(challenge, challenge.rule(), data=tmp_path / "data", source=source)


def number_of(data: RunData, id_: str) -> int:
    return int(np.asarray(Image.open(data.root / "images" / "test" / id_))[0, 0, 0])


@pytest.fixture
def finished(data: RunData, tmp_path: Path) -> FinishedRun:
    """A run made by hand."""
    from vipriors.data.manifest import write_manifest

    folder = tmp_path / "run"
    folder.mkdir()
    ids = [row.id for row in data.select("test")]
    stems = [id_.removesuffix(".png") for id_ in ids]
    segmentation.write(folder / "predictions.zip", stems, (predicted_of(number_of(data, id_)) for id_ in ids))
    write_manifest(folder / "manifest.csv", data.rows)
    RunRecipe(
        challenge=data.challenge,
        challenge_file="places.yaml",
        classes=data.classes,
        images_per_class=None,
        subset_seed=0,
        manifest_sha256=data.manifest_sha256,
        method="u-net",
        preset="tiny",
        hyper_parameters={},
        seed=0,
    ).write(folder)
    counts = Counts(train=2, val=1, test=TESTS)
    RunRecord(counts=counts, predictions="predictions.zip", predictions_sha256="0" * 64).write(folder)
    return read_run(folder)


def slow_score(truth: np.ndarray, predicted: np.ndarray) -> float:
    each = []
    for class_ in range(3):
        hit = either = 0
        for label, found in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
            if label < 3:
                hit += label == found == class_
                either += class_ in (label, found)
        each += [hit / either] if either else []
    return sum(each) / len(each)


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_the_worst_the_best_and_some_between(finished: FinishedRun, data: RunData) -> None:
    found = pictures(finished, data.root)
    assert len(found) == COUNT
    scores = {
        row.id: slow_score(ids_of(number), predicted_of(number))
        for row in data.select("test")
        for number in [number_of(data, row.id)]
    }
    shown = [picture.caption.partition(",")[0] for picture in found]
    assert [scores[id_] for id_ in shown] == sorted(scores[id_] for id_ in shown)
    assert scores[shown[0]] == min(scores.values())
    assert scores[shown[-1]] == max(scores.values()) == 1
    for id_, picture in zip(shown, found, strict=True):
        said = f"{id_}, mean IoU {100 * scores[id_]:.1f} %. Left: truth, right: prediction."
        bare = " Where the truth shows the bare image, nothing counts."
        assert picture.caption == said + (bare if number_of(data, id_) % 2 else "")


def test_the_truth_is_left_and_the_prediction_right(finished: FinishedRun, data: RunData) -> None:
    for picture in pictures(finished, data.root):
        pixels = pixels_of(picture.png)
        number = number_of(data, picture.caption.partition(",")[0])
        height = round(PANEL * 24 / 30)
        assert pixels.shape[1] == 2 * PANEL + GAP
        for left, ids in ((0, ids_of(number)), (PANEL + GAP, predicted_of(number))):
            for row, column in ((1, 1), (5, 25), (15, 3), (15, 12), (15, 28), (23, 7)):
                y, x = int((row + 0.5) * height / 24), left + int((column + 0.5) * PANEL / 30)
                id_ = ids[row, column]
                shade = np.array(colour(id_)) * OPACITY + 100 * (1 - OPACITY) if id_ < 3 else np.full(3, 100)
                assert np.abs(pixels[y, x] - shade).max() <= 0.5
        assert (pixels[:height, PANEL : PANEL + GAP] == 255).all()


def test_the_legend_has_the_classes_that_occur(finished: FinishedRun, data: RunData) -> None:
    perfect = pictures(finished, data.root)[-1]
    below = pixels_of(perfect.png)[round(PANEL * 24 / 30) :]
    # By how many pixels they have: house 10 rows of 20, tree a third, ground the rest.
    swatches = [tuple(below[14, x]) for x in range(below.shape[1]) if below[14, x].tolist() != [255] * 3]
    order = [shade for shade in dict.fromkeys(swatches) if shade in {colour(k) for k in range(3)}]
    assert order == [colour(0), colour(2), colour(1)]


def test_a_legend_that_does_not_fit_has_several_lines() -> None:
    entries = [(f"class number {number}", colour(number)) for number in range(12)]
    one, many = legend(entries[:2], 486), legend(entries, 486)
    assert one.shape[1:] == many.shape[1:] == (486, 3)
    assert many.shape[0] >= 3 * one.shape[0] - 24
    for _, shade in entries:
        assert (many == shade).all(2).sum() > 100
    assert (many[:, -4:] == 255).all()
    assert legend([("x" * 200, colour(1))], 100).shape[1] == 100


def test_colours_of_up_to_sixteen_classes_can_be_told_apart() -> None:
    colours = np.array([colour(position) for position in range(16)], float)
    apart = np.abs(colours[:, None] - colours).sum(2) + 999 * np.eye(16)
    assert apart.min() > 60
    assert len({colour(position) for position in range(100)}) == 100


def test_large_images_are_made_small_and_small_ones_keep_their_pixels() -> None:
    image, map_ = np.zeros((3, 4, 3), np.uint8), np.full((3, 4), 255, np.uint8)
    image[0, 0] = 200
    found = half(image, map_, {})
    assert found.shape == (180, 240, 3)
    assert (found[:60, :60] == 200).all()
    assert found.sum() == 60 * 60 * 3 * 200
    chess = np.indices((600, 800)).sum(0) % 2 * np.uint8(200)
    found = half(np.repeat(chess[..., None], 3, 2).astype(np.uint8), np.full((600, 800), 255, np.uint8), {})
    assert found.shape == (180, 240, 3)
    assert np.abs(found.astype(int) - 100).max() < 25


def test_images_in_which_nothing_counts_are_passed_over(finished: FinishedRun, data: RunData) -> None:
    assert np.isnan(score_of(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), plain(NAMES)))
    folder = data.root / "labels" / "test"
    gone = [row.id for row in data.select("test")][:7]
    for id_ in gone:
        Image.fromarray(np.full((24, 30), 255, np.uint8)).save(folder / id_)
    shown = {picture.caption.partition(",")[0] for picture in pictures(finished, data.root)}
    assert shown == {row.id for row in data.select("test")} - set(gone)


def test_without_test_labels_there_are_none(finished: FinishedRun, data: RunData) -> None:
    (data.root / "labels").rename(data.root / "elsewhere")
    assert pictures(finished, data.root) == []


def test_predictions_that_are_damaged(finished: FinishedRun, data: RunData) -> None:
    file = finished.folder / "predictions.zip"
    file.write_bytes(b"no zip")
    with pytest.raises(BadInput) as caught:
        pictures(finished, data.root)
    assert all(problem.place == str(file) for problem in caught.value.problems)


def test_the_report_shows_them(finished: FinishedRun, data: RunData) -> None:
    truth = json.dumps({"step": 10, "loss": 1.0, "val_loss": 2.0, "val_iou_class": 0.5})
    (finished.folder / "log.jsonl").write_text(truth + "\n")
    page = write_report(finished.folder, data.root).read_text()
    assert page.count("<img ") == COUNT
    assert page.count("Left: truth, right: prediction.") == 2 * COUNT
