"""Whatever bytes come in, `check` answers; and what it accepts is what the csv module reads."""

import csv
import io
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vipriors.problems import BadInput
from vipriors.tasks import Index
from vipriors.tasks.classification import MISSING, check, read_labels

FILES = int(os.environ.get("VIPRIORS_FUZZ", "8000"))
INDEX = Index((*(f"img_{i}.JPEG" for i in range(12)), "größe 1.png"), 11)
PIECES = [b"\n", b"\r", b"\r\n", b",", b'"', b"\0", b" ", b"-", b"\xff", b"\xc2\xa0", b"7"]


def good_file(rng, with_probabilities):
    lines = ["Image IDs,Predictions" + "".join(f",P{c}" for c in range(11)) * with_probabilities]
    for id_ in rng.sample(INDEX.ids, len(INDEX.ids)):
        class_ = rng.randrange(11)
        row = ["0.04"] * 11
        row[class_] = rng.choice(["0.6", "6e-1", "0.6000", ".6"])
        lines.append(",".join([id_, str(class_), *row * with_probabilities]))
    text = rng.choice(["\n", "\r\n"]).join(lines) + rng.choice(["\n", ""])
    return (rng.choice(["", "\ufeff"]) + text).encode()


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at, end = sorted(rng.choices(range(len(data) + 1), k=2))
        end = min(end, at + rng.choice([1, 1, 3, 40, 400]))
        change = rng.choice(["flip", "digit", "insert", "delete", "duplicate", "swap", "truncate"])
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
        elif change == "swap":
            lines = bytes(data).split(b"\n")
            rng.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        elif change == "truncate" and rng.random() < 0.3:
            del data[at:]
        if not data:
            break
    return bytes(data)


def agrees_with_csv_module(data, allow_missing):
    """Checks `data`; if accepted, compares with an independent reading. Returns whether it was accepted."""
    predictions, problems = check(data, INDEX, allow_missing=allow_missing)
    assert (predictions is None) == bool(problems)
    assert all(problem.place and problem.message for problem in problems)
    assert len(problems) <= 21 * 12
    if predictions is None:
        return False
    header, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert header[:2] == ["Image IDs", "Predictions"]
    classes = {row[0]: int(row[1]) for row in rows}
    assert len(classes) == len(rows) == (len(INDEX.ids) if not allow_missing else len(rows))
    np.testing.assert_array_equal(predictions.classes, [classes.get(id_, MISSING) for id_ in INDEX.ids])
    assert (predictions.probabilities is not None) == (len(header) == 13)
    if predictions.probabilities is not None:
        values = {row[0]: [float(field) for field in row[2:]] for row in rows}
        expected = [values.get(id_, [0.0] * 11) for id_ in INDEX.ids]
        np.testing.assert_array_equal(predictions.probabilities, expected)
    return True


@pytest.mark.parametrize("with_probabilities", [False, True])
def test_mutated_files(with_probabilities):
    accepted = 0
    for seed in range(FILES // 2):
        rng = random.Random(seed)
        accepted += agrees_with_csv_module(mutated(rng, good_file(rng, with_probabilities)), seed % 2 == 1)
    assert FILES // 2 * 0.01 < accepted < FILES // 2 * 0.6  # the mutations reach both answers


def test_good_files_are_accepted():
    for seed in range(50):
        assert agrees_with_csv_module(good_file(random.Random(seed), seed % 2), allow_missing=False)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data):
    agrees_with_csv_module(data, allow_missing=True)


ODD_FIELDS = ["0", "7", "10", "11", "-1", "", " 5", "1e1", "٣", "nan"]
FIELD = st.one_of(st.sampled_from([*INDEX.ids[:4], *ODD_FIELDS]), st.text(max_size=4))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(FIELD, min_size=1, max_size=3), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_rows(rows, end):
    text = end.join(["Image IDs,Predictions", *(",".join(row) for row in rows)])
    agrees_with_csv_module(text.encode("utf-8", "surrogatepass"), allow_missing=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(FIELD, min_size=1, max_size=3), max_size=6))
def test_labels_of_any_rows(rows):
    text = "\n".join(["Image IDs,Labels", *(",".join(row) for row in rows)])
    try:
        labels = read_labels(text.encode("utf-8", "surrogatepass"))
    except BadInput as error:
        assert error.problems
    else:
        _, *expected = csv.reader(io.StringIO(text, newline=""))
        assert list(labels.items()) == [(id_, int(class_)) for id_, class_ in expected]
