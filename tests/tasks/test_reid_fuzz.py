"""Whatever bytes come in, `check` answers; and what it accepts is what a slow reader reads."""

import csv
import io
import math
import os
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_classification_fuzz import mutated

from vipriors.problems import BadInput
from vipriors.tasks.reid import QueryIndex, check, read_labels

FILES = int(os.environ.get("VIPRIORS_FUZZ", "6000"))
INDEX = QueryIndex((*(f"q{i}" for i in range(5)), "größe 1"), (*(f"{i}" for i in range(7)), "g 1", "é"))


def good_file(rng):
    gallery = rng.sample(INDEX.gallery, len(INDEX.gallery))
    lines = [",".join([rng.choice(["", "0", "id"]), *gallery])]
    for query in rng.sample(INDEX.queries, len(INDEX.queries)):
        form = rng.choice(["{:.3f}", "{:10.5f}", "{:.9g}", "{:e}"])
        lines.append(",".join([query, *(form.format(rng.gauss(0, 5)) for _ in gallery)]))
    text = rng.choice(["\n", "\r\n"]).join(lines) + rng.choice(["\n", ""])
    return (rng.choice(["", "\ufeff"]) + text).encode()


def agrees_with_slow_reader(data, allow_missing):
    predictions, problems = check(data, INDEX, allow_missing=allow_missing)
    assert (predictions is None) == bool(problems)
    assert all(problem.place and problem.message for problem in problems)
    assert len(problems) <= 21 * 10
    if predictions is None:
        return False
    rows = [line.split(",") for line in data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")]
    header, *rows = rows if rows[-1] != [""] else rows[:-1]
    gallery = [id_.strip(" ") for id_ in header[1:]]
    assert sorted(gallery) == sorted(INDEX.gallery)
    found = {}
    for query, *row in rows:
        assert query.strip(" ") not in found
        found[query.strip(" ")] = dict(zip(gallery, map(float, row), strict=True))
    assert set(found) <= set(INDEX.queries)
    assert allow_missing or len(found) == len(INDEX.queries)
    expected = [[found.get(q, {}).get(g, math.nan) for g in INDEX.gallery] for q in INDEX.queries]
    np.testing.assert_array_equal(predictions.distances, expected)
    assert all(map(math.isfinite, (value for row in found.values() for value in row.values())))
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
    [*INDEX.queries[:3], *INDEX.gallery[-3:], "", "0", "1", " 2 ", "-3e2", "nan", "inf", "x", "٣"]
)
ROWS = st.lists(st.lists(FIELD, min_size=8, max_size=10), max_size=6)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_rows(rows, with_header, end):
    header = [",".join(["", *INDEX.gallery])] * with_header
    text = end.join([*header, *(",".join(row) for row in rows)])
    agrees_with_slow_reader(text.encode(), allow_missing=True)


LABEL_ROW = st.tuples(
    st.sampled_from(["query", "gallery", "test"]), *[st.sampled_from(["a", "b", "1", ""])] * 2
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LABEL_ROW, max_size=6))
def test_labels_of_any_rows(rows):
    text = "\n".join(["split,id,person", *(",".join(row) for row in rows)])
    try:
        labels = read_labels(text.encode())
    except BadInput as error:
        assert error.problems
    else:
        _, *expected = csv.reader(io.StringIO(text, newline=""))
        for split, images in (("query", labels.queries), ("gallery", labels.gallery)):
            found = [[split, id_, image.person] for id_, image in images.items()]
            assert found == [row for row in expected if row[0] == split]
