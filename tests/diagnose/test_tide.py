"""TIDE beside its authors' package, published rules written out slowly, and cases with known answers."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tide_cases import case, flat, numbers, ours, shape_of, theirs, truth_of

from vipriors.diagnose.errors import KINDS, LABELS, Settings
from vipriors.diagnose.predictions import diagnose
from vipriors.problems import BadInput
from vipriors.tasks import detection, instances

B, FAR, SHIFTED = [10, 10, 20, 20], [100, 100, 20, 20], [20, 10, 20, 20]


def truth(*objects):
    """A ground truth of `(image, class, box)`, in images 1 and 2 and classes 1 to 3."""
    entries = [
        {"id": n, "image_id": image, "category_id": kind, "iscrowd": 0, "bbox": box}
        for n, (image, kind, box) in enumerate(objects, start=1)
    ]
    return truth_of(entries, [1, 2], [1, 2, 3])


def found(*results):
    """Results of `(image, class, box, score)`."""
    return [
        {"image_id": image, "category_id": kind, "bbox": box, "score": score}
        for image, kind, box, score in results
    ]


def label_names(diagnosis):
    return [LABELS[label] for label in diagnosis.labels]


ONE, TWO = truth((1, 1, B)), truth((1, 1, B), (2, 1, B))
CROWDED = [(1, 1, [30 * (n % 12), 30 * (n // 12), 20, 20]) for n in range(120)]

GOLDEN = {
    "duplicate": (ONE, found((1, 1, B, 0.9), (1, 1, B, 0.8)), 100, {}, (0, 0), {"Dupe": 1}),
    "costly duplicate": (
        TWO,
        found((1, 1, B, 0.9), (1, 1, B, 0.8), (2, 1, B, 0.7)),
        83.4983,
        {"Dupe": 16.5017},
        (16.5017, 0),
        {"Dupe": 1},
    ),
    "background": (
        TWO,
        found((1, 1, FAR, 0.9), (2, 1, B, 0.8)),
        25.2475,
        {"Bkg": 25.2475, "Miss": 24.7525},
        (25.2475, 24.7525),
        {"Bkg": 1, "Miss": 1},
    ),
    "missed": (TWO, found((1, 1, B, 0.9)), 50.4950, {"Miss": 49.5050}, (0, 49.5050), {"Miss": 1}),
    "shifted": (ONE, found((1, 1, SHIFTED, 0.9)), 0, {"Loc": 100}, (0, 0), {"Loc": 1}),
    "another class": (ONE, found((1, 2, B, 0.9)), 0, {"Cls": 100}, (0, 0), {"Cls": 1}),
    "both": (ONE, found((1, 2, SHIFTED, 0.9)), 0, {}, (0, 0), {"Both": 1, "Miss": 1}),
    "the surer repairs": (
        TWO,
        found((1, 2, B, 0.95), (1, 1, SHIFTED, 0.9), (2, 1, B, 0.5)),
        12.6238,
        {"Cls": 70.8746, "Loc": 12.6238},
        (12.6238, 12.3762),
        {"Cls": 1, "Loc": 1},
    ),
    "a class without objects": (
        ONE,
        found((1, 1, B, 0.9), (1, 2, FAR, 0.8)),
        50,
        {"Bkg": 50},
        (0, 0),
        {"Bkg": 1},
    ),
    "120 in an image": (
        truth(*CROWDED),
        found(*((*one, 0.999 - 0.001 * n) for n, one in enumerate(CROWDED))),
        83.1683,
        {"Miss": 16.8317},
        (0, 16.8317),
        {"Miss": 20},
    ),
    "tied scores": (
        TWO,
        found((1, 1, B, 0.5), (2, 1, FAR, 0.5)),
        50.4950,
        {},
        (0, -0.4950),
        {"Bkg": 1, "Miss": 1},
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    labels, results, ap, delta_ap, special, counts = GOLDEN[name]
    diagnosis = ours(labels, results)
    assert diagnosis.ap == pytest.approx(ap, abs=5e-5)
    if name == "tied scores":  # the missed object is all that is left to repair
        assert diagnosis.delta_ap["Miss"] == 0
    assert diagnosis.delta_ap == pytest.approx(dict.fromkeys(KINDS, 0.0) | delta_ap, abs=5e-5)
    assert tuple(diagnosis.special.values()) == pytest.approx(special, abs=5e-5)
    assert diagnosis.counts == dict.fromkeys(KINDS, 0) | counts


@pytest.mark.parametrize("masks", [False, True], ids=["boxes", "masks"])
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "tied"])
def test_equal_to_the_authors_package(masks, ties):
    compared, of_kind = 0, dict.fromkeys(KINDS, 0)
    for seed in range(60 if masks else 250):
        labels, results = case(seed, masks=masks, ties=ties)
        foreground, background = [(0.5, 0.1), (0.75, 0.1), (0.3, 0.2), (0.5, 0.5)][seed % 4]
        expected = theirs(labels, results, foreground, background, masks)
        diagnosis = ours(labels, results, Settings(foreground, background), masks)
        if expected is not None:
            compared += 1
            np.testing.assert_allclose(numbers(diagnosis), flat(expected), rtol=0, atol=1e-9)
            for kind, count in diagnosis.counts.items():
                of_kind[kind] += count
    assert compared > 40
    assert min(of_kind.values()) > 20, of_kind


def test_more_than_100_in_an_image_and_several_classes_as_in_the_package():
    rng = np.random.default_rng(5)
    objects = [(1, int(rng.integers(1, 4)), [*rng.integers(0, 300, 2).tolist(), 20, 20]) for _ in range(40)]
    results = [
        (1, kind, [x + int(rng.integers(0, 8)), y, 20, 20], round(float(rng.random()), 6))
        for _ in range(4)
        for _, kind, (x, y, _, _) in objects
    ]
    labels, predictions = truth(*objects), found(*results)
    diagnosis = ours(labels, predictions)
    np.testing.assert_allclose(numbers(diagnosis), flat(theirs(labels, predictions)), atol=1e-9)
    names = label_names(diagnosis)
    assert names.count("cut") == 60
    surest_cut = max(r[3] for r, name in zip(results, names, strict=True) if name == "cut")
    assert surest_cut < min(r[3] for r, name in zip(results, names, strict=True) if name != "cut")
    # Corrected, 100 of each class count, and no class has as many here.
    assert "cut" not in label_names(ours(labels, predictions, Settings(corrected=True)))


# A second implementation, for few results of distinct scores in one image and no crowds: rules in words.


def overlap(a, b):
    shared = 1.0
    for side in (0, 1):
        shared *= max(0, min(a[side] + a[side + 2], b[side] + b[side + 2]) - max(a[side], b[side]))
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def slow_ap(points, objects):
    """AP of `(score, class, right)` by the definition; `objects` are counts by class."""
    each = []
    for kind in sorted({*objects, *(point[1] for point in points)}):
        mine = sorted((p for p in points if p[1] == kind), key=lambda p: -p[0])
        if not objects.get(kind):
            if mine:
                each.append(0.0)
            continue
        values = []
        for recall in range(101):
            best = 0.0
            for end in range(1, len(mine) + 1):
                right = sum(p[2] for p in mine[:end])
                if 100 * right >= recall * objects[kind]:
                    best = max(best, right / end)
            values.append(best)
        each.append(100 * sum(values) / 101)
    return sum(each) / len(each) if each else 100.0


def slow_tide(objects, results):
    free, labels, about = dict(enumerate(objects)), {}, {}
    ranked = sorted(range(len(results)), key=lambda r: -results[r][3])
    for r in ranked:
        able = {o: overlap(results[r][2], t[2]) for o, t in free.items() if t[1] == results[r][1]}
        able = {o: v for o, v in able.items() if v >= 0.5}
        if able:
            o = max(able, key=able.get)
            labels[r], about[r] = "hit", o
            del free[o]
    for r in ranked:
        if r in labels:
            continue
        own = {o: overlap(results[r][2], t[2]) for o, t in enumerate(objects) if t[1] == results[r][1]}
        other = {o: overlap(results[r][2], t[2]) for o, t in enumerate(objects) if t[1] != results[r][1]}
        if own and 0.1 <= max(own.values()) <= 0.5:
            labels[r], about[r] = "Loc", max(own, key=own.get)
        elif other and max(other.values()) >= 0.5:
            labels[r], about[r] = "Cls", max(other, key=other.get)
        elif any(value >= 0.5 for o, value in own.items() if o not in free):
            labels[r] = "Dupe"
        elif max([*own.values(), *other.values()]) <= 0.1:
            labels[r] = "Bkg"
        else:
            labels[r] = "Both"
    aimed = {o for r, o in about.items() if labels[r] != "hit"}
    missed = {o for o in free if o not in aimed}
    surest = {}
    for r in ranked:
        if labels[r] in ("Loc", "Cls") and about[r] in free:
            surest.setdefault(about[r], r)

    def count(without=()):
        kept = [t[1] for o, t in enumerate(objects) if o not in without]
        return {kind: kept.count(kind) for kind in kept}

    def point(r):
        return results[r][3], results[r][1], labels[r] == "hit"

    base = slow_ap([point(r) for r in ranked], count())
    delta = {"Miss": slow_ap([point(r) for r in ranked], count(missed)) - base}
    for kind in KINDS[:-1]:
        points = [point(r) for r in ranked if labels[r] != kind]
        points += [(results[r][3], objects[o][1], True) for o, r in surest.items() if labels[r] == kind]
        delta[kind] = max(slow_ap(points, count()) - base, 0)
    sure = [(float(labels[r] == "hit"), results[r][1], labels[r] == "hit") for r in ranked]
    special = {
        "FalsePos": slow_ap(sure, count()) - base,
        "FalseNeg": slow_ap([point(r) for r in ranked], count(free)) - base,
    }
    return base, delta, special, labels, missed


SHAPES = (B, SHIFTED, [12, 10, 20, 20], [10, 10, 20, 40], [60, 60, 20, 20])


def test_the_rules_by_hand_for_few_results():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(400):
        objects = [
            (1, int(rng.integers(1, 3)), SHAPES[int(rng.integers(0, len(SHAPES)))])
            for _ in range(rng.integers(1, 4))
        ]
        scores = rng.permutation(9)[: rng.integers(2, 5)] / 10 + 0.1
        results = [
            (1, int(rng.integers(1, 3)), SHAPES[int(rng.integers(0, len(SHAPES)))], float(score))
            for score in scores
        ]
        base, delta, special, labels, missed = slow_tide(objects, results)
        diagnosis = ours(truth(*objects), found(*results))
        assert label_names(diagnosis) == [labels[r] for r in range(len(results))]
        assert set(np.flatnonzero(diagnosis.missed).tolist()) == missed
        assert diagnosis.ap == pytest.approx(base, abs=1e-9)
        assert diagnosis.delta_ap == pytest.approx(delta, abs=1e-9)
        assert diagnosis.special == pytest.approx(special, abs=1e-9)
        seen |= {*labels.values()}
    assert seen == {*LABELS} - {"ignored", "cut"}


def coco_ap50(labels, results, kind="bbox"):
    api = COCO()
    api.dataset = json.loads(json.dumps(labels))
    for entry in api.dataset["annotations"]:
        entry.setdefault("area", entry["bbox"][2] * entry["bbox"][3])
    api.createIndex()
    evaluation = COCOeval(api, api.loadRes(json.loads(json.dumps(results))), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return 100 * evaluation.stats[1]


def test_ap_is_ap50_of_pycocotools(capsys):
    """By default where nothing is special; corrected always, with ties, crowds, classes without objects."""
    for seed in range(60):
        labels, results = case(seed, ties=True)
        if not results:
            continue
        expected = coco_ap50(labels, results)
        diagnosis = ours(labels, results, Settings(corrected=True))
        assert diagnosis.ap == pytest.approx(expected, abs=1e-9)
        labels, results = case(seed, crowds=False)
        counts = Counter(entry["category_id"] for entry in labels["annotations"])
        # With 20 objects a recall of 0.35 is found, which COCO writes as 0.35000000000000003.
        results = [result for result in results if result["category_id"] in counts]
        rng = np.random.default_rng(seed)
        for entry in [*labels["annotations"], *results]:  # or a result may overlap two objects equally
            entry["bbox"] = [side + float(rng.random()) for side in entry["bbox"]]
        if results and max(counts.values()) < 20:
            assert ours(labels, results).ap == pytest.approx(coco_ap50(labels, results), abs=1e-9)


def test_the_101_recalls_are_coco_s_when_corrected(capsys):
    """7 of 20 objects, a mistake, an eighth: whether 7 / 20 is a recall of 35 % lies in the last digit."""
    boxes = [(1, 1, [30 * n, 10, 20, 20]) for n in range(20)]
    results = found(*((*box, 0.9 - 0.01 * n) for n, box in enumerate(boxes[:7])), (1, 1, [0, 90, 9, 9], 0.5))
    results += found((*boxes[7], 0.4))
    labels = truth(*boxes)
    assert ours(labels, results).ap == pytest.approx(100 * (36 + 5 * 8 / 9) / 101, abs=1e-9)
    corrected = ours(labels, results, Settings(corrected=True)).ap
    assert corrected == pytest.approx(100 * (35 + 6 * 8 / 9) / 101, abs=1e-9)
    assert corrected == pytest.approx(coco_ap50(labels, results), abs=1e-9)


@pytest.mark.parametrize("corrected", [False, True])
def test_what_changes_nothing(corrected):
    settings = Settings(corrected=corrected)
    for seed in range(20):
        labels, results = case(seed)
        expected = numbers(ours(labels, results, settings))
        rng = np.random.default_rng(seed)
        shuffled = {
            "images": [labels["images"][i] for i in rng.permutation(len(labels["images"]))],
            "categories": labels["categories"][::-1],
            "annotations": labels["annotations"],
        }
        rows = [results[i] for i in rng.permutation(len(results))]
        assert numbers(ours(shuffled, rows, settings)) == pytest.approx(expected, abs=1e-9)
        relabelled = json.loads(json.dumps(labels))
        for entry in [*relabelled["annotations"]]:
            entry["category_id"] = 100 - entry["category_id"]
        for entry in relabelled["categories"]:
            entry["id"] = 100 - entry["id"]
        other = [result | {"category_id": 100 - result["category_id"]} for result in results]
        assert numbers(ours(relabelled, other, settings)) == pytest.approx(expected, abs=1e-9)
        monotone = [result | {"score": result["score"] ** 3} for result in results]
        assert numbers(ours(labels, monotone, settings)) == pytest.approx(expected, abs=1e-9)
        moved = json.loads(json.dumps(labels))
        shifted = json.loads(json.dumps(results))
        for entry in [*moved["annotations"], *shifted]:
            entry["bbox"][0] += 32
        assert numbers(ours(moved, shifted, settings)) == pytest.approx(expected, abs=1e-9)


def test_ties_follow_the_images_in_the_file():
    results = found((1, 1, FAR, 0.5), (2, 1, B, 0.5))
    backwards = TWO | {"images": TWO["images"][::-1]}
    assert ours(TWO, results).ap == pytest.approx(theirs(TWO, results)[0])
    assert ours(backwards, results).ap == pytest.approx(theirs(backwards, results)[0])
    assert ours(backwards, results).ap > ours(TWO, results).ap
    corrected = Settings(corrected=True)
    assert ours(backwards, results, corrected).ap == ours(TWO, results, corrected).ap


@pytest.mark.parametrize("corrected", [False, True])
def test_limits(corrected):
    settings = Settings(corrected=corrected)
    perfect = ours(TWO, found((1, 1, B, 0.9), (2, 1, B, 0.8)), settings)
    assert perfect.ap == pytest.approx(100)
    assert {*perfect.delta_ap.values(), *perfect.special.values(), *perfect.counts.values()} == {0}
    nothing = ours(TWO, [], settings)
    assert nothing.ap == 0
    assert nothing.delta_ap == dict.fromkeys(KINDS, 0.0) | {"Miss": 100.0}
    assert nothing.special == {"FalsePos": 0, "FalseNeg": 100}
    assert nothing.missed.all()
    wide = [10, 10, 20, 40]  # an overlap of exactly a half with B
    assert label_names(ours(ONE, found((1, 1, wide, 0.9)), settings)) == ["hit"]
    both = ours(ONE, found((1, 1, B, 0.9), (1, 1, wide, 0.8)), settings)
    assert label_names(both) == ["hit", "Loc"]
    tenth = [10, 10, 20, 200]
    for background, label in ((0.1, "Loc"), (0.1001, "Bkg")):
        one = ours(ONE, found((1, 1, tenth, 0.9)), Settings(0.5, background, corrected))
        assert label_names(one) == [label]
    one = ours(ONE, found((2, 1, B, 0.9)), settings)  # in an image without objects
    assert (label_names(one), one.counts["Miss"]) == (["Bkg"], 1)


def test_thresholds_that_make_no_sense_are_refused():
    for foreground, background in ((0.5, 0.0), (0.1, 0.5), (1.1, 0.1), (float("nan"), 0.1)):
        with pytest.raises(BadInput, match="expected 0 < background <= foreground <= 1"):
            Settings(foreground, background)


def test_each_correction():
    """The differences that the docstring numbers, as far as they are not those of AP50."""
    corrected = Settings(corrected=True)
    labels, results, *_ = GOLDEN["a class without objects"]
    assert ours(labels, results, corrected).ap == pytest.approx(100)
    assert ours(labels, results, corrected).delta_ap["Bkg"] == 0
    # 2: class 2 has one object, missed, and no results; without it the mean would be over class 1 alone.
    labels, results = truth((1, 1, B), (1, 1, FAR), (1, 2, [60, 60, 9, 9])), found((1, 1, B, 0.9))
    assert ours(labels, results, corrected).delta_ap["Miss"] == pytest.approx(100 - 50.4950 / 2, abs=1e-3)
    # 3
    labels, results, *_ = GOLDEN["tied scores"]
    assert ours(labels, results, corrected).special["FalseNeg"] > 0
    # 5 and 6: of two results one lies half in the crowd, the other wholly.
    labels = truth((1, 1, B), (2, 1, B))
    labels["annotations"][1]["iscrowd"] = 1
    results = found((2, 1, B, 0.9), (2, 1, [0, 10, 20, 20], 0.8), (1, 1, B, 0.5))
    plain = ours(labels, results)
    assert label_names(plain) == ["Bkg", "Bkg", "hit"]
    assert plain.ignored.tolist() == [True, False, False]
    better = ours(labels, results, corrected)
    assert label_names(better) == ["ignored", "ignored", "hit"]
    assert (better.ap, better.counts["Bkg"]) == (pytest.approx(100), 0)


def test_false_negatives_never_cost_less_than_nothing_when_corrected():
    for seed in range(60):
        labels, results = case(seed, ties=True)
        diagnosis = ours(labels, results, Settings(corrected=True))
        assert diagnosis.special["FalseNeg"] >= -1e-9
        assert diagnosis.special["FalsePos"] >= -1e-9


def test_what_each_result_is_about():
    labels = truth((1, 1, B), (1, 2, FAR), (2, 3, B))
    results = found((1, 1, SHIFTED, 0.4), (1, 1, B, 0.9), (1, 1, FAR, 0.8), (2, 1, [60, 60, 5, 5], 0.7))
    diagnosis = ours(labels, results)
    assert label_names(diagnosis) == ["Loc", "hit", "Cls", "Bkg"]
    assert diagnosis.about.tolist() == [0, 0, 1, -1]
    assert diagnosis.overlaps == pytest.approx([1 / 3, 1, 1, 0])
    assert diagnosis.missed.tolist() == [False, False, True]
    assert diagnosis.to_json()["hits"] == 1


def test_labels_and_predictions_of_different_tasks_are_refused():
    labels = detection.read_labels(json.dumps(ONE).encode())
    masks, problems = instances.check(b"[]", labels.index)
    assert problems == []
    with pytest.raises(BadInput, match="of another task"):
        diagnose(labels, masks)


# A planted error raises its own ΔAP.


def perfect_set(seed):
    """Objects of three classes far apart in 30 images, and every one found with some score."""
    rng = np.random.default_rng(seed)
    objects = []
    for image, cell in itertools.product(range(1, 31), range(4)):
        objects.append((image, int(rng.integers(1, 4)), [100 * cell, 100, 20, 20]))
    results = [
        (*one, float(score)) for one, score in zip(objects, rng.uniform(0.3, 1, len(objects)), strict=True)
    ]
    return objects, results, rng


def planted(kind, rate, seed):
    objects, results, rng = perfect_set(seed)
    spoiled = rng.permutation(len(results))[: round(rate * len(results))]
    kept = [result for r, result in enumerate(results) if r not in set(spoiled)]
    for image, class_, (x, y, w, h), score in (results[r] for r in spoiled):
        whole = (image, class_, [x, y, w, h], score)
        kept += {
            "Cls": [(image, class_ % 3 + 1, [x, y, w, h], score)],
            "Loc": [(image, class_, [x + 10, y, w, h], score)],
            "Both": [whole, (image, class_ % 3 + 1, [x + 10, y, w, h], score / 2 + 0.4)],
            "Dupe": [whole, (image, class_, [x, y, w, h - 1], score - 0.01)],
            "Bkg": [whole, (image, class_, [x, y + 50, w, h], score)],
            "Miss": [],
        }[kind]
    entries = [
        {"id": n, "image_id": image, "category_id": class_, "iscrowd": 0, "bbox": box}
        for n, (image, class_, box) in enumerate(objects, start=1)
    ]
    return ours(truth_of(entries, list(range(1, 31)), [1, 2, 3]), found(*kept))


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_error_is_the_one_diagnosed(kind):
    curve = [planted(kind, rate, seed=3) for rate in (0.0, 0.1, 0.2, 0.4)]
    costs = [diagnosis.delta_ap[kind] for diagnosis in curve]
    assert costs[0] == 0
    assert costs == sorted(costs)
    assert costs[-1] > 5
    for diagnosis in curve:
        others = {name: value for name, value in diagnosis.delta_ap.items() if name != kind}
        assert max(others.values()) < 0.5, others


def test_masks_and_boxes_of_the_same_shapes_agree():
    for seed in range(10):
        labels, results = case(seed)
        as_masks = [entry | shape_of(entry["bbox"], True) for entry in results]
        drawn = [entry | shape_of(entry["bbox"], True) for entry in labels["annotations"]]
        expected = numbers(ours(labels, results))
        assert numbers(ours(labels | {"annotations": drawn}, as_masks, masks=True)) == pytest.approx(expected)
