import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from vipriors.problems import BadInput
from vipriors.tasks.actions import (
    MISSING,
    ClipIndex,
    Predictions,
    check,
    index_of,
    open_truth,
    read_classes,
    read_labels,
    score,
    write,
)

INDEX = ClipIndex(("video_test_0000001.avi", "video_test_0000002.avi", "My clip 2.avi"), 101)
GOOD = (
    b"video_test_0000001.avi 24 7 101 3 88\n"
    b"video_test_0000002.avi 1 2 3 4 5\n"
    b"My clip 2.avi 101 100 99 98 97\n"
)
READ = [[24, 7, 101, 3, 88], [1, 2, 3, 4, 5], [101, 100, 99, 98, 97]]
NAMES = [f"class {class_}" for class_ in range(1, 102)]
NO_CLASS = "is no class; expected 1 to 101 in digits without sign or leading zeros"
NO_ROW = [f"file.txt: no row for {id_!r}; expected one per clip" for id_ in INDEX.ids]


def problems_in(data, index=INDEX):
    predictions, problems = check(data, index, "file.txt")
    assert predictions is None
    return [str(problem) for problem in problems]


def many(clips, classes=10, first=1):
    return ClipIndex(tuple(f"clip_{i}.avi" for i in range(clips)), classes, first)


# Good files


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD.rstrip(b"\n"),
        GOOD.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"),
        b"".join(reversed(GOOD.splitlines(keepends=True))),
    ],
)
def test_published_form(data):
    predictions, problems = check(data, INDEX)
    assert problems == []
    assert predictions.classes.tolist() == READ


def test_only_the_first_five_of_more_classes_are_kept():
    predictions, problems = check(GOOD.replace(b"88", b"88 1 2").replace(b"97", b"97 96"), INDEX)
    assert problems == []
    assert predictions.classes.tolist() == READ


def test_classes_may_start_at_0():
    predictions, problems = check(b"clip_0.avi 0 1 2 3 9\n", many(1, 10, first=0))
    assert problems == []
    assert predictions.classes.tolist() == [[0, 1, 2, 3, 9]]
    expected = "class '10' is out of range; expected 0 to 9"
    assert problems_in(b"clip_0.avi 0 1 2 3 10\n", many(1, 10, first=0)) == [f"file.txt, row 1: {expected}"]


def test_of_fewer_than_five_classes_all_are_given():
    predictions, problems = check(b"clip_0.avi 3 1 2\n", many(1, 3))
    assert problems == []
    assert predictions.classes.tolist() == [[3, 1, 2]]
    assert problems_in(b"clip_0.avi 3 1\n", many(1, 3)) == [
        "file.txt, row 1: the row gives 2 classes; expected 3, separated by single spaces"
    ]


def test_what_stands_before_the_last_five_fields_is_the_name():
    index = ClipIndex(("a", "a 1", "a 1 2", "3 4 5 6 7"), 9)
    data = b"a 1 2 1 2 3 4 5\na 1 2 3 4 5\na 1 9 8 7 6 5\n3 4 5 6 7 3 4 5 6 7\n"
    predictions, problems = check(data, index)
    assert problems == []
    assert predictions.classes.tolist() == [
        [1, 2, 3, 4, 5],
        [9, 8, 7, 6, 5],
        [1, 2, 3, 4, 5],
        [3, 4, 5, 6, 7],
    ]


def test_with_more_classes_the_longest_name_is_taken():
    index = ClipIndex(("a", "a 1"), 9)
    assert check(b"a 1 9 8 7 6 5 4 3\na 2 3 4 5 6 7\n", index)[0].classes.tolist() == [
        [2, 3, 4, 5, 6],
        [9, 8, 7, 6, 5],
    ]


# Bad files


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "the file is empty; expected one row per test clip"),
        (b"\xef\xbb\xbf", "the file is empty; expected one row per test clip"),
        (
            GOOD.decode().encode("utf-16"),
            "the file is UTF-16 (its byte order mark is at byte 0); expected UTF-8",
        ),
        (GOOD[:30] + b"\0" + GOOD[30:], "NUL at byte 30; expected UTF-8 text"),
        (
            GOOD.replace(b"My", "Mü".encode("latin-1")),
            "byte 71 is 0xfc, which is not UTF-8; expected UTF-8 text",
        ),
        (GOOD.replace(b"\n", b"\r"), "lines end in CR alone; expected LF or CRLF"),
        (b"x" * 2_000_000, "the file has 2,000,000 bytes; expected at most 1,301,894"),
        (b"a\n" * 1007, "the file has 1,007 lines; expected at most 1,006"),
    ],
)
@pytest.mark.parametrize("allow_missing", [False, True])
def test_files_that_cannot_be_read(data, expected, allow_missing):
    predictions, problems = check(data, INDEX, "file.txt", allow_missing=allow_missing)
    assert predictions is None
    assert [str(problem) for problem in problems] == [f"file.txt: {expected}"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("0", "class '0' is out of range; expected 1 to 101"),
        ("102", "class '102' is out of range; expected 1 to 101"),  # the published chance baseline has it
        ("-1", "class '-1' is out of range; expected 1 to 101"),
        ("9" * 50, f"class {'9' * 50!r} is out of range; expected 1 to 101"),
        *(
            (text, f"{text!r} {NO_CLASS}")
            for text in ["24.0", "1e1", "nan", "inf", "", "+24", "024", "-0", "24,"]
        ),
        *(
            (text, f"{text!r} {NO_CLASS}")
            for text in ["٢", "1_0", "0x1", "24\t", "ApplyEyeMakeup", "\x1b[31m"]
        ),
        ("88", "class 88 is given at places 1 and 5; expected different classes"),
    ],
)
def test_classes(found, expected):
    assert problems_in(GOOD.replace(b" 24", b" " + found.encode())) == [f"file.txt, row 1: {expected}"]


def test_a_space_at_the_end_is_named():
    assert problems_in(GOOD.replace(b"88\n", b"88 \n")) == [f"file.txt, row 1: '' {NO_CLASS}"]


def test_every_problem_is_listed_with_its_row():
    data = (
        b"video_test_0000001.avi 1 2 3 4\n"
        b"\n"
        b"other.avi 1 2 3 4 5\n"
        b"My clip 2.avi 1 1 cat 102 2 2 2\n"
        b"video_test_0000001.avi 1 2 3 4 5\n"
        b"video_test_0000002.avi\t1\t2\t3\t4\t5\n"
        b"My clip.avi\n" + b"9" * 2000 + b"\n"
    )
    assert problems_in(data) == [
        "file.txt, row 1: the row gives 4 classes; expected 5, separated by single spaces",
        "file.txt, row 6: the row gives 0 classes; expected 5, separated by single spaces",
        "file.txt, row 7: the row gives 1 classes; expected 5, separated by single spaces",
        "file.txt, row 2: the row is empty; expected a clip and 5 classes",
        "file.txt, row 3: 'other.avi' is not an id of the test set",
        "file.txt, row 6: 'video_test_0000002.avi\\t1\\t2\\t3\\t4\\t5' is not an id of the test set",
        "file.txt, row 7: 'My' is not an id of the test set",
        "file.txt, row 4: class 1 is given at places 1 and 2; expected different classes",
        "file.txt, row 4: class 2 is given at places 5 and 6; expected different classes",
        "file.txt, row 4: class 2 is given at places 5 and 7; expected different classes",
        f"file.txt, row 4: 'cat' {NO_CLASS}",
        f"file.txt, row 7: 'clip.avi' {NO_CLASS}",
        "file.txt, row 4: class '102' is out of range; expected 1 to 101",
        f"file.txt, row 5: {INDEX.ids[0]!r} is given twice, first in row 1; expected once",
        "file.txt, row 8: the row has 2,001 bytes; expected at most 1,298",
        NO_ROW[1],
    ]


def test_of_each_kind_twenty_are_listed_and_the_rest_counted():
    index = many(100)
    found = problems_in("".join(f"clip_{i}.avi 11 1 2 3 4\n" for i in range(50)).encode(), index)
    out_of_range = [f"file.txt, row {i + 1}: class '11' is out of range; expected 1 to 10" for i in range(20)]
    missing = [f"file.txt: no row for 'clip_{i}.avi'; expected one per clip" for i in range(50, 70)]
    assert found == [
        *out_of_range,
        "file.txt: 50 classes out of range in all; the first 20 are listed",
        *missing,
        "file.txt: 50 clips without a prediction in all; the first 20 are listed",
    ]


def test_messages_stay_short_whatever_the_file_holds():
    index = many(3, classes=10_000)
    rows = [
        b" " * 30_000,
        b"\xc3\xa4" * 10_000,
        b"clip_0.avi " + b"1" * 50_000,
        b"clip_1.avi" + b" 7" * 20_000,
    ]
    _, problems = check(b"\n".join(rows), index)
    assert problems
    assert all(len(str(problem)) < 300 for problem in problems)


# The published scorers' faults


def test_a_missing_clip_is_no_random_class():
    data = GOOD.splitlines(keepends=True)[0]
    assert problems_in(data) == NO_ROW[1:]
    results = set()
    for _ in range(5):
        predictions, problems = check(data, INDEX, allow_missing=True)
        assert problems == []
        assert predictions.classes.tolist() == [READ[0], [MISSING] * 5, [MISSING] * 5]
        results.add(json.dumps(score(predictions, [24, 1, 101], INDEX, NAMES).to_json()))
    (result,) = results
    assert json.loads(result)["scores"] == pytest.approx(
        dict.fromkeys(["top1", "top3", "top5", "accuracy"], 1 / 3)
    )


@pytest.mark.parametrize("label", [1, 50, 101])
def test_without_predictions_the_score_is_0(label):
    index = many(500, 101)
    predictions, problems = check(b"clip_0.avi 2 3 4 5 6\n", index, allow_missing=True)
    assert problems == []
    found = score(predictions, np.full(500, label), index, NAMES)
    assert [estimate.value for estimate in found.estimates.values()] == [0, 0, 0, 0]


def test_the_last_class_counts():
    index = many(400, 400)
    rows = np.array(
        [[class_, *(class_ + other) % 400] for class_ in range(400) for other in [np.arange(1, 5)]]
    )
    labels = np.arange(400) + 1
    names = ["c"] * 400
    assert score(Predictions(rows + 1), labels, index, names).estimates["top1"].value == 1
    rows[399, 0], rows[399, 1] = 0, 399  # class 400 is second now
    found = score(Predictions(rows + 1), labels, index, names).estimates
    assert found["top1"].value == pytest.approx(399 / 400, abs=1e-12)
    assert found["top3"].value == 1


def test_a_row_without_classes_shifts_no_other():
    data = GOOD.replace(b" 1 2 3 4 5\n", b"\n")
    assert problems_in(data) == [
        "file.txt, row 2: the row gives 0 classes; expected 5, separated by single spaces"
    ]


def test_a_second_guess_is_refused():
    assert problems_in(GOOD + b"My clip 2.avi 1 2 3 4 5\n") == [
        "file.txt, row 4: 'My clip 2.avi' is given twice, first in row 3; expected once"
    ]


def test_the_same_predictions_give_the_same_score_in_any_order_of_rows():
    results = set()
    for order in permutations(GOOD.splitlines()):
        predictions, _ = check(b"\n".join(order), INDEX)
        results.add(json.dumps(score(predictions, [24, 3, 9], INDEX, NAMES).to_json()))
    assert len(results) == 1


# Writing


def test_write_gives_the_published_bytes(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write(path, INDEX.ids, np.array(READ))
    assert path.read_bytes() == GOOD
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 1), st.integers(0, 2**32 - 1))
def test_round_trip(tmp_path_factory, classes, clips, first, seed):
    rng = np.random.default_rng(seed)
    index = many(clips, classes, first)
    rows = np.array([rng.permutation(classes)[:5] + first for _ in range(clips)])
    path = tmp_path_factory.mktemp("written") / "file.txt"
    write(path, index.ids, rows)
    predictions, problems = check(path.read_bytes(), index)
    assert problems == []
    np.testing.assert_array_equal(predictions.classes, rows)


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        (
            np.array(READ, dtype=float),
            "{path}: predictions have shape (3, 5) of float64; expected (3, 5) integers",
        ),
        ([24, 1, 101], "{path}: predictions have shape (3,) of int64; expected (3, 5) integers"),
        (READ[:2], "{path}: predictions have shape (2, 5) of int64; expected (3, 5) integers"),
        ([[1, 2, 3, 4, -1]] * 3, "{path}, row 1: class '-1' is out of range; expected 1 to 4"),
        (
            [[1, 2, 3, 4, 1]] * 3,
            "{path}, row 1: class 1 is given at places 1 and 5; expected different classes",
        ),
        ([[7], [9], [7]], "{path}, row 1: the row gives 1 classes; expected 5, separated by single spaces"),
        ([[10**12, 0, 1, 2, 3]] * 3, "index: 1000000000001 classes; expected 1 to 1000000"),
    ],
)
def test_write_refuses_what_check_would_refuse(tmp_path, predictions, expected):
    path = tmp_path / "file.txt"
    path.write_bytes(GOOD)
    with pytest.raises(BadInput) as error:
        write(path, INDEX.ids, predictions)
    assert str(error.value.problems[0]) == expected.format(path=path)
    assert path.read_bytes() == GOOD


# Scores


@st.composite
def outcomes(draw):
    classes = draw(st.integers(1, 9))
    clips = draw(st.integers(1, 30))
    first = draw(st.integers(0, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = np.array([rng.permutation(classes)[:5] + first for _ in range(clips)])
    rows[rng.random(clips) < draw(st.sampled_from([0, 0.3]))] = MISSING
    return many(clips, classes, first), rng.integers(first, first + classes, clips), rows


@settings(max_examples=80, deadline=None)
@given(outcomes())
def test_scores_equal_their_definition(case):
    index, labels, rows = case
    found = score(Predictions(rows), labels, index, ["c"] * index.classes)
    expected = {
        "accuracy": sum(row[0] == label for row, label in zip(rows, labels, strict=True)) / len(labels)
    }
    for k in [1, 3, 5]:
        if k > 1 and k >= index.classes:
            continue
        shares = []
        for class_ in sorted(set(labels.tolist())):
            own = [row[:k].tolist() for row, label in zip(rows, labels, strict=True) if label == class_]
            shares.append(sum(class_ in row for row in own) / len(own))
            entry = found.details["per_class"][class_ - index.first]
            assert entry["n"] == len(own)
            assert entry[f"top{k}"] == pytest.approx(shares[-1], abs=1e-9)
        expected[f"top{k}"] = sum(shares) / len(shares)
    values = {name: estimate.value for name, estimate in found.estimates.items()}
    assert values == pytest.approx(expected, abs=1e-9)
    assert found.details["n_predicted"] == (rows[:, 0] != MISSING).sum()


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_equal_sklearn_as_the_published_scorer_uses_it():
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(1, 102), rng.integers(1, 102, 900)])
    rows = np.array([rng.permutation(101)[:5] + 1 for _ in labels])
    rows[rng.random(len(labels)) < 0.5, 2] = 0
    rows = np.where(rows == 0, labels[:, np.newaxis], rows)
    rows = np.array([row if len(set(row)) == 5 else np.roll(np.arange(5), 2) + 1 for row in rows])
    found = score(Predictions(rows), labels, many(len(labels), 101), NAMES).estimates
    for k in [1, 3, 5]:
        predicted = np.where((rows[:, :k] == labels[:, np.newaxis]).any(axis=1), labels, rows[:, 0])
        wrong_by_chance = (predicted == labels) & ~(rows[:, :k] == labels[:, np.newaxis]).any(axis=1)
        assert not wrong_by_chance.any()
        confusion = metrics.confusion_matrix(labels, predicted, labels=range(1, 102)).astype(float)
        expected = np.mean(np.diag(confusion) / confusion.sum(axis=1))
        assert found[f"top{k}"].value == pytest.approx(expected, abs=1e-9)
    assert found["top1"].value == pytest.approx(metrics.balanced_accuracy_score(labels, rows[:, 0]), abs=1e-9)
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(labels, rows[:, 0]), abs=1e-9)
    assert found["top3"].value > 0.3 > found["top1"].value


def test_intervals_hold_their_values():
    rng = np.random.default_rng(1)
    labels = rng.integers(1, 11, 400)
    rows = np.array([rng.permutation(10)[:5] + 1 for _ in labels])
    for estimate in score(Predictions(rows), labels, many(400), NAMES[:10]).estimates.values():
        assert estimate.low < estimate.value < estimate.high
        spread = 2 * 1.96 * (estimate.value * (1 - estimate.value) / 400) ** 0.5
        assert estimate.high - estimate.low == pytest.approx(spread, rel=0.15)


def test_score_is_json_and_names_its_headline():
    index = ClipIndex(("a.avi", "b.avi", "c.avi"), 4)
    rows = np.array([[4, 1, 2, 3], [MISSING] * 4, [1, 2, 3, 4]])
    found = score(Predictions(rows), {"b.avi": 1, "a.avi": 4, "c.avi": 4}, index, "ABCD")
    assert (found.task, found.headline) == ("actions", "top1")
    assert list(found.estimates) == ["top1", "top3", "accuracy"]
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["details"] == {
        "n_test": 3,
        "n_predicted": 2,
        "classes": ["A", "B", "C", "D"],
        "per_class": [
            {"class": "A", "n": 1, "top1": 0.0, "top3": 0.0},
            {"class": "B", "n": 0, "top1": None, "top3": None},
            {"class": "C", "n": 0, "top1": None, "top3": None},
            {"class": "D", "n": 2, "top1": 0.5, "top3": 0.5},
        ],
        "confusion": [[0, 0, 0, 0, 1], [0] * 5, [0] * 5, [1, 0, 0, 1, 0]],
    }


def test_what_does_not_fit_the_index_is_refused():
    with pytest.raises(BadInput) as error:
        score(Predictions(np.array(READ) + 1), [1, 1, 1], INDEX, "ab")
    assert [str(problem) for problem in error.value.problems] == [
        "predictions, classes: classes 2 to 102; expected 1 to 101, or -1 for none",
        "class names: 2 names; expected 101",
    ]
    with pytest.raises(BadInput, match=r"shape \(3, 4\) of int64; expected \(3, 5\) integers"):
        score(Predictions(np.array(READ)[:, :4]), [1, 1, 1], INDEX, NAMES)
    with pytest.raises(BadInput) as error:
        score(Predictions(np.array(READ)), [0, 101, 102], INDEX, NAMES)
    assert [str(problem) for problem in error.value.problems] == [
        "labels: 'video_test_0000001.avi' has class 0; expected 1 to 101",
        "labels: 'My clip 2.avi' has class 102; expected 1 to 101",
    ]


# Index and labels


def test_the_index_tells_nothing_of_the_labels_but_their_range():
    labels = {"d.avi": 1, "b.avi": 2, "a.avi": 2, "c.avi": 5}
    assert index_of(labels) == ClipIndex(("a.avi", "b.avi", "c.avi", "d.avi"), 5, 1)
    assert index_of(labels, 101, 0) == ClipIndex(("a.avi", "b.avi", "c.avi", "d.avi"), 101, 0)


def test_index_faults():
    with pytest.raises(BadInput, match="index: the first class is -1; expected 0 or more"):
        ClipIndex(("a",), 5, -1)
    with pytest.raises(BadInput, match="no ids; expected at least one test image"):
        index_of({})


def test_labels_as_ucf101_has_them():
    data = b"video_validation_0000001.avi 100\r\nMy clip 2.avi 7\r\n"
    assert read_labels(data) == {"video_validation_0000001.avi": 100, "My clip 2.avi": 7}


def test_labels_as_kinetics_has_them():
    classes = read_classes(b"label,idx\nabseiling,1\npetting animal (not cat),2\n")
    assert classes == {"abseiling": 1, "petting animal (not cat)": 2}
    data = b"label,videoid,split\npetting animal (not cat),vpwQCLoqEC,val\nabseiling,QZeojqCqGa,val\n"
    assert read_labels(data, classes=classes) == {"vpwQCLoqEC": 2, "QZeojqCqGa": 1}
    assert read_labels(b"\xef\xbb\xbflabel,videoid\r\n3,a\r\n", classes=None) == {"a": 3}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ["l: the file is empty; expected one row per clip"]),
        (b"label,videoid\n", ["l: there are no rows; expected one for each clip"]),
        (b"a.avi 1\na.avi 2\n", ["l, row 2: 'a.avi' is given twice, first in row 1; expected once"]),
        (
            b"a.avi x\nb.avi 01\n 3\nc\n",
            [
                "l, row 1: 'x' is no class; expected digits without sign, spaces or leading zeros",
                "l, row 2: '01' is no class; expected digits without sign, spaces or leading zeros",
                "l, row 3: the clip is empty; expected its id",
                "l, row 4: 'c' has no space; expected a clip, a space and its class, or first the header "
                "'label,videoid'",
            ],
        ),
        (
            b"label,videoid\nabseiling,a\n1,b,test\n",
            [
                "l, row 2: 'abseiling' is no class; expected digits without sign, spaces or leading zeros",
                "l, row 3: the row has 3 fields: '1,b,test'; expected 2 fields",
            ],
        ),
    ],
)
def test_faults_of_labels(data, expected):
    with pytest.raises(BadInput) as error:
        read_labels(data, "l")
    assert [str(problem) for problem in error.value.problems] == expected


def test_faults_of_class_names():
    with pytest.raises(BadInput) as error:
        read_classes(b"label,idx\nrun,1\nrun,2\nwalk,1\nsit,x\n", "c")
    assert [str(problem) for problem in error.value.problems] == [
        "c, row 3: 'run' is given twice, first in row 2; expected once",
        "c, row 4: 1 is given twice, first in row 2; expected once",
        "c, row 5: 'x' is no number; expected digits without sign, spaces or leading zeros",
    ]
    with pytest.raises(BadInput, match="there are no rows; expected one for each class"):
        read_classes(b"label,idx\n")
    with pytest.raises(BadInput, match="row 2: 'sit' is no class; expected one of the 1 names of classes"):
        read_labels(b"label,videoid\nsit,a\n", classes={"run": 1})


def test_truth_with_named_classes(tmp_path):
    file = tmp_path / "test.csv"
    file.write_text("label,videoid\nrun,a\nwalk,b\nrun,c\n")
    truth = open_truth(file, ["walk", "run"])
    assert truth.labels == {"a": 2, "b": 1, "c": 2} and truth.classes == ("walk", "run")
    with pytest.raises(BadInput, match=r"row 2: .run. is no class"):
        open_truth(file, ["walk", "jump"])
