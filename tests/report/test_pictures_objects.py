"""Pictures of found objects: which images, what is drawn on them, what is said of them."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors.challenges.schema import Challenge
from vipriors.data.images import encode
from vipriors.data.manifest import Row, manifest_hash, write_manifest
from vipriors.pictures.objects import LEAST_SCORE, PANEL, Thing, box_of, mask_of, panel
from vipriors.problems import BadInput
from vipriors.report.finished import read_run
from vipriors.report.pictures import pictures_of
from vipriors.report.pictures._objects import COUNT, GAP, Tally, box_overlap, mask_overlap, tally
from vipriors.runs.records import Counts, RunRecipe, RunRecord
from vipriors.tasks import rle

TESTS, SIZE = 10, (30, 40)
BOX = (10, 8, 12, 9)
NAMES = ("cat", "ant")


def shape_of(task, x, y, w, h):
    if task == "detection":
        return {"bbox": [x, y, w, h]}
    mask = np.zeros((1, *SIZE), bool)
    mask[0, y : y + h, x : x + w] = True
    return {"segmentation": {"size": list(SIZE), "counts": rle.encode(mask)[0]}}


@pytest.fixture(params=["detection", "instances"])
def task(request):
    return request.param


@pytest.fixture
def made(task, tmp_path) -> tuple[Path, Path]:
    """A run and its data: image n is found ever worse, its object moved by n pixels; a faint one besides."""
    run, data = tmp_path / "run", tmp_path / "data"
    for folder in (run, data / "images/test", data / "labels/test", data / "annotations/test"):
        folder.mkdir(parents=True)
    rows, images = [], []
    for number in range(TESTS):
        name = f"img_{number}.png"
        content = encode(np.full((*SIZE, 3), 10 * number, np.uint8))[1]
        (data / "images/test" / name).write_bytes(content)
        rows.append(Row(name, "test", None, f"images/test/{name}", "", hashlib.sha256(content).hexdigest()))
        images.append({"id": 50 + number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
    index = {"images": images, "categories": [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)]}
    (data / "annotations/test/images.json").write_text(json.dumps(index))
    annotations = [
        {"id": n + 1, "image_id": 50 + n, "category_id": 2, "iscrowd": 0, **shape_of(task, *BOX)}
        for n in range(TESTS)
    ]
    (data / "labels/test/labels.json").write_text(json.dumps(index | {"annotations": annotations}))
    results = []
    for number in range(TESTS):
        moved = (BOX[0] + number, *BOX[1:])
        results.append({"image_id": 50 + number, "category_id": 2, "score": 0.8, **shape_of(task, *moved)})
        faint = LEAST_SCORE - 0.01
        results.append({"image_id": 50 + number, "category_id": 1, "score": faint, **shape_of(task, *BOX)})
    (run / "predictions.json").write_text(json.dumps(results))
    write_manifest(data / "manifest.csv", rows)
    write_manifest(run / "manifest.csv", rows)
    dataset = {
        "format": 1,
        "challenge": "things",
        "classes": list(NAMES),
        "channels": 3,
        "rule": {},
        "counts": {"train": 0, "val": 0, "test": TESTS},
        "cut_sha256": "0" * 64,
        "manifest_sha256": hashlib.sha256((data / "manifest.csv").read_bytes()).hexdigest(),
    }
    (data / "dataset.json").write_text(json.dumps(dataset))
    challenge = Challenge.model_validate(
        {
            "name": "things",
            "title": "Things",
            "task": task,
            "source": {"world": "scenes"},
            "input": {"size": SIZE},
        }
    )
    RunRecipe(
        challenge=challenge,
        challenge_file="things",
        classes=NAMES,
        images_per_class=None,
        subset_seed=0,
        manifest_sha256=manifest_hash(rows),
        method="one-stage",
        preset="tiny",
        hyper_parameters={},
        seed=0,
        fit_on="train",
        rehearse=False,
        precision="auto",
    ).write(run)
    RunRecord(
        counts=Counts(train=0, val=0, test=TESTS),
        predictions="predictions.json",
        predictions_sha256="0" * 64,
        validation=None,
        facts={},
        environment={},
    ).write(run)
    return run, data


def opened(picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)))


def test_images_from_the_worst_to_the_best(made):
    run, data = made
    pictures = pictures_of(read_run(run), data)
    assert len(pictures) == COUNT
    # A box of 12 columns moved by n overlaps itself by (12 - n) / (12 + n): half or more up to n = 4.
    found = [picture.caption.split(": ")[1].startswith("1 of 1") for picture in pictures]
    assert found == sorted(found)
    assert found.count(True) == 4
    for picture in pictures:
        number = int(picture.caption.partition(".")[0].removeprefix("img_"))
        right = number <= 4
        assert picture.caption.startswith(
            f"img_{number}.png: {int(right)} of 1 objects found, {int(not right)} wrongly. Left: truth"
        )
        pixels = opened(picture)
        assert pixels.shape == (PANEL * SIZE[0] // SIZE[1], 2 * PANEL + GAP, 3)
        assert (pixels[-1, 0] == 10 * number).all()
        assert (pixels[:, PANEL : PANEL + GAP] == 255).all()


def test_the_truth_is_left_and_what_was_found_right(made):
    run, data = made
    for picture in pictures_of(read_run(run), data):
        number = int(picture.caption.partition(".")[0].removeprefix("img_"))
        halves = opened(picture)[:, :PANEL], opened(picture)[:, PANEL + GAP :]
        scale = PANEL / SIZE[1]
        for half, x in zip(halves, (BOX[0], BOX[0] + number), strict=True):
            rows = slice(round(scale * (BOX[1] + 4)), round(scale * (BOX[1] + 5)))
            changed = np.flatnonzero((half[rows] != 10 * number).any(axis=(0, 2)))
            assert abs(changed[0] - scale * x) <= 1
            assert abs(changed[-1] - scale * (x + BOX[2])) <= 2


def test_no_pictures_without_test_labels(made):
    run, data = made
    (data / "labels/test/labels.json").unlink()
    (data / "labels/test").rmdir()
    assert pictures_of(read_run(run), data) == []


def test_damaged_predictions_and_lists_are_bad_input(made):
    run, data = made
    predictions = (run / "predictions.json").read_text()
    (run / "predictions.json").write_text("{}")
    with pytest.raises(BadInput, match=r"predictions\.json"):
        pictures_of(read_run(run), data)
    (run / "predictions.json").write_text(predictions)
    (data / "annotations/test/images.json").write_text("[]")
    with pytest.raises(BadInput, match=r"images\.json: is no list of images as COCO has them"):
        pictures_of(read_run(run), data)


def test_each_object_is_found_once_by_the_surest():
    truth = [Thing(0, (0, 0, 10, 10)), Thing(1, (20, 0, 30, 10))]
    found = [
        Thing(0, (0, 0, 10, 7), 0.5),  # overlaps by 0.7, but a surer one takes the object
        Thing(0, (0, 0, 10, 6), 0.9),
        Thing(0, (20, 0, 30, 10), 0.8),  # of another class
    ]
    assert tally(truth, found, box_overlap) == Tally(objects=2, right=1, wrong=2)
    assert tally(truth, found, box_overlap).score == pytest.approx(2 / 5)
    assert tally([], [], box_overlap).score == 1
    assert tally([], found, box_overlap).score == 0


def test_overlaps():
    masks = np.zeros((3, *SIZE), bool)
    boxes = [(0, 0, 10, 10), (5, 0, 15, 10), (20, 20, 30, 25)]
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    things = [Thing(0, box, mask=mask) for box, mask in zip(boxes, masks, strict=True)]
    for overlap in (box_overlap, mask_overlap):
        assert overlap(things[0], things[1]) == pytest.approx(1 / 3)
        assert overlap(things[0], things[0]) == 1
        assert overlap(things[0], things[2]) == 0
    nothing = Thing(0, (3, 3, 3, 3), mask=np.zeros(SIZE, bool))
    assert box_overlap(nothing, nothing) == mask_overlap(nothing, nothing) == 0


def test_masks_and_their_boxes_from_runs():
    masks = np.random.default_rng(0).random((4, *SIZE)) < 0.02
    masks[0] = False
    runs, _ = rle.decode(rle.encode(masks), [SIZE[0]] * 4, [SIZE[1]] * 4)
    for place, mask in enumerate(masks):
        assert np.array_equal(mask_of(runs, place, SIZE), mask)
        rows, columns = np.nonzero(mask)
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0,) * 4
        assert box_of(mask) == expected


@pytest.mark.parametrize("shape", [(12, 9, 3), (700, 900, 3)])
def test_panels_are_as_wide_whatever_the_image(shape):
    things = [Thing(0, (-5, -5, 4, 6), 0.5), Thing(1, (2, 3, 4 * shape[1], shape[0]), 0.9)]
    pixels = panel(np.zeros(shape, np.uint8), things, NAMES)
    assert pixels.shape == (max(1, round(PANEL * shape[0] / shape[1])), PANEL, 3)
    assert pixels.any()
