"""A trained run put to use: predicting pictures, exporting, making a challenge of one's own pictures."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from vipriors.methods.protocol import Objects
from vipriors.problems import BadInput
from vipriors.runs.export import export_onnx
from vipriors.runs.new import new_challenge
from vipriors.runs.predict import IMAGE_SUFFIXES, Wish, _maps, _objects, files_in, predict
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.run import Plan, load_model, run
from vipriors.train import Execution


def test_predict_says_of_the_test_pictures_what_was_submitted(finished: Path, digits: RunData) -> None:
    folder = digits.root / "images" / "test"
    labelled, problems = predict(finished, folder, execution=Execution(device="cpu"))
    assert problems == []
    submitted = [line.split(",") for line in (finished / "predictions.csv").read_text().splitlines()[1:]]
    by_name = {row[0]: (row[1], max(map(float, row[2:]))) for row in submitted}
    assert len(labelled) == len(by_name) == 800
    for one in labelled:
        label, probability = by_name[Path(one["file"]).name]
        assert one["label"] == label
        assert one["probability"] == pytest.approx(probability, abs=1e-4)


def test_predict_goes_on_past_a_damaged_picture(finished: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((50, 40, 3), 200, np.uint8)).save(tmp_path / "good.jpg")
    (tmp_path / "deeper").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "deeper" / "also.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "notes.txt").write_text("no picture")
    labelled, problems = predict(finished, tmp_path, execution=Execution(device="cpu"))
    assert {Path(one["file"]).name for one in labelled} == {"good.jpg", "also.png"}
    assert [problem.place for problem in problems] == [str(tmp_path / "broken.png")]


def test_predict_with_a_floor(finished: Path, digits: RunData) -> None:
    floor = finished / "floors" / "nearest-neighbour"
    row = digits.select("train")[0]
    (one,), _ = predict(floor, digits.root / row.file)
    assert one["label"] == digits.classes[row.label or 0]  # a training image is its own nearest neighbour


def test_pictures_in_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        files_in(tmp_path / "none", IMAGE_SUFFIXES, "picture")
    with pytest.raises(BadInput, match="has no pictures"):
        files_in(tmp_path, IMAGE_SUFFIXES, "picture")


class _Finder:
    """Finds two objects in an input of 4 x 6 pixels."""

    def detect(self, images):
        masks = np.zeros((2, 4, 6), bool)
        masks[0, :2, :3], masks[1, 1:, 2:] = True, True
        boxes = np.array([[0, 0, 3, 2], [2, 1, 6, 4]], np.float32)
        for _ in images:
            yield Objects(np.array([1, 0]), boxes, masks, np.array([0.9, 0.4], np.float32))


def test_objects_are_told_in_the_picture_s_own_pixels(tmp_path: Path) -> None:
    file = tmp_path / "wide.png"
    Image.new("RGB", (60, 20)).save(file)
    images = np.zeros((1, 4, 6, 3), np.uint8)
    first, second = _objects([file], _Finder(), images, ("a", "b"), Wish(maps=tmp_path / "maps"))
    assert list(first.values()) == [str(file), "b", 0.9, 0.0, 0.0, 30.0, 10.0]
    assert list(second.values()) == [str(file), "a", 0.4, 20.0, 5.0, 60.0, 20.0]
    map_ = np.asarray(Image.open(tmp_path / "maps" / "wide.png"))
    expected = np.zeros((20, 60), np.uint8)
    expected[5:, 20:] = 2
    expected[:10, :30] = 1  # the surest lies on top
    assert np.array_equal(map_, expected)
    assert len(list(_objects([file], _Finder(), images, ("a", "b"), Wish(least=0.5)))) == 1


def test_maps_are_told_by_their_share(tmp_path: Path) -> None:
    file = tmp_path / "one.png"
    Image.new("RGB", (5, 2)).save(file)

    class Half:
        def maps(self, images, sizes):
            for height, width in sizes:
                yield np.repeat([[2, 2, 2, 0, 0]], height, axis=0).astype(np.uint8)[:, :width]

    rows = list(_maps([file], Half(), np.zeros((1, 4, 4, 3), np.uint8), "abc", Wish(maps=tmp_path / "maps")))
    assert [(row["label"], row["share"]) for row in rows] == [("c", 0.6), ("a", 0.4)]
    assert np.asarray(Image.open(tmp_path / "maps" / "one.png")).tolist() == [[2, 2, 2, 0, 0]] * 2


def test_onnx_gives_the_same_answer_for_any_number_of_images(
    finished: Path, digits: RunData, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    assert export_onnx(finished, file) < 1e-4
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list("0123456789")
    _, classifier = load_model(finished, Execution(device="cpu"))
    images = digits.load("test").images
    for count in (1, 3, 17):
        inputs = np.ascontiguousarray(images[:count].transpose(0, 3, 1, 2), np.float32) / 255
        (answers,) = session.run(None, {"images": inputs})
        np.testing.assert_allclose(answers, classifier.probabilities(images[:count]), atol=1e-5)


def test_a_floor_has_no_network_to_export(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no network"):
        export_onnx(finished / "floors" / "nearest-neighbour", tmp_path / "model.onnx")


def test_layers_beyond_onnx_are_no_traceback(digits: RunData, tmp_path: Path) -> None:
    """Complex numbers, in the Fourier transforms of the wavelets."""
    plan = Plan("scattering", overrides={"steps": "1", "width": "4", "stages": "1"})
    run(digits, plan, tmp_path / "run", execution=Execution(device="cpu"))
    with pytest.raises(BadInput, match=r"scattering has layers that ONNX has no words for$"):
        export_onnx(tmp_path / "run", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of photographs of mixed sizes: red and blue."""
    generator = np.random.default_rng(0)
    for name, channel, count in (("red", 0, 15), ("blue", 2, 12)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for k in range(count):
            image = generator.integers(0, 90, (40 + k, 50, 3), dtype=np.uint8)
            image[..., channel] += 120
            Image.fromarray(image).save(tmp_path / "pictures" / name / f"{k}.jpg")
    return tmp_path / "pictures"


def test_a_folder_becomes_a_challenge(pictures: Path, tmp_path: Path) -> None:
    before = sorted(file.name for file in pictures.rglob("*"))
    made = new_challenge("colours", pictures, tmp_path / "colours")
    assert made.classes == ("blue", "red")
    assert made.images == 27
    height, width = made.challenge.input.size
    assert height == width == 46  # the median of the heights, which are the shorter sides
    data = find_data(made.challenge, made.challenge.rule(), data=tmp_path / "data")
    counts = {split: len(data.select(split)) for split in ("train", "val", "test")}
    assert counts == {"train": 19, "val": 4, "test": 4}  # a fifth of the smaller class, twice; the rest
    assert sorted(file.name for file in pictures.rglob("*")) == before
    with pytest.raises(BadInput, match="exists already"):
        new_challenge("colours", pictures, tmp_path / "colours")


def test_a_folder_with_its_own_test_keeps_it(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "split" / "train")
    shutil.copytree(pictures, tmp_path / "split" / "val")
    made = new_challenge("colours", tmp_path / "split", tmp_path / "colours")
    data = find_data(made.challenge, made.challenge.rule(), data=tmp_path / "data")
    assert len(data.select("test")) == 27


@pytest.mark.parametrize(
    ("name", "test_share", "message"), [("My Challenge", 0.2, "name"), ("fine", 1.5, "expected more than 0")]
)
def test_a_bad_name_or_share_leaves_nothing(
    pictures: Path, tmp_path: Path, name: str, test_share: float, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        new_challenge(name, pictures, tmp_path / "out", test_share=test_share)
    assert not (tmp_path / "out" / "challenge.yaml").exists()
