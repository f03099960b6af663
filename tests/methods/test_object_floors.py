"""The floors that look at no image, means of groups of boxes, against plain loops; precision in memory."""

import dataclasses
import json

import numpy as np
import pytest
from method_cases._objects import data_set
from sklearn.cluster import KMeans

from vipriors.methods import configure, load
from vipriors.methods.detection._floor import GROUPS, mean_mask, mean_objects, similar
from vipriors.methods.detection._precision import average_precision
from vipriors.methods.protocol import Context, Labelled, Objects, TrainingSet
from vipriors.tasks import detection, instances, rle

FLOORS = ["box-prior", "mask-prior"]


def data_for(name, **options):
    return data_set(count=20, with_masks=name == "mask-prior", **options)


@pytest.mark.parametrize("name", FLOORS)
def test_the_same_objects_for_every_image_saved_and_loaded(name, tmp_path):
    data = data_for(name)
    model = configure(name, "tiny", {}).fit(data, Context()).model
    found = list(model.detect(data.held_out.images))
    assert len(found) == len(data.held_out.images)
    model.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["floor.npz"]
    loaded = load(name)().load(tmp_path, data.image_shape, 2, None)
    for one, other in zip(found, loaded.detect(data.held_out.images), strict=True):
        for field in ("classes", "boxes", "scores", "masks"):
            first, second = getattr(one, field), getattr(other, field)
            assert (first is None) == (second is None)
            assert first is None or (np.array_equal(first, second) and first.dtype == second.dtype)
    assert (found[0].masks is not None) == (name == "mask-prior")
    assert len(found[0].classes) == 8
    assert (np.diff(found[0].scores) <= 0).all()


def test_mean_boxes_and_their_frequency():
    """Two groups far apart: the means and the shares of images are known."""
    boxes = [
        [[0, 0, 10, 10], [100, 100, 120, 130]],
        [[2, 2, 12, 12]],
        [[1, 1, 11, 11], [4, 0, 14, 10], [50, 50, 60, 60]],
        [],
    ]
    classes = [[0, 0], [0], [0, 0, 1], []]
    labels = [
        Objects(np.array(c, np.int64), np.array(b, np.float32).reshape(-1, 4))
        for c, b in zip(classes, boxes, strict=True)
    ]
    found = mean_objects(labels, 3, 2)
    assert found.classes.tolist() == [0, 0, 1]
    assert found.boxes.tolist() == [[1.75, 0.75, 11.75, 10.75], [100, 100, 120, 130], [50, 50, 60, 60]]
    assert found.scores.tolist() == [0.75, 0.25, 0.25]
    assert found.masks is None


def test_crowds_are_left_out():
    one = Objects(
        np.array([0, 0]), np.array([[0, 0, 4, 4], [8, 8, 9, 9]], np.float32), crowds=np.array([0, 1], bool)
    )
    assert mean_objects([one], 1, 4).boxes.tolist() == [[0, 0, 4, 4]]


def test_groups_are_scikit_learn_s():
    boxes = np.random.default_rng(0).uniform(0, 90, (40, 4)).astype(np.float32)
    labels = KMeans(5, n_init=1, random_state=0).fit_predict(boxes.astype(np.float64))
    expected = {tuple(np.flatnonzero(labels == number)) for number in range(5)}
    assert {tuple(group) for group in similar(boxes, 5)} == expected
    assert similar(boxes[:0], 5) == []
    assert [group.tolist() for group in similar(np.repeat(boxes[:1], 3, axis=0), 5)] == [[0, 1, 2]]


def test_at_most_a_hundred_the_most_frequent():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (150, 2))
    labels = [Objects(np.array([k]), np.array([[*c, *(c + 9)]], np.float32)) for k, c in enumerate(corner)]
    labels.append(Objects(np.array([149]), np.array([[*corner[149], *(corner[149] + 9)]], np.float32)))
    found = mean_objects(labels, 150, 4)
    assert len(found.classes) == 100
    assert found.classes[0] == 149


def test_a_mean_mask_is_the_majority_s():
    masks = np.zeros((3, 40, 40), bool)
    masks[0, 4:12, 4:12] = True
    masks[1, 20:28, 10:18] = True
    masks[2, 2:10, 30:34] = True  # the left half of its box
    boxes = np.array([[4, 4, 12, 12], [10, 20, 18, 28], [30, 2, 38, 10]], np.float32)
    place = np.array([8, 8, 24, 24], np.float32)
    expected = np.zeros((40, 40), bool)
    expected[8:24, 8:24] = True
    assert np.array_equal(mean_mask(masks, boxes, place), expected)
    half = np.zeros((40, 40), bool)
    half[8:24, 8:16] = True
    assert np.array_equal(mean_mask(masks[[2, 2, 2, 0]], boxes[[2, 2, 2, 0]], place), half)
    # As frequent as half of the most frequent is enough.
    assert np.array_equal(mean_mask(masks[[2, 0]], boxes[[2, 0]], place), expected)


@pytest.mark.parametrize("name", FLOORS)
def test_groups_are_chosen_on_the_held_out_images(name):
    data = data_for(name)
    found = load(name)().tuned(data)
    scores = []
    for groups in GROUPS:
        model = load(name)(groups).fit(data, Context()).model
        scores.append(average_precision(list(model.detect(data.held_out.images)), data.held_out.labels, 2))
    assert found.groups == GROUPS[int(np.argmax(scores))]
    assert max(scores) > 0
    assert load(name)(3).tuned(data).groups == 3


@pytest.mark.parametrize("name", FLOORS)
def test_no_objects_to_learn_from(name):
    data = data_for(name)
    none = [dataclasses.replace(one, **{f: getattr(one, f)[:0] for f in ("classes", "boxes", "crowds")},
            masks=None if one.masks is None else one.masks[:0]) for one in data.train.labels]  # fmt: skip
    empty = TrainingSet(Labelled(data.train.images, none), data.classes)
    (found,) = configure(name, "tiny", {}).fit(empty, Context()).model.detect(data.train.images[:1])
    assert (len(found.classes), found.boxes.shape, len(found.scores)) == (0, (0, 4), 0)


def test_a_floor_needs_no_torch():
    import subprocess
    import sys

    check = (
        "import sys; from vipriors.methods import configure;"
        "configure('box-prior', 'tiny', {}); configure('mask-prior', 'tiny', {});"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def noisy(labels, seed=0):
    rng, found = np.random.default_rng(seed), []
    for one in labels:
        boxes = one.boxes + rng.uniform(-2, 2, one.boxes.shape).astype(np.float32)
        masks = None if one.masks is None else np.roll(one.masks, rng.integers(-1, 2), axis=2)
        scores = np.sort(rng.random(len(one.classes)))[::-1].astype(np.float32)
        found.append(Objects(one.classes, boxes, masks, scores))
    return found


@pytest.mark.parametrize("with_masks", [False, True])
def test_precision_in_memory_is_that_of_files(with_masks):
    labels = data_set(with_masks=with_masks).held_out.labels
    labels[0] = dataclasses.replace(labels[0], crowds=np.ones(len(labels[0].classes), bool))
    found = noisy(labels)
    truth = {
        "images": [{"id": k, "height": 32, "width": 40, "file_name": str(k)} for k in range(len(labels))],
        "categories": [{"id": k, "name": str(k)} for k in range(2)],
        "annotations": [],
    }
    results = []
    for image, (one, other) in enumerate(zip(labels, found, strict=True)):
        for objects, entries in ((one, truth["annotations"]), (other, results)):
            for k, (class_, box) in enumerate(
                zip(objects.classes.tolist(), objects.boxes.tolist(), strict=True)
            ):
                shape = {"bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
                if with_masks:
                    shape = {
                        "segmentation": {"size": [32, 40], "counts": rle.encode(objects.masks[k : k + 1])[0]}
                    }
                entry = {"id": len(entries), "image_id": image, "category_id": class_, **shape}
                if objects is one:
                    entry["iscrowd"] = int(one.crowds[k])
                else:
                    entry["score"] = float(other.scores[k])
                entries.append(entry)
    task = instances if with_masks else detection
    known = task.read_labels(json.dumps(truth).encode())
    predictions, problems = task.check(json.dumps(results).encode(), known.index)
    assert problems == []
    expected = task.score(predictions, known, known.index, known.index.names, draws=0)
    precision = average_precision(found, labels, 2)
    assert precision == pytest.approx(expected.estimates["AP"].value, abs=1e-6)
    assert 0.1 < precision < 0.99


def test_precision_of_nothing():
    labels = data_set().held_out.labels
    none = [Objects(one.classes[:0], one.boxes[:0], scores=np.zeros(0, np.float32)) for one in labels]
    assert average_precision(none, labels, 2) == 0
    assert average_precision(none, none, 2) is None
