import json
from pathlib import Path

import numpy as np
import pytest
from coco_cases import (
    NAMES,
    case,
    encoded,
    numbers_of,
    pycocotools_numbers,
    score_of,
    slow_numbers,
    uncompressed,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from vipriors.problems import BadInput
from vipriors.tasks import instances
from vipriors.tasks.coco import Index
from vipriors.tasks.instances import Found, check, read_labels, write
from vipriors.tasks.rle import encode

INDEX = Index((3, 7), ((10, 20), (3, 4)), (1, 18), ("person", "dog"))
MASK = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]])
GOOD = {"image_id": 7, "category_id": 18, "segmentation": encoded(MASK), "score": 0.5}
TRUTH = {
    "images": [{"id": 7, "height": 3, "width": 4}, {"id": 3, "height": 10, "width": 20}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
    "annotations": [{"image_id": 7, "category_id": 18, "segmentation": uncompressed(MASK)}],
}


def problems_in(entries):
    data = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    predictions, problems = check(data, INDEX, "file.json")
    assert predictions is None
    return [str(problem) for problem in problems]


def problems_of(truth):
    with pytest.raises(BadInput) as error:
        read_labels(json.dumps(truth).encode(), "truth.json")
    return [str(problem) for problem in error.value.problems]


def dense(segmentation):
    if isinstance(segmentation["counts"], list):
        segmentation = mask_api.frPyObjects(segmentation, *segmentation["size"])
    return mask_api.decode(segmentation).astype(bool)


def overlap_of_masks(result, annotation):
    a, b = dense(result["segmentation"]), dense(annotation["segmentation"])
    whole = a if annotation["iscrowd"] else a | b
    return (a & b).sum() / max(whole.sum(), 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 4), st.sampled_from([1, 3]))
def test_numbers_equal_pycocotools(seed, images, categories, decimals):
    truth, results = case(seed, images, categories, decimals, with_masks=True)
    if results:
        expected = pycocotools_numbers(truth, results, "segm")
        np.testing.assert_allclose(numbers_of(instances, truth, results), expected, rtol=0, atol=1e-9)


def test_numbers_equal_the_slow_definition():
    truth, results = case(0, images=4, with_masks=True)
    expected = slow_numbers(truth, results, overlap_of_masks, lambda x: dense(x["segmentation"]).sum())
    np.testing.assert_allclose(numbers_of(instances, truth, results), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_numbers_equal_pycocotools_with_polygons(seed):
    truth, results = case(seed, images=12, decimals=3, with_masks=True)
    for entry in truth["annotations"]:
        x, y, w, h = entry["bbox"]
        whole = [x, y, x + w, y, x + w * 0.9, y + h, x, y + h * 0.8]
        part = [x - 5.2, y, x + w / 2, y + 0.5, x, y + h / 3]
        entry["segmentation"] = [whole, part] if entry["id"] % 3 else entry["segmentation"]
    expected = pycocotools_numbers(truth, results, "segm")
    np.testing.assert_allclose(numbers_of(instances, truth, results), expected, rtol=0, atol=1e-9)


def test_lists_of_counts_score_as_text_does():
    truth, results = case(2, with_masks=True)
    as_lists = [entry | {"segmentation": uncompressed(dense(entry["segmentation"]))} for entry in results]
    np.testing.assert_array_equal(
        numbers_of(instances, truth, as_lists), numbers_of(instances, truth, results)
    )


def test_a_box_beside_the_mask_changes_nothing():
    truth, results = case(3, images=12, with_masks=True)
    with_boxes = [entry | {"bbox": [0, 0, 1, 1]} for entry in results]
    expected = numbers_of(instances, truth, results)
    np.testing.assert_array_equal(numbers_of(instances, truth, with_boxes), expected)
    # pycocotools takes the box's area for the mask's.
    assert (
        pycocotools_numbers(truth, with_boxes, "segm") != pycocotools_numbers(truth, results, "segm")
    ).any()


# The published scorer's faults


def test_one_perfect_image_of_a_hundred_does_not_score_one():
    segmentation = uncompressed(np.pad(np.ones((40, 40), dtype=int), 5))
    annotations = [
        {"image_id": i, "category_id": 1, "segmentation": segmentation, "area": 1600, "id": i, "iscrowd": 0}
        for i in range(1, 101)
    ]
    images = [{"id": i, "height": 50, "width": 50} for i in range(1, 101)]
    truth = {"images": images, "categories": [{"id": 1, "name": "human"}], "annotations": annotations}
    results = [{"image_id": 1, "category_id": 1, "segmentation": segmentation, "score": 1.0}]
    found = score_of(instances, truth, results, draws=5)
    assert found.estimates["AR100"].value == pytest.approx(0.01)
    assert found.estimates["AP"].value == pytest.approx(2 / 101)
    nothing = score_of(instances, truth, [], draws=5)  # a KeyError there
    assert nothing.estimates["AP"].value == 0
    assert (nothing.details["n_images"], nothing.details["n_images_predicted"]) == (100, 0)


# Good and bad files


def test_a_good_file():
    other = GOOD | {"segmentation": uncompressed(MASK), "bbox": "ignored"}
    predictions, problems = check(json.dumps([GOOD, other]).encode(), INDEX)
    assert problems == []
    assert predictions.results.images.tolist() == [1, 1]
    assert predictions.masks.areas.tolist() == [3, 3]
    assert predictions.masks.starts.tolist() == [4, 7] * 2
    assert predictions.masks.ends.tolist() == [6, 8] * 2


def test_the_documented_example():
    text = (Path(__file__).parents[2] / "docs/formats/instances.md").read_text("utf-8")
    index = Index((7,), ((3, 4),), (1, 2), ("a", "b"))
    predictions, problems = check(text.split("```json")[1].split("```")[0].encode(), index)
    assert problems == []
    assert predictions.masks.starts.tolist() == [4, 7] * 2
    assert predictions.masks.ends.tolist() == [6, 8] * 2


SIZE = "expected [3, 4], height and width"


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        (None, "segmentation is missing or null; expected an object with size and counts"),
        ([[1, 2, 3, 4, 5, 6]], "segmentation is a list of 1; expected an object with size and counts"),
        ({"counts": "<"}, f"size is missing or null; {SIZE}"),
        ({"size": [3], "counts": "<"}, f"size is a list of 1; {SIZE}"),
        ({"size": [4, 3], "counts": "<"}, f"size is [4, 3]; {SIZE}"),
        ({"size": [3.0, 4], "counts": "<"}, f"size is [3.0, 4]; {SIZE}"),
        ({"size": [3, "4"], "counts": "<"}, f"size is [3, the text '4']; {SIZE}"),
        ({"size": [3, 4]}, "counts is missing or null; expected run lengths as text or as a list"),
        ({"size": [3, 4], "counts": 12}, "counts is 12; expected run lengths as text or as a list"),
        (
            {"size": [3, 4], "counts": [3, -1, 10]},
            "counts is a list of 3, not all of them whole numbers of pixels",
        ),
        ({"size": [3, 4], "counts": [3.0]}, "counts is a list of 1, not all of them whole numbers of pixels"),
        (
            {"size": [3, 4], "counts": [2**40]},
            "counts is a list of 1, not all of them whole numbers of pixels",
        ),
        (
            {"size": [3, 4], "counts": [3, 4]},
            "counts has runs of 7 pixels in all; expected 12, height times width",
        ),
        ({"size": [3, 4], "counts": [13]}, "counts has a run that is negative or too long"),
        ({"size": [3, 4], "counts": [0] * 14}, "counts has the length 14; expected at most 13"),
        ({"size": [3, 4], "counts": "0" * 92}, "counts has the length 92; expected at most 91"),
        ({"size": [3, 4], "counts": "€"}, "counts has a character that is none of run-length text"),
    ],
)
def test_each_fault_of_a_mask(segmentation, expected):
    assert problems_in([GOOD, GOOD | {"segmentation": segmentation}]) == [f"file.json, entry 1: {expected}"]


def test_masks_of_unknown_images_are_checked_too():
    unknown = GOOD | {"image_id": 8}
    wrong = {"size": [5, 5], "counts": "0"}
    no_image = "image_id 8 is not the id of an image of the test set"
    assert problems_in([unknown, unknown | {"segmentation": wrong}, 1, GOOD | {"segmentation": wrong}]) == [
        f"file.json, entry 0: {no_image}",
        f"file.json, entry 1: {no_image}",
        "file.json, entry 2: it is 1; expected an object",
        f"file.json, entry 3: size is [5, 5]; {SIZE}",
        "file.json, entry 1: counts has runs of 0 pixels in all; expected 25, height times width",
    ]
    huge = {"size": [10**6, 10**6], "counts": "0"}
    assert problems_in([unknown | {"segmentation": huge}])[1] == (
        "file.json, entry 0: size is [1000000, 1000000]; expected [height, width]"
    )


# Writing


def test_write_and_read_back(tmp_path):
    masks = np.random.default_rng(0).random((5, 90, 140)) < 0.5
    masks[0, :44, 0], masks[0, 44:, 0] = False, True  # 44 is `\\1`, with the character that JSON escapes
    found = [
        Found((90, 140), [1, 2, 1, 2, 5], encode(masks), np.float32([0.1, 0.2, 0.3, 0.4, 0.5])),
        Found((3, 4), [], [], []),
    ]
    write(tmp_path / "a.json", [9, 4], found)
    write(tmp_path / "b.json", [9, 4], found)
    data = (tmp_path / "a.json").read_bytes()
    assert data == (tmp_path / "b.json").read_bytes()
    assert b"\\\\" in data
    index = Index((4, 9), ((3, 4), (90, 140)), (1, 2, 5), ("a", "b", "c"))
    predictions, problems = check(data, index)
    assert problems == []
    for entry, mask in zip(json.loads(data), masks, strict=True):
        np.testing.assert_array_equal(dense(entry["segmentation"]), mask)
    np.testing.assert_array_equal(predictions.masks.areas, masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(predictions.results.scores.astype(np.float32), found[0].scores)


def test_write_refuses_what_check_would(tmp_path):
    for counts in (['"'], ["0"], ["<", "<"], ["\n"]):
        with pytest.raises(BadInput):
            write(tmp_path / "a.json", [9], [Found((3, 4), [1], counts, [0.5])])
    assert list(tmp_path.iterdir()) == []


# Labels


def test_labels_hold_masks_of_each_form_in_the_order_of_the_file():
    annotation = TRUTH["annotations"][0]
    forms = [uncompressed(MASK), [[0, 0, 4, 0, 4, 3, 0, 3]], encoded(MASK), [[0, 0, 2, 0, 2, 1, 0, 1]]]
    truth = TRUTH | {"annotations": [annotation | {"segmentation": form} for form in forms]}
    labels = read_labels(json.dumps(truth).encode())
    assert labels.masks.areas.tolist() == labels.objects.areas.tolist() == [3, 12, 3, 2]
    assert instances.index_of(labels) == INDEX


def test_labels_list_every_fault():
    annotation = TRUTH["annotations"][0]
    forms = [[], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, "6"]], "text", {"size": [3, 4], "counts": [5]}, [[0] * 7]]
    truth = TRUTH | {"annotations": [annotation | {"segmentation": form} for form in forms]}
    corners = "expected x, y, x, y … of three corners or more, from -1000000 to 1000000"
    place = "truth.json, annotations, entry"
    assert problems_of(truth) == [
        f"{place} 0: a polygon is missing or null; {corners}",
        f"{place} 1: a polygon is a list of 4; {corners}",
        f"{place} 2: a polygon is a list of 6; {corners}",
        f"{place} 5: a polygon is a list of 7; {corners}",
        f"{place} 3: segmentation is the text 'text'; expected an object with size and counts",
        f"{place} 4: counts has runs of 5 pixels in all; expected 12, height times width",
    ]
    unknown = annotation | {"image_id": 9, "segmentation": [[0, 0, 4, 0, 4, 3]]}
    assert problems_of(TRUTH | {"annotations": [annotation, unknown]}) == [
        f"{place} 1: image_id 9 is not the id of an image of the test set"
    ]


def test_score_names_its_task():
    truth, results = case(1, with_masks=True)
    found = score_of(instances, truth, results, draws=3)
    assert (found.task, found.headline) == ("instances", "AP")
    assert set(found.estimates) <= set(NAMES)
    json.dumps(found.to_json(), allow_nan=False)
