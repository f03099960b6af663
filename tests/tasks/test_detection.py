import json
from pathlib import Path

import numpy as np
import pytest
from coco_cases import NAMES, case, numbers_of, pycocotools_numbers, score_of, slow_numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from vipriors.problems import BadInput
from vipriors.tasks import detection
from vipriors.tasks.coco import Index
from vipriors.tasks.detection import Found, box_overlaps, check, read_labels, write
from vipriors.tasks.matching import match
from vipriors.tasks.precision import curves, numbers, recalls_up_to

INDEX = Index((3, 7), ((10, 20), (30, 40)), (1, 18), ("person", "dog"))
GOOD = {"image_id": 7, "category_id": 18, "bbox": [1, 2.5, 3, 4], "score": 0.5}
TRUTH = {
    "images": [{"id": 7, "height": 30, "width": 40}, {"id": 3, "height": 10, "width": 20}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 18, "bbox": [1, 2, 3, 4], "area": 12.0}],
}


def problems_in(data, index=INDEX):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    predictions, problems = check(data, index, "file.json")
    assert predictions is None
    return [str(problem) for problem in problems]


def problems_of(truth):
    data = truth if isinstance(truth, bytes) else json.dumps(truth).encode()
    with pytest.raises(BadInput) as error:
        read_labels(data, "truth.json")
    return [str(problem) for problem in error.value.problems]


def overlap_of_boxes(result, annotation):
    (a, b, c, d), (e, f, g, h) = result["bbox"], annotation["bbox"]
    shared = max(0, min(a + c, e + g) - max(a, e)) * max(0, min(b + d, f + h) - max(b, f))
    return shared / (c * d if annotation["iscrowd"] else c * d + g * h - shared) if shared else 0.0


def area_of_box(result):
    return result["bbox"][2] * result["bbox"][3]


def without_annotations(truth, kept):
    return truth | {"annotations": [entry for entry in truth["annotations"] if kept(entry)]}


# The twelve numbers


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4), st.sampled_from([1, 3]))
def test_numbers_equal_pycocotools(seed, images, categories, decimals):
    truth, results = case(seed, images, categories, decimals)
    if truth["annotations"] and results:
        expected = pycocotools_numbers(truth, results, "bbox")
        np.testing.assert_allclose(numbers_of(detection, truth, results), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_numbers_equal_the_slow_definition(seed):
    truth, results = case(seed)
    expected = slow_numbers(truth, results, overlap_of_boxes, area_of_box)
    np.testing.assert_allclose(numbers_of(detection, truth, results), expected, rtol=0, atol=1e-9)


def test_only_a_hundred_results_of_an_image_and_category_count():
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 60, (4, 4)).round(1).tolist()
    entry = {"image_id": 7, "category_id": 18}
    truth = TRUTH | {
        "annotations": [
            entry | {"id": i + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, box in enumerate(boxes)
        ]
    }
    many = [
        entry | {"bbox": boxes[rng.integers(4)], "score": round(float(rng.random()), 2)} for _ in range(300)
    ]
    few = [entry | {"bbox": [0, 0, 1, 1], "score": 2}] * 99 + [entry | {"bbox": boxes[0], "score": 1.0}]
    last = [entry | {"bbox": boxes[1], "score": 0.9}]
    for results in (many, few, few + last):
        expected = pycocotools_numbers(truth, results, "bbox")
        np.testing.assert_allclose(numbers_of(detection, truth, results), expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(numbers_of(detection, truth, few), numbers_of(detection, truth, few + last))


def test_many_candidates_for_one_object_are_matched_in_turn():
    truth, _ = case(3, images=2, categories=1)
    entry = truth["annotations"][0]
    results = [
        {key: entry[key] for key in ("image_id", "category_id", "bbox")} | {"score": score / 10}
        for score in range(10)
    ]
    expected = pycocotools_numbers(truth, results, "bbox")
    np.testing.assert_allclose(numbers_of(detection, truth, results), expected, rtol=0, atol=1e-9)


def test_undefined_numbers_are_none_and_no_estimates():
    truth, results = case(1)
    truth = without_annotations(truth, lambda entry: entry["area"] > 32**2 or entry["iscrowd"])
    found = score_of(detection, truth, results, draws=20)
    expected = pycocotools_numbers(truth, results, "bbox")
    assert expected[3] == expected[9] == -1
    assert found.details["summary"]["APs"] is found.details["summary"]["ARs"] is None
    assert list(found.estimates) == [name for name in NAMES if name not in ("APs", "ARs")]
    assert all(np.isfinite([e.value, e.low, e.high]).all() for e in found.estimates.values())


def test_classes_without_objects_are_left_out_of_the_mean():
    box = {"image_id": 7, "bbox": [1, 2, 3, 4]}
    results = [box | {"category_id": 18, "score": 1.0}, box | {"category_id": 1, "score": 1.0}]
    found = score_of(detection, TRUTH, results, draws=0)
    assert found.estimates["AP"].value == 1.0
    per_class = found.details["per_class"]
    assert [entry["class"] for entry in per_class] == ["person", "dog"]
    assert [entry["AP"] for entry in per_class] == [None, 1.0]
    assert [(entry["n"], entry["n_results"]) for entry in per_class] == [(0, 1), (1, 1)]


def test_per_class_numbers_average_to_the_whole():
    found = score_of(detection, *case(5, images=30, categories=4, decimals=3), draws=0)
    for name in ("AP", "AP50", "AP75"):
        values = [entry[name] for entry in found.details["per_class"] if entry[name] is not None]
        assert len(values) == 3
        assert found.estimates[name].value == pytest.approx(np.mean(values), abs=1e-12)


def test_recalls_are_compared_as_pycocotools_does():
    # With 100 objects, 29 found are the recall 0.29, although 100 * 0.29 is less than 29.
    for objects in range(1, 400):
        recall = np.arange(objects + 1) / objects
        expected = np.searchsorted(np.linspace(0, 1, 101), recall, side="right")
        np.testing.assert_array_equal(recalls_up_to(recall), expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 12)] * 8, st.booleans()), min_size=1, max_size=20))
def test_box_overlaps_equal_pycocotools(rows):
    from pycocotools import mask

    found, annotated = (np.array([row[part] for row in rows], float) for part in (slice(4), slice(4, 8)))
    crowds = np.array([row[8] for row in rows])
    expected = [
        mask.iou(a[np.newaxis], b[np.newaxis], [int(c)])[0, 0]
        for a, b, c in zip(found, annotated, crowds, strict=True)
    ]
    np.testing.assert_array_equal(box_overlaps(found, annotated, crowds), expected)


# The published scorer's faults


def a_hundred_images():
    images = [{"id": i, "height": 50, "width": 50} for i in range(1, 101)]
    box = {"category_id": 1, "bbox": [5, 5, 40, 40]}
    annotations = [box | {"id": i, "image_id": i, "area": 1600, "iscrowd": 0} for i in range(1, 101)]
    return {"images": images, "categories": [{"id": 1, "name": "thing"}], "annotations": annotations}


def test_one_perfect_image_of_a_hundred_does_not_score_one():
    truth = a_hundred_images()
    results = [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 40, 40], "score": 0.9}]  # scored 1.0 there
    found = score_of(detection, truth, results)
    assert found.estimates["AR100"].value == pytest.approx(0.01)
    assert found.estimates["AP"].value == pytest.approx(2 / 101)  # precision 1 at the recalls 0 and 0.01
    assert (found.details["n_images"], found.details["n_images_predicted"]) == (100, 1)


def test_an_empty_list_scores_zero_and_does_not_crash():
    found = score_of(detection, a_hundred_images(), [])  # a KeyError there
    assert {name: e.value for name, e in found.estimates.items()} == dict.fromkeys(
        [name for name in NAMES if name not in ("APs", "ARs", "APl", "ARl")], 0.0
    )
    assert found.estimates["AP"].low == found.estimates["AP"].high == 0
    assert found.details["n_images_predicted"] == found.details["n_results"] == 0


def test_the_published_example_is_refused_with_what_is_wrong():
    example = b'[{"image_id": "0.jpg", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]'
    assert problems_in(example) == [
        "file.json, entry 0: image_id is the text '0.jpg'; expected a whole number as in the ground truth, "
        "such as 3"
    ]  # an AssertionError there
    (problem,) = problems_in(example.replace(b"}]", b"},\n]"))
    assert problem.startswith("file.json, row ") and "this is not JSON at column " in problem


def test_an_annotation_with_the_id_0_can_be_found():
    annotation = TRUTH["annotations"][0] | {"iscrowd": 0}
    result = {key: annotation[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
    for id_ in (0, 1):
        truth = TRUTH | {"annotations": [annotation | {"id": id_}]}
        assert numbers_of(detection, truth, [result])[0] == 1.0
        # pycocotools takes the id 0 for no match.
        assert pycocotools_numbers(truth, [result], "bbox")[0] == pytest.approx(id_)


# Intervals


def test_weights_of_images_equal_copies_of_images():
    truth, results = case(11, images=10, decimals=9)
    scores = np.random.default_rng(0).permutation(len(results)) / len(results)
    results = [entry | {"score": score} for entry, score in zip(results, scores.tolist(), strict=True)]
    weights = np.array([2, 0, 1, 1, 3, 0, 1, 2, 0, 1])
    ids = sorted(image["id"] for image in truth["images"])
    copies = {id_: [1000 * id_ + c for c in range(w)] for id_, w in zip(ids, weights.tolist(), strict=True)}
    many = {
        "categories": truth["categories"],
        "images": [image | {"id": c} for image in truth["images"] for c in copies[image["id"]]],
        "annotations": [a | {"image_id": c} for a in truth["annotations"] for c in copies[a["image_id"]]],
    }
    many["annotations"] = [entry | {"id": i + 1} for i, entry in enumerate(many["annotations"])]
    many_results = [entry | {"image_id": c} for entry in results for c in copies[entry["image_id"]]]
    labels = read_labels(json.dumps(truth).encode())
    predictions, _ = check(json.dumps(results).encode(), labels.index)

    def overlaps(found, annotated):
        return box_overlaps(
            predictions.boxes[found], labels.boxes[annotated], labels.objects.crowds[annotated]
        )

    areas = predictions.boxes[:, 2] * predictions.boxes[:, 3]
    matches = match(labels.objects, predictions.results, areas, overlaps)
    found = numbers(curves(matches, labels.objects, predictions.results, 10, 3), weights)
    expected = pycocotools_numbers(many, many_results, "bbox")
    np.testing.assert_allclose(np.nan_to_num(found.values, nan=-1), expected, rtol=0, atol=1e-9)


def test_intervals_hold_their_values_are_repeatable_and_narrow_with_more_images():
    widths = []
    for images in (20, 320):
        truth, results = case(2, images=images, decimals=3)
        first, second = (score_of(detection, truth, results, draws=100) for _ in range(2))
        assert first == second
        assert all(0 <= e.low <= e.value <= e.high <= 1 for e in first.estimates.values())
        assert first.estimates["AP"].low < first.estimates["AP"].high
        widths.append(first.estimates["AP"].high - first.estimates["AP"].low)
    assert widths[1] < widths[0] / 2


def test_intervals_are_as_wide_as_the_spread_over_test_sets():
    def one(seed):
        return score_of(detection, *case(seed, images=60, decimals=3), draws=60).estimates

    found = [one(seed) for seed in range(30)]
    for name in ("AP", "AP50", "AR100"):
        spread = np.std([e[name].value for e in found], ddof=1)
        half_width = np.mean([(e[name].high - e[name].low) / 2 for e in found])
        assert 0.65 < half_width / (1.96 * spread) < 1.5
        mean = np.mean([e[name].value for e in found])
        assert np.mean([e[name].low <= mean <= e[name].high for e in found]) >= 0.8


def test_score_is_json():
    found = score_of(detection, *case(4), draws=5)
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (record["task"], record["headline"], record["details"]["draws"]) == ("detection", "AP", 5)
    assert detection.Score.from_json(record) == found


# Good and bad files


def test_a_good_file():
    other = GOOD | {"image_id": 3, "category_id": 1, "id": 5, "note": "more fields do no harm"}
    predictions, problems = check(b"\xef\xbb\xbf" + json.dumps([GOOD, other]).encode(), INDEX)
    assert problems == []
    assert predictions.results.images.tolist() == [1, 0]
    assert predictions.results.classes.tolist() == [1, 0]
    assert predictions.results.scores.tolist() == [0.5, 0.5]
    assert predictions.boxes.tolist() == [[1, 2.5, 3, 4]] * 2
    assert check(b"[]", INDEX)[0].boxes.shape == (0, 4)


def test_the_documented_example():
    text = (Path(__file__).parents[2] / "docs/formats/detection.md").read_text("utf-8")
    index = Index((139,), ((426, 640),), (1, 18), ("a", "b"))
    predictions, problems = check(text.split("```json")[1].split("```")[0].encode(), index)
    assert problems == []
    assert predictions.boxes[0].tolist() == [258.2, 41.3, 348.3, 243.8]


ID = "expected a whole number as in the ground truth, such as"
NUMBER = "expected a number from"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"image_id": 7.0}, f"image_id is 7.0; {ID} 3"),
        ({"image_id": True}, f"image_id is true; {ID} 3"),
        ({"image_id": [7]}, f"image_id is a list of 1; {ID} 3"),
        ({"image_id": None}, f"image_id is missing or null; {ID} 3"),
        ({"image_id": 4}, "image_id 4 is not the id of an image of the test set"),
        ({"image_id": 10**50}, f"image_id {'1' + '0' * 39}… is not the id of an image of the test set"),
        ({"category_id": "dog"}, f"category_id is the text 'dog'; {ID} 1"),
        ({"category_id": 2}, "category_id 2 is not the id of a category"),
        ({"score": "0.5"}, "score is the text '0.5'; expected a finite number"),
        ({"score": False}, "score is false; expected a finite number"),
        ({"score": 10**400}, f"score is {'1' + '0' * 39}…; expected a finite number"),
        ({"bbox": [1, 2, 3]}, "bbox is a list of 3; expected [x, y, width, height]"),
        ({"bbox": {}}, "bbox is an object of 0; expected [x, y, width, height]"),
        ({"bbox": None}, "bbox is missing or null; expected [x, y, width, height]"),
        ({"bbox": [1, 2, -3, 4]}, f"width of bbox is -3; {NUMBER} 0 to 1000000"),
        ({"bbox": [1, "2", 3, 4]}, f"y of bbox is the text '2'; {NUMBER} -1000000 to 1000000"),
        ({"bbox": [2e6, 2, 3, 4]}, f"x of bbox is 2000000.0; {NUMBER} -1000000 to 1000000"),
        ({"bbox": [1, 2, 3, True]}, f"height of bbox is true; {NUMBER} 0 to 1000000"),
    ],
)
def test_each_fault_of_an_entry(change, expected):
    assert problems_in([GOOD, GOOD | change]) == [f"file.json, entry 1: {expected}"]


def test_numbers_that_are_not_finite_are_placed():
    text = json.dumps([GOOD, GOOD | {"score": float("nan")}, GOOD | {"bbox": [1, float("-inf"), 3, 4]}])
    assert problems_in(text.encode()) == [
        "file.json: NaN occurs, and such numbers 2 times in all; expected finite numbers only",
        "file.json, entry 1: score is nan; expected a finite number",
        f"file.json, entry 2: y of bbox is -inf; {NUMBER} -1000000 to 1000000",
    ]
    assert problems_in(json.dumps([GOOD]).replace("0.5", "1e999").encode()) == [
        "file.json, entry 0: score is inf; expected a finite number"
    ]
    in_ignored_field = json.dumps([GOOD | {"area": float("inf")}]).encode()
    assert problems_in(in_ignored_field) == [
        "file.json: Infinity occurs, and such numbers 1 times in all; expected finite numbers only"
    ]


def test_every_problem_is_listed():
    bad = {"image_id": "7", "category_id": 5, "bbox": 1, "score": None}
    assert problems_in([GOOD, bad, 3, GOOD | {"score": []}]) == [
        f"file.json, entry 1: image_id is the text '7'; {ID} 3",
        "file.json, entry 1: category_id 5 is not the id of a category",
        "file.json, entry 1: score is missing or null; expected a finite number",
        "file.json, entry 3: score is a list of 0; expected a finite number",
        "file.json, entry 2: it is 3; expected an object",
        "file.json, entry 1: bbox is 1; expected [x, y, width, height]",
    ]


def test_of_each_kind_twenty_are_listed_and_the_rest_counted():
    found = problems_in([GOOD | {"image_id": 9}] * 50)
    assert len(found) == 21
    assert found[-1] == "file.json: 50 entries with an unknown image_id in all; the first 20 are listed"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "file.json, row 1: this is not JSON at column 1: Expecting value"),
        (b"[\n{]", None),
        (b"{}", "file.json: it holds an object of 0; expected a list of results, [] if nothing was found"),
        (b"null", "file.json: it holds missing or null; expected a list of results, [] if nothing was found"),
        (b"\xff\xfe[\0]\0", "file.json: byte 0 is 0xff, which is not UTF-8; expected UTF-8 text"),
        (b"[" * 5000, None),
        (b'[{"a":' * 5000, None),
        (b"[" + b"9" * 5000 + b"]", None),
        (
            b"[" + b"{}," * 30_000 + b"{}]",
            "file.json: the file has 30,002 lists and objects; expected at most 10,000",
        ),
        (
            b"[{" + b",".join(b'"%d":1' % i for i in range(40_000)) + b"}]",
            "file.json: the file has 80,000 quotation marks; expected at most 64,000",
        ),
        (b"[" + b"1," * 3000 + b"1]", "file.json: the file has 3,001 results; expected at most 2,000"),
        (b" " * 2_000_000, "file.json: the file has 2,000,000 bytes; expected at most 1,179,648"),
        (b'"' + b"\\ud800" * 10 + b'"', None),
    ],
)
def test_files_that_are_no_results(data, expected):
    (problem,) = problems_in(data)
    assert len(problem) < 300
    if expected:
        assert problem == expected


# Writing


def test_write_and_read_back(tmp_path):
    rng = np.random.default_rng(0)
    found = [
        Found(
            rng.choice([1, 18], n),
            rng.uniform(0, 9, (n, 4)).astype(np.float32),
            rng.random(n).astype(np.float32),
        )
        for n in (3, 0)
    ]
    write(tmp_path / "new" / "a.json", (7, 3), found)
    write(tmp_path / "b.json", (7, 3), found)
    data = (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "new" / "a.json").read_bytes() == data
    predictions, problems = check(data, INDEX)
    assert problems == []
    assert predictions.results.images.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(
        np.array(INDEX.categories)[predictions.results.classes], found[0].categories
    )
    np.testing.assert_array_equal(predictions.results.scores.astype(np.float32), found[0].scores)
    np.testing.assert_array_equal(predictions.boxes.astype(np.float32), found[0].boxes)
    write(tmp_path / "empty.json", (7, 3), [found[1], found[1]])
    assert check((tmp_path / "empty.json").read_bytes(), INDEX)[1] == []


def test_write_refuses_what_check_would(tmp_path):
    path = tmp_path / "a.json"
    for found in (
        [Found([1], [[0, 0, 1, float("nan")]], [0.5])],
        [Found([1.5], [[0, 0, 1, 1]], [0.5])],
        [Found([1], [[0, 0, 1, 1]], [0.5, 0.6])],
        [Found([1], [[0, 0, 1]], [0.5])],
        [],
    ):
        with pytest.raises(BadInput):
            write(path, (7,), found)
    assert list(tmp_path.iterdir()) == []


# Labels


def test_labels_are_read_from_a_file_or_its_content(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    labels = read_labels(tmp_path / "truth.json")
    assert labels.index == INDEX == detection.index_of(labels)
    assert labels.objects.images.tolist() == [1]
    assert labels.objects.classes.tolist() == [1]
    assert labels.objects.crowds.tolist() == [False]
    assert labels.boxes.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(BadInput, match="missing"):
        read_labels(tmp_path / "missing")


def test_a_missing_area_is_that_of_the_box():
    truth = TRUTH | {"annotations": [{"image_id": 7, "category_id": 18, "bbox": [1, 2, 3, 5]}]}
    assert read_labels(json.dumps(truth).encode()).objects.areas.tolist() == [15.0]


def test_labels_list_every_fault():
    sized = "expected whole numbers, and at most 2,147,483,647 pixels"
    assert problems_of(
        {
            "images": [
                {"id": 1, "height": 0, "width": 4},
                {"id": 1, "height": 2, "width": 4},
                {"height": 10**6},
            ],
            "categories": [{"id": "1", "name": 3}, 8],
            "annotations": [0],
        }
    ) == [
        f"truth.json, images, entry 0: height is 0 and width is 4; {sized}",
        f"truth.json, images, entry 2: height is 1000000 and width is missing or null; {sized}",
        "truth.json, categories, entry 0: name is 3; expected text",
        "truth.json, categories, entry 1: it is 8; expected an object",
        "truth.json, images, entry 1: id 1 is given twice, first in images, entry 0; expected once",
        "truth.json, images, entry 2: id is missing or null; expected a whole number",
        "truth.json, categories, entry 0: id is the text '1'; expected a whole number",
    ]
    annotation = TRUTH["annotations"][0]
    bad = annotation | {"image_id": 8, "category_id": None, "area": -1, "iscrowd": 2, "bbox": [1]}
    assert problems_of(TRUTH | {"annotations": [annotation, bad, None]}) == [
        "truth.json, annotations, entry 1: image_id 8 is not the id of an image of the test set",
        f"truth.json, annotations, entry 1: category_id is missing or null; {ID} 1",
        "truth.json, annotations, entry 1: area is -1; expected a number from 0 to 1e+10",
        "truth.json, annotations, entry 1: iscrowd is 2; expected 0 or 1",
        "truth.json, annotations, entry 2: it is missing or null; expected an object",
        "truth.json, annotations, entry 1: bbox is a list of 1; expected [x, y, width, height]",
    ]


def test_labels_that_cannot_score():
    assert problems_of([]) == [
        "truth.json: it holds a list of 0; expected an object with images, categories and annotations"
    ]
    assert problems_of({"images": [], "categories": 3}) == [
        "truth.json: images is a list of 0; expected a list of at least one",
        "truth.json: categories is 3; expected a list of at least one",
        "truth.json: annotations is missing or null; expected a list of at least one",
    ]
    crowd = TRUTH["annotations"][0] | {"iscrowd": 1}
    assert problems_of(TRUTH | {"annotations": [crowd]}) == [
        "truth.json: every annotation is a crowd; expected at least one single object, or nothing is scored"
    ]
    assert problems_of(b"[") == ["truth.json, row 1: this is not JSON at column 2: Expecting value"]


def test_what_does_not_fit_the_index_is_refused():
    labels = read_labels(json.dumps(TRUTH).encode())
    predictions, _ = check(json.dumps([GOOD]).encode(), INDEX)
    small = Index((3,), ((10, 20),), (1,), ("person",))
    with pytest.raises(BadInput) as error:
        detection.score(predictions, labels, small, ["a", "b"])
    assert [str(problem) for problem in error.value.problems] == [
        "labels, images: positions 1 to 1; expected 0 to 0",
        "labels, classes: positions 1 to 1; expected 0 to 0",
        "predictions, images: positions 1 to 1; expected 0 to 0",
        "predictions, classes: positions 1 to 1; expected 0 to 0",
        "class names: 2 names; expected 1",
    ]


def test_index_lists_its_faults():
    with pytest.raises(BadInput) as error:
        Index((3, 1), ((1, 1),), (), ())
    assert [str(problem) for problem in error.value.problems] == [
        "index, images: 2 ids and 1 sizes; expected as many, and at least one",
        "index, images: ids do not ascend; expected each once, in ascending order",
        "index, categories: 0 ids and 0 names; expected as many, and at least one",
    ]
