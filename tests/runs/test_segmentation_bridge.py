"""From prepared label maps to what methods learn from, and from their maps to a submission."""

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors.challenges.schema import Challenge
from vipriors.methods.protocol import IGNORED
from vipriors.problems import BadInput
from vipriors.runs.bridges import find
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.run import Plan, run, run_floors
from vipriors.tasks import segmentation
from vipriors.tasks.class_map import CITYSCAPES
from vipriors.train import Execution

BRIDGE = find("segmentation")
NAMES = ("sky", "road", "car")
SIZES = [(8, 12), (16, 24), (9, 7), (30, 20)]
VOID = 77


def scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of the classes and of none, and an image whose red tells them."""
    rng = np.random.default_rng(number)
    height, width = SIZES[number % len(SIZES)]
    ids = np.array([0, 1, 2, VOID], np.uint8)[rng.integers(0, 4, (-(-height // 4), -(-width // 4)))]
    ids = ids.repeat(4, 0).repeat(4, 1)[:height, :width]
    image = rng.integers(0, 60, (height, width, 3), np.uint8)
    image[..., 0] = np.minimum(ids, 3) * 80
    return image, ids


def challenge_of(**changes: object) -> Challenge:
    fields = {
        "name": "streets",
        "title": "Streets",
        "task": "segmentation",
        "source": {"kind": "label-maps", "classes": NAMES},
        "subset": {"images": None, "validation": "source"},
        "input": {"size": [16, 20]},
        "invariance": {"flip": True},
    }
    return Challenge.model_validate(fields | changes)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("source")
    for split, numbers in (("train", range(6)), ("val", range(6, 10)), ("test", range(10, 16))):
        (root / split).mkdir()
        (root / f"{split}annot").mkdir()
        for number in numbers:
            image, ids = scene(number)
            Image.fromarray(image).save(root / split / f"scene_{number}.png")
            Image.fromarray(ids).save(root / f"{split}annot" / f"scene_{number}.png")
    return root


@pytest.fixture(scope="module")
def streets(source: Path, tmp_path_factory: pytest.TempPathFactory) -> RunData:
    challenge = challenge_of()
    folder = tmp_path_factory.mktemp("prepared") / "streets"
    return find_data(challenge, challenge.rule(), data=folder, source=source)


def number_of(data: RunData, id_: str) -> int:
    """The scene that an image is, found by its pixels."""
    row = next(row for row in data.rows if row.id == id_)
    found = np.asarray(Image.open(data.root / row.file))
    (number,) = (n for n in range(16) if scene(n)[0].tobytes() == found.tobytes())
    return number


class Painter:
    """Predicts what it is told, position by position, and says what it was asked for."""

    def __init__(self, position: int = 1) -> None:
        self.position, self.sizes, self.images = position, [], None

    def maps(self, images, sizes):
        self.images, self.sizes = images, list(sizes)
        for number, (height, width) in enumerate(sizes):
            map_ = np.full((height, width), self.position, np.uint8)
            map_.flat[number] = 0
            yield map_


@pytest.mark.parametrize("splits", [("train",), ("train", "val"), ("val",)])
def test_images_come_with_their_maps(streets: RunData, splits: tuple[str, ...]) -> None:
    found = BRIDGE.labelled(streets, *splits)
    rows = streets.select(*splits)
    assert found.images.shape == (len(rows), 16, 20, 3)
    assert found.labels.shape == (len(rows), 16, 20)
    assert found.labels.dtype == np.uint8
    for row, map_ in zip(rows, found.labels, strict=True):
        _, ids = scene(number_of(streets, row.id))
        height, width = ids.shape
        for y in range(16):
            for x in range(20):
                nearest = ids[int((y + 0.5) * height / 16), int((x + 0.5) * width / 20)]
                assert map_[y, x] == (IGNORED if nearest == VOID else nearest)


def test_the_truth_is_that_of_the_split(streets: RunData) -> None:
    for split in ("train", "val", "test"):
        truth = BRIDGE.truth(streets, split)
        assert truth is not None
        assert truth.classes == NAMES
        ids = [row.id.removesuffix(".png") for row in streets.select(split)]
        assert list(truth.index.ids) == ids == list(truth.labels.images)
        for id_, size in zip(ids, truth.index.sizes, strict=True):
            _, expected = scene(number_of(streets, f"{id_}.png"))
            assert size == expected.shape
            labels, _ = truth.labels.images[id_].load(id_)
            assert np.array_equal(labels, np.where(expected == VOID, 255, expected))


def test_a_run_may_use_fewer_images_than_are_there(source: Path, tmp_path: Path) -> None:
    challenge = challenge_of(subset={"images": 6, "validation": 0.5})
    all_of_them = find_data(challenge, challenge.rule(), data=tmp_path / "data", source=source)
    fewer = find_data(challenge, challenge.rule(2), data=tmp_path / "data")
    assert len(all_of_them.select("val")) == 3
    truth = BRIDGE.truth(fewer, "val")
    assert truth is not None
    assert list(truth.index.ids) == [row.id.removesuffix(".png") for row in fewer.select("val")]
    assert len(truth.index.ids) == 1
    assert len(BRIDGE.labelled(fewer, "train", "val").labels) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_predictions_have_the_sizes_of_the_images(source: Path, packed: bool, tmp_path: Path) -> None:
    from vipriors.data.prepare import prepare

    challenge = challenge_of()
    mode = "pack" if packed else "copy"
    prepare(
        challenge.open(source),
        challenge.rule(),
        tmp_path / "data",
        challenge="streets",
        channels=3,
        mode=mode,
    )
    data = find_data(challenge, challenge.rule(), data=tmp_path / "data")
    assert (data.root / "images" / "test.tar").is_file() == packed
    model, file = Painter(), tmp_path / "out" / "predictions.zip"
    BRIDGE.write(data, "test", model, file)
    truth = BRIDGE.truth(data, "test")
    assert truth is not None
    assert model.sizes == list(truth.index.sizes)
    assert np.array_equal(model.images, data.load("test").images)
    predictions, problems = segmentation.check(file.read_bytes(), truth.index)
    assert problems == []
    assert predictions is not None
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == sorted(f"{id_}.png" for id_ in truth.index.ids)
        for number, (id_, size) in enumerate(zip(truth.index.ids, truth.index.sizes, strict=True)):
            map_ = np.asarray(Image.open(io.BytesIO(archive.read(f"{id_}.png"))))
            assert map_.shape == size
            assert map_.flat[number] == 0
            assert map_.sum() == map_.size - 1


def test_an_image_that_lies_on_its_side_is_predicted_as_it_is_seen(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for split in ("train", "val", "test"):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.zeros((10, 24, 3), np.uint8)).save(root / split / f"{split}.jpg", exif=exif)
        Image.fromarray(np.zeros((24, 10), np.uint8)).save(root / f"{split}annot" / f"{split}.png")
    challenge = challenge_of()
    data = find_data(challenge, challenge.rule(), data=tmp_path / "data", source=root)
    model = Painter()
    BRIDGE.write(data, "test", model, tmp_path / "predictions.zip")
    assert model.sizes == [(24, 10)]
    assert BRIDGE.labelled(data, "train").labels.shape == (1, 16, 20)


def test_without_test_labels(streets: RunData, tmp_path: Path) -> None:
    prepared = dataclasses.replace(streets.prepared, root=tmp_path)
    blind = dataclasses.replace(streets, prepared=prepared)
    assert BRIDGE.truth(blind, "test") is None


def test_maps_that_are_missing(streets: RunData, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(streets.root, tmp_path / "data", ignore=shutil.ignore_patterns("cache"))
    gone = [row.id for row in streets.select("val")[:2]]
    for id_ in gone:
        (tmp_path / "data" / "annotations" / "val" / id_).unlink()
    data = dataclasses.replace(
        streets, prepared=dataclasses.replace(streets.prepared, root=tmp_path / "data")
    )
    with pytest.raises(BadInput) as caught:
        BRIDGE.labelled(data, "val")
    place = f"{tmp_path}/data/annotations/val"
    assert [str(problem) for problem in caught.value.problems] == [
        f"{place}, {id_!r}: there is no label map for it" for id_ in gone
    ]


# Cityscapes, whose label ids are not the positions of its classes


def make_cityscapes(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, city, count in (("train", "aachen", 4), ("val", "munster", 2)):
        for part in ("leftImg8bit", "gtFine"):
            (root / part / split / city).mkdir(parents=True)
        for number in range(count):
            stem = f"{split}/{city}/{city}_00000{number}_000019"
            ids = rng.integers(0, 34, (8, 16), np.uint8)
            image = rng.integers(0, 256, (8, 16, 3), np.uint8)
            Image.fromarray(image).save(root / "leftImg8bit" / f"{stem}_leftImg8bit.png")
            Image.fromarray(ids).save(root / "gtFine" / f"{stem}_gtFine_labelIds.png")
            Image.fromarray(ids.astype(np.uint16)).save(root / "gtFine" / f"{stem}_gtFine_instanceIds.png")


def test_cityscapes_label_ids_become_positions_and_again_label_ids(tmp_path: Path) -> None:
    make_cityscapes(tmp_path / "source")
    challenge = challenge_of(
        source={"kind": "cityscapes"}, subset={"images": 4, "validation": 0.5}, input={"size": [8, 16]}
    )
    data = find_data(challenge, challenge.rule(), data=tmp_path / "data", source=tmp_path / "source")
    evaluated = [class_.id for class_ in CITYSCAPES.evaluated]
    found = BRIDGE.labelled(data, "train", "val")
    truths = {split: BRIDGE.truth(data, split) for split in ("train", "val", "test")}
    for row, map_ in zip(data.select("train", "val"), found.labels, strict=True):
        truth = truths[row.split]
        assert truth is not None
        id_ = row.id.removesuffix(".png").removesuffix("_leftImg8bit")
        ids, _ = truth.labels.images[id_].load(id_)
        for position, label in zip(map_.ravel().tolist(), ids.ravel().tolist(), strict=True):
            assert position == (evaluated.index(label) if label in evaluated else IGNORED)
    assert len(np.unique(found.labels)) == 20

    file = tmp_path / "predictions.zip"
    BRIDGE.write(data, "test", Painter(position=13), file)
    truth = truths["test"]
    assert truth is not None
    assert segmentation.check(file.read_bytes(), truth.index)[1] == []
    with zipfile.ZipFile(file) as archive:
        for id_ in truth.index.ids:
            map_ = np.asarray(Image.open(io.BytesIO(archive.read(f"{id_}.png"))))
            assert set(map_.ravel().tolist()) == {7, 26}  # road and car


def test_a_run_from_end_to_end(streets: RunData, tmp_path: Path) -> None:
    plan = Plan("u-net", overrides={"steps": "60", "width": "8", "lr": "0.05"}, rehearse=True)
    score = run(streets, plan, tmp_path / "run", execution=Execution(device="cpu"))
    assert score is not None
    floors = run_floors(streets, 0, tmp_path / "run")
    majority = floors["majority-class"]
    assert majority is not None
    assert score.headline == "iou_class"
    assert score.estimates["iou_class"].value > 2 * majority.estimates["iou_class"].value
    # Red alone tells the classes.
    colour = floors["mean-colour"]
    assert colour is not None
    assert colour.estimates["iou_class"].value > 0.75
    assert (tmp_path / "run" / "validation.zip").is_file()
    again = run(streets, plan, tmp_path / "again", execution=Execution(device="cpu"))
    assert again == score
