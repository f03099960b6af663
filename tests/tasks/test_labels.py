import numpy as np
import pytest

from vipriors.problems import BadInput
from vipriors.tasks import Index
from vipriors.tasks.classification import read_labels
from vipriors.tasks.labels import align


def problems_of(function, *args):
    with pytest.raises(BadInput) as error:
        function(*args)
    return [str(problem) for problem in error.value.problems]


def test_reads_labels_in_the_order_of_the_file():
    labels = read_labels("\ufeffImage IDs,Labels\r\nb.png,3\r\nä.png,0\r\n".encode())
    assert list(labels.items()) == [("b.png", 3), ("ä.png", 0)]


def test_lists_every_fault():
    data = b"Image IDs,Labels\na,1\na,2\n,3\nb,1.0\nc\nd,-1\ne,1,2\nf,9999999999\n"
    expected = "expected at most nine digits without sign, spaces or leading zeros"
    assert problems_of(read_labels, data, "truth.csv") == [
        "truth.csv, row 3: 'a' is given twice, first in row 2; expected once",
        "truth.csv, row 4: the id is empty; expected one",
        f"truth.csv, row 5: '1.0' is no class; {expected}",
        f"truth.csv, row 7: '-1' is no class; {expected}",
        f"truth.csv, row 9: '9999999999' is no class; {expected}",
        "truth.csv, row 6: the row has 1 fields: 'c'; expected 2 fields",
        "truth.csv, row 8: the row has 3 fields: 'e,1,2'; expected 2 fields",
    ]


def test_predictions_are_no_labels_and_a_header_is_not_enough():
    assert problems_of(read_labels, b"Image IDs,Predictions\na,1\n") == [
        "labels.csv, row 1: column 2 is named 'Predictions'; expected 'Labels'"
    ]
    assert problems_of(read_labels, b"Image IDs,Labels\n") == [
        "labels.csv: there are no rows; expected one for each image"
    ]


def test_align_takes_a_mapping_in_any_order_or_an_array():
    index = Index(("a", "b", "c"), 5)
    np.testing.assert_array_equal(align({"c": 4, "a": 0, "b": 1}, index), [0, 1, 4])
    np.testing.assert_array_equal(align(np.array([2, 0, 4], dtype=np.uint8), index), [2, 0, 4])
    assert align([1, 2, 3], index).dtype == np.int64


def test_align_lists_every_fault():
    index = Index(("a", "b", "c"), 5)
    assert problems_of(align, {"b": 1, "z": 2, "y": 0}, index) == [
        "labels: no label for 'a'; expected one per image",
        "labels: no label for 'c'; expected one per image",
        "labels: 'y' is not an id of the test set",
        "labels: 'z' is not an id of the test set",
    ]
    assert problems_of(align, [-1, 0, 5], index) == [
        "labels: 'a' has class -1; expected 0 to 4",
        "labels: 'c' has class 5; expected 0 to 4",
    ]
    assert problems_of(align, [1, 2], index) == ["labels: shape (2,) of int64; expected (3,) integers"]
    assert problems_of(align, [1.0, 2.0, 3.0], index) == [
        "labels: shape (3,) of float64; expected (3,) integers"
    ]
