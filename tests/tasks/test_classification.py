import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from vipriors.problems import BadInput
from vipriors.tasks import Index
from vipriors.tasks.classification import MISSING, Predictions, check, score, write

INDEX = Index(("img_0.JPEG", "img_1.JPEG", "img_2.JPEG"), 3)
GOOD = b"Image IDs,Predictions\nimg_0.JPEG,2\nimg_1.JPEG,0\nimg_2.JPEG,1\n"
GOOD_2 = (
    b"Image IDs,Predictions,P0,P1,P2\n"
    b"img_0.JPEG,2,0.1,0.2,0.7\nimg_1.JPEG,0,0.5,0.5,0\nimg_2.JPEG,1,0,1.0,1e-9\n"
)
OPTIONS = "expected 'Image IDs,Predictions' (2 columns) or 'Image IDs,Predictions,P0,P1,P2' (5 columns)"
NO_CLASS = "is no class; expected 0 to 2 in digits without sign, spaces or leading zeros"
NO_ROW = [f"file.csv: no row for {id_!r}; expected one per image" for id_ in INDEX.ids]
UTF16 = "the file is UTF-16 (its byte order mark is at byte 0); expected UTF-8"


def problems_in(data, index=INDEX):
    predictions, problems = check(data, index, "file.csv")
    assert predictions is None
    return [str(problem) for problem in problems]


def many(images, classes=10):
    return Index(tuple(f"img_{i}.JPEG" for i in range(images)), classes)


# Good files


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD.rstrip(b"\n"),
        GOOD.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"),
        b"Image IDs,Predictions\nimg_2.JPEG,1\nimg_0.JPEG,2\nimg_1.JPEG,0\n",
    ],
)
def test_published_form(data):
    predictions, problems = check(data, INDEX)
    assert problems == []
    assert predictions.classes.tolist() == [2, 0, 1]
    assert predictions.probabilities is None


def test_form_with_probabilities():
    predictions, problems = check(GOOD_2, INDEX)
    assert problems == []
    assert predictions.classes.tolist() == [2, 0, 1]
    assert predictions.probabilities.tolist() == [[0.1, 0.2, 0.7], [0.5, 0.5, 0], [0, 1, 1e-9]]


def test_tolerances_of_probabilities():
    def row(*values):
        return b"Image IDs,Predictions,P0,P1,P2\na,0,%s,%s,%s\n" % values

    index = Index(("a",), 3)
    assert check(row(b"0.5004", b"0.5004", b"0"), index)[1] == []
    assert check(row(b"0.5", b"0.5000009", b"0"), index)[1] == []
    assert problems_in(row(b"0.5006", b"0.5006", b"0"), index) == [
        "file.csv, row 2: the probabilities sum to 1.0012; expected 1 within 0.001"
    ]
    assert problems_in(row(b"0.5", b"0.500002", b"0"), index) == [
        "file.csv, row 2: P0 is 0.5 and P1 is 0.500002; expected the predicted class, 0, to have the largest"
    ]


# Bad files


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "the file is empty; expected a header and rows"),
        (b"\xef\xbb\xbf", "the file is empty; expected a header and rows"),
        (
            GOOD.decode().encode("utf-16"),
            "the file is UTF-16 (its byte order mark is at byte 0); expected UTF-8",
        ),
        (GOOD.decode().encode("utf-16-le"), "NUL at byte 1; expected UTF-8 text"),
        (GOOD[:30] + b"\0" + GOOD[30:], "NUL at byte 30; expected UTF-8 text"),
        (
            GOOD.replace(b"img_1", "bär".encode("latin-1")),
            "byte 36 is 0xe4, which is not UTF-8; expected UTF-8 text",
        ),
        (GOOD.replace(b"\n", b"\r"), "lines end in CR alone; expected LF or CRLF"),
        (GOOD.replace(b",", b";"), "columns are separated by semicolons; expected commas"),
        (GOOD.replace(b",", b"\t"), "columns are separated by tabs; expected commas"),
        (b"x" * 200_000, "the file has 200,000 bytes; expected at most 170,510"),
        (b"a\n" * 1007, "the file has 1,007 lines; expected at most 1,006"),
    ],
)
def test_files_that_cannot_be_read(data, expected):
    assert problems_in(data) == [f"file.csv: {expected}"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"image ids,Predictions", "column 1 is named 'image ids'; expected 'Image IDs'"),
        (b"Predictions,Image IDs", "column 1 is named 'Predictions'; expected 'Image IDs'"),
        (b"", f"the header has 1 columns: ''; {OPTIONS}"),
        (
            b"Image IDs,Predictions,P0,P1",
            f"the header has 4 columns: 'Image IDs,Predictions,P0,P1'; {OPTIONS}",
        ),
        (b'"Image IDs","Predictions"', "column 1 is named '\"Image IDs\"'; expected 'Image IDs'"),
    ],
)
def test_wrong_header(header, expected):
    assert problems_in(GOOD.replace(b"Image IDs,Predictions", header))[0] == f"file.csv, row 1: {expected}"


def test_header_of_probabilities_names_each_wrong_column():
    assert problems_in(GOOD_2.replace(b"P0,P1,P2", b"P0,P2,P1")) == [
        "file.csv, row 1: column 4 is named 'P2'; expected 'P1'",
        "file.csv, row 1: column 5 is named 'P1'; expected 'P2'",
    ]


def test_missing_header_is_said_and_the_first_row_is_still_checked():
    data = GOOD.split(b"\n", 1)[1].replace(b",2", b",3")
    assert problems_in(data) == [
        f"file.csv, row 1: no header: 'img_0.JPEG,3' looks like data; {OPTIONS} above it",
        "file.csv, row 1: class '3' is out of range; expected 0 to 2",
    ]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("3", "class '3' is out of range; expected 0 to 2"),
        ("-1", "class '-1' is out of range; expected 0 to 2"),
        ("9" * 5000, None),  # a row that is too long
        *((text, f"{text!r} {NO_CLASS}") for text in ["2.0", "1e0", "nan", " 2", "2 ", "", "+2", "02", "-0"]),
        *((text, f"{text!r} {NO_CLASS}") for text in ["٢", "²", "1_0", "0x1", "True", "cat", "\x1b[31m"]),
    ],
)
def test_classes(found, expected):
    data = GOOD.replace(b",2", b"," + found.encode())
    if expected is None:
        expected = "the row has 5,012 bytes; expected at most 170"
    assert problems_in(data) == [f"file.csv, row 2: {expected}"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("0.1,0.2,nan", "P2 is 'nan'; expected a number from 0 to 1"),
        ("inf,0,0", "P0 is 'inf'; expected a number from 0 to 1"),
        ("1e999,0,0", "P0 is '1e999'; expected a number from 0 to 1"),
        ("-0.1,0.4,0.7", "P0 is '-0.1'; expected a number from 0 to 1"),
        ("0,0,1.0005", "P2 is '1.0005'; expected a number from 0 to 1"),
        ("0.1,,0.9", "P1 is ''; expected a number from 0 to 1"),
        ("0.1,0.1, 0.8", "P2 is ' 0.8'; expected a number from 0 to 1"),
        ("0,0.1_0,0.9", "P1 is '0.1_0'; expected a number from 0 to 1"),
        ("0,0.1e,0.9", "P1 is '0.1e'; expected a number from 0 to 1"),
        ("10,20,70", "P0 is '10'; expected a number from 0 to 1, as of 2 others in this row"),
        ("0.1,0.1,0.7", "the probabilities sum to 0.9; expected 1 within 0.001"),
        ("0.7,0.1,0.2", "P2 is 0.2 and P0 is 0.7; expected the predicted class, 2, to have the largest"),
    ],
)
def test_probabilities(found, expected):
    data = GOOD_2.replace(b"0.1,0.2,0.7", found.encode())
    assert problems_in(data) == [f"file.csv, row 2: {expected}"]


def test_every_problem_is_listed_with_its_row():
    data = (
        b"Image IDs,Predictions\n"
        b"img_0.JPEG,5\n"
        b"\n"
        b"img_9.JPEG,1\n"
        b"img_0.JPEG,1.0\n"
        b'"img_1.JPEG","1"\n'
        b"img_1.JPEG,1,1\n"
        b"total\n"
    )
    assert problems_in(data) == [
        "file.csv, row 2: class '5' is out of range; expected 0 to 2",
        "file.csv, row 3: the row is empty; expected 2 fields",
        "file.csv, row 7: the row has 3 fields: 'img_1.JPEG,1,1'; expected 2 fields",
        "file.csv, row 8: the row has 1 fields: 'total'; expected 2 fields",
        "file.csv, row 4: 'img_9.JPEG' is not an id of the test set",
        "file.csv, row 5: 'img_0.JPEG' is given twice, first in row 2; expected once",
        "file.csv, row 7: 'img_1.JPEG' is given twice, first in row 6; expected once",
        f"file.csv, row 5: '1.0' {NO_CLASS}",
        'file.csv, row 6: \'"img_1.JPEG","1"\' has quotes; expected plain fields',
        NO_ROW[2],
    ]


def test_of_each_kind_twenty_are_listed_and_the_rest_counted():
    index = many(100)
    rows = [f"img_{i}.JPEG,10\n" for i in range(50)] + [f"x{i},1\n" for i in range(21)]
    found = problems_in("".join(["Image IDs,Predictions\n", *rows]).encode(), index)
    out_of_range = [f"file.csv, row {i + 2}: class '10' is out of range; expected 0 to 9" for i in range(20)]
    unknown = [f"file.csv, row {i + 52}: 'x{i}' is not an id of the test set" for i in range(20)]
    missing = [f"file.csv: no row for 'img_{i}.JPEG'; expected one per image" for i in range(50, 70)]
    assert found == [
        *out_of_range,
        "file.csv: 50 rows with a class out of range in all; the first 20 are listed",
        *unknown,
        "file.csv: 21 rows with an unknown id in all; the first 20 are listed",
        *missing,
        "file.csv: 50 images without a prediction in all; the first 20 are listed",
    ]


def test_twenty_of_a_kind_need_no_count():
    found = problems_in(b"Image IDs,Predictions\n", many(20))
    assert found == [f"file.csv: no row for 'img_{i}.JPEG'; expected one per image" for i in range(20)]


def test_messages_stay_short_whatever_the_file_holds():
    index = many(3, classes=1000)
    data = b"Image IDs,Predictions\n" + b"," * 30_000 + b"\n" + b"\xc3\xa4" * 10_000 + b",1\n" + b"1" * 20_000
    _, problems = check(data, index)
    assert problems
    assert all(len(str(problem)) < 300 for problem in problems)


# The published scorer's faults


def test_leaving_out_hard_images_gains_nothing():
    data = b"Image IDs,Predictions\nimg_0.JPEG,2\n"  # scored 1.0 there
    assert problems_in(data) == NO_ROW[1:]
    predictions, problems = check(data, INDEX, allow_missing=True)
    assert problems == []
    assert predictions.classes.tolist() == [2, MISSING, MISSING]
    found = score(predictions, [2, 0, 1], INDEX, "abc")
    assert found.estimates["top1"].value == pytest.approx(1 / 3)
    assert found.estimates["balanced_accuracy"].value == pytest.approx(1 / 3)


def test_header_alone_is_no_division_by_zero():
    assert problems_in(b"Image IDs,Predictions\n") == NO_ROW
    predictions, _ = check(b"Image IDs,Predictions\n", INDEX, allow_missing=True)
    assert score(predictions, [2, 0, 1], INDEX, "abc").estimates["top1"].value == 0


def test_a_second_guess_is_refused():
    assert problems_in(GOOD + b"img_0.JPEG,1\n") == [
        "file.csv, row 5: 'img_0.JPEG' is given twice, first in row 2; expected once"
    ]


def test_columns_go_by_name_and_classes_have_a_range():
    swapped = b"Predictions,Image IDs\n2,img_0.JPEG\n0,img_1.JPEG\n1,img_2.JPEG\n"
    assert len(problems_in(swapped)) == 2 + 3 + 3 + 3  # header, ids, classes, images
    assert problems_in(GOOD.replace(b",2", b",1000")) == [
        "file.csv, row 2: class '1000' is out of range; expected 0 to 2"
    ]


def test_the_same_predictions_give_the_same_score_in_any_order_of_rows():
    header, *rows = GOOD_2.splitlines()
    results = set()
    for order in permutations(rows):
        predictions, _ = check(b"\n".join([header, *order]), INDEX)
        results.add(json.dumps(score(predictions, [2, 1, 1], INDEX, "abc").to_json()))
    assert len(results) == 1


# Writing


def test_write_gives_the_published_bytes(tmp_path):
    path = tmp_path / "new" / "file.csv"
    write(path, INDEX.ids, np.array([2, 0, 1]))
    assert path.read_bytes() == GOOD
    write(path, INDEX.ids, [2, 0, 1], [[0.1, 0.2, 0.7], [0.5, 0.5, 0.0], [0.0, 1 - 1e-9, 1e-9]])
    assert path.read_bytes() == GOOD_2.replace(b"1.0", b"1").replace(b"1e-9", b"1e-09")
    assert [entry.name for entry in path.parent.iterdir()] == ["file.csv"]


@pytest.mark.parametrize("temperature", [0.1, 1.0, 20.0])
def test_probabilities_of_a_thousand_classes_survive_a_round_trip(tmp_path, temperature):
    index = many(40, classes=1000)
    logits = np.random.default_rng(0).normal(size=(40, 1000)).astype(np.float32) / np.float32(temperature)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    write(tmp_path / "file.csv", index.ids, probabilities.argmax(axis=1), probabilities)
    predictions, problems = check((tmp_path / "file.csv").read_bytes(), index)
    assert problems == []
    np.testing.assert_array_equal(predictions.classes, probabilities.argmax(axis=1))
    np.testing.assert_allclose(predictions.probabilities, probabilities, rtol=1e-5)


@pytest.mark.parametrize(
    ("predictions", "probabilities", "expected"),
    [
        ([2.0, 0.0, 1.0], None, "{path}, row 2: '2.0' is no class"),
        ([2, 0, -1], None, "{path}, row 4: class '-1' is out of range; expected 0 to 2"),
        ([10**12, 0, 0], None, "index: 1000000000001 classes; expected 1 to 1000000"),
        ([2, 0], None, "{path}: predictions have shape (2,); expected (3,)"),
        ([0, 0, 0], [[1.0, 0.0]], "{path}: probabilities have shape (1, 2); expected (3, K)"),
        ([0, 0, 0], [[1.0, 0.0], [np.nan, 0.0], [1.0, 0.0]], "{path}, row 3: P0 is 'nan'; expected"),
        ([0, 0, 2], [[1.0, 0.0]] * 3, "{path}, row 4: class '2' is out of range; expected 0 to 1"),
    ],
)
def test_write_refuses_what_check_would_refuse(tmp_path, predictions, probabilities, expected):
    path = tmp_path / "file.csv"
    path.write_bytes(GOOD)
    with pytest.raises(BadInput) as error:
        write(path, INDEX.ids, predictions, probabilities)
    assert str(error.value.problems[0]).startswith(expected.format(path=path))
    assert path.read_bytes() == GOOD


# Scores; scikit-learn is the oracle


@st.composite
def outcomes(draw, missing):
    classes = draw(st.integers(2, 9))
    images = draw(st.integers(1, 40))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images))
    lowest = MISSING if missing else 0
    predicted = draw(st.lists(st.integers(lowest, classes - 1), min_size=images, max_size=images))
    return many(images, classes), np.array(labels), np.array(predicted)


@settings(max_examples=60, deadline=None)
@given(outcomes(missing=False))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_scores_equal_sklearn(case):
    index, labels, predicted = case
    found = score(Predictions(predicted), labels, index, [f"c{i}" for i in range(index.classes)])
    values = {name: estimate.value for name, estimate in found.estimates.items()}
    assert values == pytest.approx(
        {
            "top1": metrics.accuracy_score(labels, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        }
    )
    confusion = np.array(found.details["confusion"])
    expected = metrics.confusion_matrix(labels, predicted, labels=range(index.classes))
    np.testing.assert_array_equal(confusion[:, :-1], expected)
    assert not confusion[:, -1].any()
    recalls = metrics.recall_score(
        labels, predicted, labels=range(index.classes), average=None, zero_division=np.nan
    )
    counts = np.bincount(labels, minlength=index.classes).tolist()
    assert [entry["class"] for entry in found.details["per_class"]] == found.details["classes"]
    assert [entry["n"] for entry in found.details["per_class"]] == counts
    for entry, recall in zip(found.details["per_class"], recalls, strict=True):
        assert entry["recall"] == (pytest.approx(recall) if entry["n"] else None)


@settings(max_examples=40, deadline=None)
@given(outcomes(missing=True))
def test_a_missing_prediction_counts_as_a_class_that_is_never_right(case):
    index, labels, predicted = case
    found = score(Predictions(predicted), labels, index, ["c"] * index.classes)
    outcome = np.where(predicted == MISSING, index.classes, predicted)
    assert found.estimates["top1"].value == pytest.approx(np.mean(outcome == labels))
    recalls = [np.mean(outcome[labels == class_] == class_) for class_ in set(labels.tolist())]
    assert found.estimates["balanced_accuracy"].value == pytest.approx(np.mean(recalls))
    expected = metrics.confusion_matrix(labels, outcome, labels=range(index.classes + 1))
    np.testing.assert_array_equal(found.details["confusion"], expected[:-1])
    assert found.details["n_predicted"] == (predicted != MISSING).sum()
    assert found.details["n_test"] == len(labels)


def top5(probabilities, predicted, labels):
    index = many(len(labels), probabilities.shape[1])
    names = ["c"] * index.classes
    return score(Predictions(predicted, probabilities), labels, index, names).estimates["top5"].value


@pytest.mark.parametrize("classes", [6, 30, 1000])
def test_top5_equals_sklearn_without_ties(classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 3000)
    probabilities = rng.dirichlet(np.ones(classes), size=3000)
    probabilities[np.arange(3000), labels] += rng.random(3000) * 4 / classes
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=range(classes))
    assert 0.05 < expected < 0.995
    assert top5(probabilities, probabilities.argmax(axis=1), labels) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(6, 9), st.integers(0, 2**32 - 1))
def test_top5_breaks_ties_by_the_lower_class_after_the_predicted_one(classes, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(0, 2, size=(20, classes)) / 10
    labels = rng.integers(0, classes, 20)
    predicted = np.array([rng.choice(np.flatnonzero(row == row.max())) for row in probabilities])
    expected = 0
    for row, first, label in zip(probabilities, predicted, labels, strict=True):
        others = sorted(set(range(classes)) - {first}, key=lambda class_: (-row[class_], class_))
        expected += label in [first, *others[:4]]
    assert top5(probabilities, predicted, labels) == pytest.approx(expected / 20)


def test_a_missing_prediction_is_not_in_the_top5():
    probabilities = np.zeros((2, 6))
    assert top5(probabilities, np.array([MISSING, MISSING]), np.array([0, 5])) == 0


def test_top5_needs_probabilities_and_more_than_five_classes():
    index = many(2, 5)
    found = score(Predictions(np.array([0, 1]), np.full((2, 5), 0.2)), [0, 1], index, "abcde")
    assert list(found.estimates) == ["top1", "balanced_accuracy"]
    assert list(score(Predictions(np.array([0, 1])), [0, 1], many(2, 6), "abcdef").estimates) == list(
        found.estimates
    )


def test_intervals_hold_their_values_and_narrow_with_more_images():
    widths = []
    for images in (100, 400, 1600):
        labels = np.arange(images) % 4
        predicted = np.where(np.arange(images) % 5 == 0, (labels + 1) % 4, labels)
        found = score(Predictions(predicted), labels, many(images, 4), "abcd")
        for estimate in found.estimates.values():
            assert estimate.low < estimate.value < estimate.high
        top1 = found.estimates["top1"]
        widths.append(top1.high - top1.low)
        assert widths[-1] == pytest.approx(2 * 1.96 * (0.8 * 0.2 / images) ** 0.5, rel=0.15)
    assert widths == sorted(widths, reverse=True)


def test_score_is_json_and_names_its_headline():
    found = score(
        Predictions(np.array([2, MISSING, 1])),
        {"img_1.JPEG": 0, "img_0.JPEG": 2, "img_2.JPEG": 2},
        INDEX,
        "abc",
    )
    assert (found.task, found.headline) == ("classification", "top1")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["details"] == {
        "n_test": 3,
        "n_predicted": 2,
        "classes": ["a", "b", "c"],
        "per_class": [
            {"class": "a", "n": 1, "recall": 0.0},
            {"class": "b", "n": 0, "recall": None},
            {"class": "c", "n": 2, "recall": 0.5},
        ],
        "confusion": [[0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]],
    }


def test_what_does_not_fit_the_index_is_refused():
    with pytest.raises(BadInput) as error:
        score(Predictions(np.array([0, 3, 1]), np.zeros((3, 2))), [0, 0, 0], INDEX, "ab")
    assert [str(problem) for problem in error.value.problems] == [
        "predictions, classes: classes 0 to 3; expected -1 to 2",
        "predictions, probabilities: shape (3, 2); expected (3, 3)",
        "class names: 2 names; expected 3",
    ]
    with pytest.raises(BadInput, match=r"shape \(2,\) of int64; expected \(3,\) integers"):
        score(Predictions(np.array([0, 1])), [0, 0, 0], INDEX, "abc")
