"""Whatever bytes come in, `check` answers; and what it accepts is what json and pycocotools read."""

import json
import os
import random

import numpy as np
import pytest
from coco_cases import encoded, uncompressed
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from vipriors.problems import BadInput
from vipriors.tasks import detection, instances
from vipriors.tasks.coco import Index

FILES = int(os.environ.get("VIPRIORS_FUZZ", "8000"))
INDEX = Index((1, 5, 12), ((6, 9), (30, 8), (4, 4)), (2, 3), ("a", "b"))
PIECES = [
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b'"',
        b":",
        b"-",
        b".",
        b"\\",
        b"\0",
        b"\xff",
        b"\xc2\xa0",
        b"7",
        b"e9",
        b"1e999",
    ),
    *(b"NaN", b"null", b"true", b'"0.jpg"', b"[]", b"{}", b"0", b"1" * 30, b"\\ud800", b"\n"),
]


def good_file(rng, task):
    entries = []
    for _ in range(rng.randrange(4)):
        place = rng.randrange(3)
        entry = {"image_id": INDEX.ids[place], "category_id": rng.choice(INDEX.categories)}
        entry["score"] = rng.choice([0, 1, 0.5, rng.random(), -3])
        if task is detection:
            entry["bbox"] = [rng.choice([0, 1, 2.5, rng.uniform(0, 9)]) for _ in range(4)]
        else:
            mask = np.array(
                [[rng.random() < 0.4 for _ in range(INDEX.sizes[place][1])]] * INDEX.sizes[place][0]
            )
            mask[: rng.randrange(4)] = 0
            entry["segmentation"] = rng.choice([encoded, uncompressed])(mask)
        entries.append(entry)
    return json.dumps(entries, indent=rng.choice([None, 1])).encode()


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at, end = sorted(rng.choices(range(len(data) + 1), k=2))
        end = min(end, at + rng.choice([1, 1, 3, 40]))
        change = rng.choice(["flip", "digit", "digit", "insert", "insert", "delete", "duplicate", "truncate"])
        if change == "flip" and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif change == "digit" and (digits := [i for i, byte in enumerate(data) if 48 <= byte <= 57]):
            data[rng.choice(digits)] = rng.choice(b"0123456789")
        elif change == "insert":
            data[at:at] = rng.choice(PIECES)
        elif change == "delete":
            del data[at:end]
        elif change == "duplicate":
            data[at:at] = data[at:end]
        elif change == "truncate" and rng.random() < 0.3:
            del data[at:]
    return bytes(data)


def agrees_with_other_readers(data, task):
    """Checks `data`; if accepted, compares with an independent reading. Returns whether it was accepted."""
    predictions, problems = task.check(data, INDEX)
    assert (predictions is None) == bool(problems)
    assert all(problem.place and problem.message and len(str(problem)) < 400 for problem in problems)
    assert len(problems) <= 21 * 8
    if predictions is None:
        return False
    entries = json.loads(data.decode("utf-8-sig"))
    results = predictions.results
    assert [INDEX.ids[image] for image in results.images] == [entry["image_id"] for entry in entries]
    assert [INDEX.categories[class_] for class_ in results.classes] == [e["category_id"] for e in entries]
    assert results.scores.tolist() == [float(entry["score"]) for entry in entries]
    assert np.isfinite(results.scores).all()
    if task is detection:
        assert predictions.boxes.tolist() == [entry["bbox"] for entry in entries]
        assert np.isfinite(predictions.boxes).all() and (predictions.boxes[:, 2:] >= 0).all()
    else:
        for place, entry in enumerate(entries):
            runs = entry["segmentation"]
            size = list(INDEX.sizes[results.images[place]])
            assert runs["size"] == size
            runs = mask_api.frPyObjects(runs, *size) if isinstance(runs["counts"], list) else runs
            flat = np.zeros(size[0] * size[1], dtype=np.uint8)
            masks = predictions.masks
            for run in range(masks.offsets[place], masks.offsets[place + 1]):
                flat[masks.starts[run] : masks.ends[run]] = 1
            np.testing.assert_array_equal(flat, mask_api.decode(runs).ravel(order="F"))
    return True


@pytest.mark.parametrize("task", [detection, instances])
def test_mutated_files(task):
    accepted = 0
    for seed in range(FILES // 2):
        rng = random.Random(seed)
        accepted += agrees_with_other_readers(mutated(rng, good_file(rng, task)), task)
    assert FILES // 2 * 0.03 < accepted < FILES // 2 * 0.6  # the mutations reach both answers


@pytest.mark.parametrize("task", [detection, instances])
def test_good_files_are_accepted(task):
    for seed in range(100):
        assert agrees_with_other_readers(good_file(random.Random(seed), task), task)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from([1, 2, 5])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(
            st.sampled_from(
                ["image_id", "category_id", "score", "bbox", "segmentation", "size", "counts", "id", "images"]
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_and_any_json(data):
    for task in (detection, instances):
        agrees_with_other_readers(data, task)


PARTS = st.fixed_dictionaries(
    {
        "images": st.one_of(JSON, st.just([{"id": 1, "height": 4, "width": 5}])),
        "categories": st.one_of(JSON, st.just([{"id": 1, "name": "a"}])),
        "annotations": st.one_of(
            JSON,
            st.lists(
                st.fixed_dictionaries(
                    {"image_id": st.just(1), "category_id": st.just(1), "bbox": JSON, "segmentation": JSON},
                    optional={"iscrowd": JSON, "area": JSON},
                ),
                min_size=1,
                max_size=3,
            ),
        ),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(JSON, PARTS))
def test_labels_of_any_json(value):
    for task in (detection, instances):
        try:
            labels = task.read_labels(json.dumps(value).encode())
        except BadInput as error:
            assert error.problems
        else:
            assert len(labels.objects.images) == len(value["annotations"])
