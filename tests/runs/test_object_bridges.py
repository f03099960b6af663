"""From COCO's annotations to objects at the input size, and from what is found to a file that scores."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vipriors.challenges.schema import Challenge
from vipriors.data.images import encode_png
from vipriors.data.prepare import prepare
from vipriors.data.prepared import ANNOTATIONS
from vipriors.data.sources.base import SourceSample
from vipriors.data.subset import SubsetRule
from vipriors.methods.protocol import Objects
from vipriors.problems import BadInput
from vipriors.runs.bridges import _objects, find
from vipriors.runs.bridges.instances import boxes_of, drawn, resized
from vipriors.runs.prepared import RunData
from vipriors.runs.run import Plan, run, run_floors, score_predictions
from vipriors.tasks import rle
from vipriors.train import Execution

INPUT = (40, 60)
SIZES = [(40, 60), (80, 60), (20, 120), (67, 91)]
"""Of the images of the source, in turn: one of them has the input size."""
CATEGORIES = ((7, "cat"), (3, "ant"), (12, "bee"))
"""Ids in another order than the run's classes."""
TASKS = ("detection", "instances")


@dataclasses.dataclass(frozen=True)
class Things:
    """Images with rectangles on them, the first of four a crowd; every fifth image has none."""

    task: str
    name: str = "things"
    root: Path | None = None
    media: str = "images"
    classes: tuple[str, ...] = ("image",)
    names: tuple[str, ...] = ("cat", "ant", "bee")

    @property
    def samples(self):
        splits = ["train"] * 8 + ["val"] * 6 + ["test"] * 7
        return tuple(SourceSample(f"{n}", 0, split) for n, split in enumerate(splits))

    def size(self, number):
        return SIZES[number % 4]

    def rectangles(self, number):
        rng, (height, width) = np.random.default_rng(number), self.size(number)
        for k in range(0 if number % 5 == 4 else 4):
            w, h = int(rng.integers(6, width // 3)), int(rng.integers(6, height // 2))
            x = k % 2 * width // 2 + int(rng.integers(0, width // 2 - w + 1))
            y = k // 2 * height // 2 + int(rng.integers(0, height // 2 - h + 1))
            yield CATEGORIES[int(rng.integers(3))][0], (x, y, w, h), int(k == 0)

    def content(self, sample):
        number = int(sample.key)
        image = np.full((*self.size(number), 3), 30, np.uint8)
        image[0, 0] = number
        for _, (x, y, w, h), _ in self.rectangles(number):
            image[y : y + h, x : x + w] = 220
        return ".png", encode_png(image)

    def index(self, named):
        images = [
            {"id": 1000 - int(sample.key), "file_name": name, "height": height, "width": width}
            for name, sample in named
            for height, width in [self.size(int(sample.key))]
        ]
        categories = [{"id": id_, "name": name} for id_, name in CATEGORIES]
        return {"images": images, "categories": categories}

    def annotations(self, named):
        entries = []
        for _, sample in named:
            height, width = self.size(int(sample.key))
            for category, (x, y, w, h), crowd in self.rectangles(int(sample.key)):
                entry = {"image_id": 1000 - int(sample.key), "category_id": category, "iscrowd": crowd}
                if self.task == "detection":
                    entry["bbox"] = [x, y, w, h]
                else:
                    mask = np.zeros((1, height, width), bool)
                    mask[0, y : y + h, x : x + w] = True
                    entry["segmentation"] = {"size": [height, width], "counts": rle.encode(mask)[0]}
                entries.append({"id": len(entries) + 1, **entry})
        yield "labels.json", json.dumps(self.index(named) | {"annotations": entries}).encode()

    def test_index(self, named):
        yield "images.json", json.dumps(self.index(named)).encode()


def challenge_of(task: str) -> Challenge:
    return Challenge.model_validate(
        {
            "name": "things",
            "title": "Things",
            "task": task,
            "source": {"world": "scenes"},
            "subset": {"validation": "source"},
            "input": {"size": INPUT},
        }
    )


def prepared(task: str, folder: Path) -> RunData:
    challenge = challenge_of(task)
    rule = SubsetRule(None, 0, None, None, 0)
    made = prepare(Things(task), rule, folder, challenge="things", channels=3)
    return RunData(made, tuple(made.rows), tuple(made.dataset.classes), challenge, None, 0, None)


@pytest.fixture(scope="module")
def things(tmp_path_factory) -> dict[str, RunData]:
    return {task: prepared(task, tmp_path_factory.mktemp(task) / "data") for task in TASKS}


@dataclasses.dataclass
class Told:
    """Finds what it is told, image by image."""

    objects: list[Objects]

    def detect(self, images) -> Iterator[Objects]:
        assert images.shape[1:] == (*INPUT, 3)
        yield from self.objects


def number_of(data: RunData, id_: str) -> int:
    """The source's image behind an id, told by its first pixel."""
    from PIL import Image

    row = next(row for row in data.rows if row.id == id_)
    return int(np.asarray(Image.open(data.root / row.file))[0, 0, 0])


def expected_objects(data: RunData, split: str) -> list[list[tuple[int, list[float], int]]]:
    """Class, box at the input size and crowd of each object of each image of a split."""
    places = {id_: place for place, (id_, _) in enumerate(CATEGORIES)}
    found = []
    for row in data.select(split):
        number = number_of(data, row.id)
        height, width = SIZES[number % 4]
        down, across = INPUT[0] / height, INPUT[1] / width
        found.append(
            [
                (places[id_], [x * across, y * down, (x + w) * across, (y + h) * down], crowd)
                for id_, (x, y, w, h), crowd in Things("detection").rectangles(number)
            ]
        )
    return found


@pytest.mark.parametrize("task", TASKS)
def test_objects_come_at_the_input_size(things, task):
    data = things[task]
    labelled = find(task).labelled(data, "train", "val")
    expected = expected_objects(data, "train") + expected_objects(data, "val")
    assert labelled.images.shape == (14, *INPUT, 3)
    assert len(labelled.labels) == 14
    for image, one, objects in zip(labelled.images, labelled.labels, expected, strict=True):
        assert one.scores is None
        assert one.classes.tolist() == [class_ for class_, _, _ in objects]
        assert one.crowds.tolist() == [bool(crowd) for *_, crowd in objects]
        boxes = np.array([box for _, box, _ in objects]).reshape(-1, 4)
        # A mask is of whole pixels of the input.
        np.testing.assert_allclose(one.boxes, boxes, atol=1e-4 if task == "detection" else 0.51)
        if task == "detection":
            assert one.masks is None
            continue
        assert one.masks.shape == (len(objects), *INPUT)
        for mask, box in zip(one.masks, one.boxes.astype(int), strict=True):
            # Of the corners of a rectangle less than half may be covered.
            assert 0 <= (box[2] - box[0]) * (box[3] - box[1]) - mask.sum() <= 4
            assert mask[box[1] + 1 : box[3] - 1, box[0] + 1 : box[2] - 1].all()
            # Rectangles are light on dark: the image is where the mask says, but for the border.
            assert image[box[1] + 1 : box[3] - 1, box[0] + 1 : box[2] - 1].min(initial=255) > 125


def told_the_truth(data: RunData, task: str, split: str) -> list[Objects]:
    """What is annotated, at the input size, as if it had been found."""
    found = []
    for objects in expected_objects(data, split):
        boxes = np.array([box for _, box, _ in objects], np.float32).reshape(-1, 4)
        masks = None
        if task == "instances":
            masks = np.zeros((len(boxes), *INPUT), bool)
            for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
                y, x = np.arange(INPUT[0])[:, None] + 0.5, np.arange(INPUT[1]) + 0.5
                mask |= (x > left) & (x < right) & (y > top) & (y < bottom)
        classes = np.array([class_ for class_, *_ in objects], np.int64)
        found.append(Objects(classes, boxes, masks, np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)))
    return found


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("task", TASKS)
def test_whoever_finds_everything_scores_one(things, task, split, tmp_path):
    data = things[task]
    model = Told(told_the_truth(data, task, split))
    score = score_predictions(data, split, model, tmp_path / "predictions.json")
    assert score.details["n_images"] == len(data.select(split))
    assert score.details["summary"]["AP50"] == pytest.approx(1.0)
    # Masks of the images that are not of the input size lose something of their border.
    assert score.estimates["AP"].value == pytest.approx(1.0, abs=1e-9 if task == "detection" else 0.2)
    shuffled = Told(model.objects[1:] + model.objects[:1])
    assert score_predictions(data, split, shuffled, tmp_path / "p.json").estimates["AP"].value < 0.3


def test_masks_of_the_input_s_own_size_are_written_as_they_are(things, tmp_path):
    data = things["instances"]
    file = tmp_path / "predictions.json"
    model = Told(told_the_truth(data, "instances", "test"))
    find("instances").write(data, "test", model, file)
    truth = find("instances").truth(data, "test")
    entries = json.loads(file.read_text())
    same = {id_ for id_, size in zip(truth.index.ids, truth.index.sizes, strict=True) if size == INPUT}
    annotated = json.loads(data.prepared.labels_of("test").read_text())["annotations"]
    wanted = sorted(a["segmentation"]["counts"] for a in annotated if a["image_id"] in same)
    assert sorted(e["segmentation"]["counts"] for e in entries if e["image_id"] in same) == wanted
    assert len(wanted) > 0


def test_boxes_are_written_in_the_image_s_own_pixels_and_cut_at_its_border(things, tmp_path):
    data = things["detection"]
    rows, sizes = data.select("test"), {}
    for row in rows:
        sizes[row.id] = SIZES[number_of(data, row.id) % 4]
    box = np.array([[30.0, 20, 75, 50]], np.float32)  # beyond the right and lower sides of the input
    one = Objects(np.array([1]), box, scores=np.array([0.25], np.float32))
    file = tmp_path / "predictions.json"
    find("detection").write(data, "test", Told([one] * len(rows)), file)
    entries = {entry["image_id"]: entry for entry in json.loads(file.read_text())}
    assert len(entries) == len(rows)
    for row in rows:
        height, width = sizes[row.id]
        entry = entries[1000 - number_of(data, row.id)]
        assert entry["category_id"] == 3  # the second of the run's classes
        assert entry["score"] == 0.25
        assert entry["bbox"] == pytest.approx([width / 2, height / 2, width / 2, height / 2])


@pytest.mark.parametrize("task", TASKS)
def test_truth_is_of_the_run_s_images_alone(things, task, tmp_path):
    data = things[task]
    some = data.select("val")[1:4]
    smaller = dataclasses.replace(
        data, rows=tuple(row for row in data.rows if row.split != "val") + tuple(some)
    )
    truth = find(task).truth(smaller, "val")
    assert sorted(truth.index.ids) == sorted(1000 - number_of(data, row.id) for row in some)
    objects = expected_objects(smaller, "val")
    assert len(truth.labels.objects.images) == sum(map(len, objects))
    model = Told(told_the_truth(smaller, task, "val"))
    score = score_predictions(smaller, "val", model, tmp_path / "predictions.json")
    assert score.details["n_images"] == 3
    assert score.details["summary"]["AP50"] == pytest.approx(1.0)


@pytest.mark.parametrize("task", TASKS)
def test_without_test_labels_there_is_no_truth(task, tmp_path):
    data = prepared(task, tmp_path / "data")
    folder = data.root / "labels" / "test"
    (folder / "labels.json").unlink()
    folder.rmdir()
    model = Told(told_the_truth(data, task, "test"))
    assert score_predictions(data, "test", model, tmp_path / "predictions.json") is None
    assert (tmp_path / "predictions.json").is_file()


def test_annotations_that_do_not_fit_the_run(tmp_path):
    data = prepared("detection", tmp_path / "data")
    file = data.root / ANNOTATIONS / "val" / "labels.json"
    content = json.loads(file.read_text())
    lost = content["images"].pop(2)
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != lost["id"]]
    content["categories"][1]["name"] = "dog"
    file.write_text(json.dumps(content))
    with pytest.raises(BadInput) as caught:
        find("detection").labelled(data, "val")
    assert str(caught.value).splitlines() == [
        f"{file}: lacks 1 images of the run, such as {lost['file_name']}",
        f"{file}: lacks classes of the run, such as ant",
        f"{file}: has categories that the run does not know, such as dog",
    ]
    file.write_text("[")
    with pytest.raises(BadInput, match=rf"^{file}: is not JSON: "):
        _objects.known(data, "val")
    file.write_text('{"images": [{"id": 1}], "categories": []}')
    with pytest.raises(BadInput, match=rf"^{file}: has no images with id, file_name, height, width$"):
        _objects.known(data, "val")
    file.unlink()
    file.parent.rmdir()
    with pytest.raises(BadInput, match=rf"^{file.parent}: is missing; prepare the folder again$"):
        _objects.known(data, "val")


def test_objects_of_which_nothing_is_to_be_seen_are_left_out():
    boxes = np.array([[0, 0, 4, 4], [3, 3, 3, 9], [60, 5, 60, 9.0]])
    crowds = np.array([False, True, False])
    masks = np.ones((3, 2, 2), bool)
    found = _objects.objects_of(np.array([5, 6, 7]), boxes, crowds, masks)
    assert (found.classes.tolist(), found.boxes.tolist(), len(found.masks)) == ([5], [[0, 0, 4, 4]], 1)
    assert _objects.inside(np.array([[-3.0, -2, 70, 80]]), (40, 60)).tolist() == [[0, 0, 60, 40]]


def test_runs_are_drawn_as_pixels():
    masks = np.random.default_rng(0).random((9, 7, 5)) < 0.5
    masks[0], masks[1] = False, True
    runs, faults = rle.decode(rle.encode(masks), [7] * 9, [5] * 9)
    assert not faults
    assert np.array_equal(drawn(runs, (7, 5)), masks)
    chosen = rle.chosen(runs, np.array([4, 2]))
    assert np.array_equal(drawn(chosen, (7, 5)), masks[[4, 2]])
    assert drawn(rle.chosen(runs, np.zeros(0, np.int64)), (7, 5)).shape == (0, 7, 5)


def test_resizing_masks():
    masks = np.zeros((2, 6, 8), bool)
    masks[0, 2:4, 2:6] = True
    larger = resized(masks, (12, 16))
    assert np.array_equal(boxes_of(larger)[0], [4, 4, 12, 8])
    assert not larger[1].any()
    assert np.array_equal(boxes_of(resized(masks, (3, 4)))[0], [1, 1, 3, 2])
    assert resized(masks, (6, 8)) is masks
    assert resized(masks[:0], (3, 4)).shape == (0, 3, 4)
    assert boxes_of(masks).tolist() == [[2, 2, 6, 4], [0, 0, 0, 0]]


@pytest.mark.parametrize(("task", "method"), [("detection", "one-stage"), ("instances", "mask-rcnn")])
def test_a_run_from_end_to_end(things, task, method, tmp_path):
    light = {"steps": "2", "batch_size": "2", "widths": "8,12", "channels": "8"}
    plan = Plan(method, overrides=light, rehearse=True)
    score = run(things[task], plan, tmp_path / "run", execution=Execution("cpu"))
    assert 0 <= score.estimates["AP"].value < 0.5
    assert (tmp_path / "run" / "predictions.json").is_file()
    floors = run_floors(things[task], 0, tmp_path / "run")
    assert list(floors) == ["box-prior" if task == "detection" else "mask-prior"]
    assert all(floor.estimates["AP"].value >= 0 for floor in floors.values())
