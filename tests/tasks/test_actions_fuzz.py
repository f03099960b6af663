"""Whatever bytes come in, `check` answers; and what it accepts is what a slow reader reads."""

import os
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_classification_fuzz import mutated

from vipriors.problems import BadInput
from vipriors.tasks.actions import MISSING, ClipIndex, check, read_labels

FILES = int(os.environ.get("VIPRIORS_FUZZ", "6000"))
INDEX = ClipIndex((*(f"video_{i}.avi" for i in range(9)), "clip", "clip 1", "clip 1 2", "größe 1.avi"), 11)


def good_file(rng):
    lines = []
    for id_ in rng.sample(INDEX.ids, len(INDEX.ids)):
        more = 0 if " " in id_ or id_ == "clip" else rng.choice([0, 0, 0, 3])
        lines.append(" ".join([id_, *map(str, rng.sample(range(1, 12), 5 + more))]))
    text = rng.choice(["\n", "\r\n"]).join(lines) + rng.choice(["\n", ""])
    return (rng.choice(["", "\ufeff"]) + text).encode()


def read_slowly(data):
    """The classes of each clip of a good file, found by trying every name on every row."""
    found = {}
    text = data.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    for line in text.split("\n"):
        names = [id_ for id_ in INDEX.ids if line.startswith(f"{id_} ")]
        exact = [id_ for id_ in names if line.removeprefix(id_).count(" ") == 5]
        id_ = exact[0] if exact else max(names, key=len)
        classes = [int(field) for field in line.removeprefix(f"{id_} ").split(" ")]
        assert id_ not in found
        assert len(set(classes)) == len(classes) >= 5
        assert min(classes) >= 1
        assert max(classes) <= 11
        found[id_] = classes[:5]
    return found


def agrees_with_slow_reader(data, allow_missing):
    predictions, problems = check(data, INDEX, allow_missing=allow_missing)
    assert (predictions is None) == bool(problems)
    assert all(problem.place and problem.message for problem in problems)
    assert len(problems) <= 21 * 12
    if predictions is None:
        return False
    found = read_slowly(data)
    assert allow_missing or len(found) == len(INDEX.ids)
    expected = [found.get(id_, [MISSING] * 5) for id_ in INDEX.ids]
    np.testing.assert_array_equal(predictions.classes, expected)
    return True


def test_mutated_files():
    accepted = 0
    for seed in range(FILES):
        rng = random.Random(seed)
        accepted += agrees_with_slow_reader(mutated(rng, good_file(rng)), seed % 2 == 1)
    assert FILES * 0.01 < accepted < FILES * 0.6  # the mutations reach both answers


def test_good_files_are_accepted():
    for seed in range(50):
        assert agrees_with_slow_reader(good_file(random.Random(seed)), allow_missing=False)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data):
    agrees_with_slow_reader(data, allow_missing=True)


FIELD = st.sampled_from(
    [*INDEX.ids[-5:], "1", "2", "3", "4", "5", "6", "11", "12", "0", "", "x", "٣", "nan", "a,b"]
)
ROWS = st.lists(st.lists(FIELD, min_size=1, max_size=8), max_size=6)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_rows(rows, end):
    agrees_with_slow_reader(end.join(" ".join(row) for row in rows).encode(), allow_missing=True)


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_labels_of_any_rows(rows):
    text = "\n".join(" ".join(row) for row in rows)
    try:
        labels = read_labels(text.encode())
    except BadInput as error:
        assert error.problems
    else:
        expected = [line.rsplit(" ", 1) for line in text.removesuffix("\n").split("\n")]
        assert list(labels.items()) == [(id_, int(class_)) for id_, class_ in expected]
