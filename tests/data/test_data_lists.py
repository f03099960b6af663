"""Subsets given by a list."""

import hashlib
import json
import re
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipriors.data.lists import Listed, ListRule, read_list
from vipriors.data.sources import ArrayPart, ArraySource
from vipriors.data.subset import cut
from vipriors.problems import BadInput


def source(n: int = 60, classes=("ant", "bee", "cow")) -> ArraySource:
    labels = np.arange(n) % len(classes)
    return ArraySource("src", classes, [ArrayPart("pool", None, np.zeros((n, 2, 2), np.uint8), labels)])


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def test_cut_by_list():
    rows = [
        Listed("test", "pool#5"), Listed("val", "pool#0"), Listed("train", "pool#3"),
        Listed("test", "pool#1", "given"), Listed("train", "pool#4", "img_9.JPEG"),
    ]  # fmt: skip
    picks = cut(source(), ListRule(tuple(rows)))
    assert [(p.id, p.split, p.sample.key) for p in picks if p.split != "test"] == [
        ("ant_1", "train", "pool#3"), ("img_9.JPEG", "train", "pool#4"), ("ant_0", "val", "pool#0")
    ]  # fmt: skip
    tests = {p.sample.key: p.id for p in picks if p.split == "test"}
    assert tests["pool#1"] == "given" and re.fullmatch(r"img_[01]", tests["pool#5"])


def test_faults_of_a_list_are_all_listed():
    rows = [
        Listed("train", "pool#0", "x"), Listed("dev", "pool#99"), Listed("val", "pool#0"),
        Listed("test", "pool#1", "../x"), Listed("test", "pool#2", "X"),
    ]  # fmt: skip
    assert problems(cut, source(), ListRule(tuple(rows), name="list.csv")) == [
        "list.csv, row 3: split 'dev' is unknown; expected train, val or test",
        "list.csv, row 3: source 'pool#99' is not in src",
        "list.csv, row 4: source 'pool#0' is a duplicate of row 2",
        "list.csv, row 5: id '../x' is no plain file name (letters, digits, _ . -)",
        "list.csv, row 6: id 'x' is a duplicate of row 2",
    ]


def test_rows_of_another_data_set_are_named_up_to_a_number():
    found = problems(
        cut, source(), ListRule(tuple(Listed("train", f"other#{k}") for k in range(25)), name="l.csv")
    )
    assert len(found) == 11
    assert found[9] == "l.csv, row 11: source 'other#9' is not in src"
    assert found[10] == "l.csv: 15 more sources are not in src; is it the whole data set?"


def test_read_list(tmp_path):
    file = tmp_path / "list.csv"
    file.write_bytes(b'\xef\xbb\xbfsplit,source,id\r\ntrain,"a,1.png",\r\ntest,b.png,img_3\r\n')
    assert read_list(file) == [Listed("train", "a,1.png"), Listed("test", "b.png", "img_3")]
    file.write_text("split,source\ntrain\ntest,a,b\n")
    assert problems(read_list, file) == [
        f"{file}, row 2: found 1 values; expected 2",
        f"{file}, row 3: found 3 values; expected 2",
    ]
    file.write_text("source,split\n")
    assert "expected split,source or split,source,id" in problems(read_list, file)[0]
    file.write_text("")
    assert "row 1: header is ''" in problems(read_list, file)[0]
    file.write_bytes(b"split,source\ntrain,\xff\n")
    assert "is not a CSV file in UTF-8" in problems(read_list, file)[0]
    assert "No such file" in problems(read_list, tmp_path / "no.csv")[0]


def listing(train: int, val: int, test: int = 1) -> tuple[Listed, ...]:
    """Some of each of the three classes, neither class by class nor split by split."""
    splits = np.repeat(["train", "val", "test"], [train, val, test])
    order = np.random.default_rng(0).permutation(3 * len(splits))
    rows = [Listed(str(split), f"pool#{3 * k + c}") for k, split in enumerate(splits) for c in range(3)]
    return tuple(rows[k] for k in order)


def keys(picks, *splits) -> set[str]:
    return {pick.sample.key for pick in picks if pick.split in splits}


def test_a_part_is_the_first_of_each_class():
    rows = listing(9, 6, 2)
    picks = cut(source(), ListRule(rows, images_per_class=5))
    for split, n in (("train", 3), ("val", 2)):
        for label in range(3):
            listed = [r.source for r in rows if r.split == split and int(r.source[5:]) % 3 == label]
            assert [p.sample.key for p in picks if (p.split, p.sample.label) == (split, label)] == listed[:n]
    assert keys(picks, "test") == {row.source for row in rows if row.split == "test"}


def test_a_seed_draws_by_hash_of_seed_class_and_key():
    rows = listing(9, 6)
    picks = cut(source(), ListRule(rows, images_per_class=5, seed=7))
    for split, n in (("train", 3), ("val", 2)):
        for label, name in enumerate(source().classes):
            listed = [r.source for r in rows if r.split == split and int(r.source[5:]) % 3 == label]
            drawn = sorted(listed, key=lambda key: hashlib.sha256(f"7/{name}/{key}".encode()).hexdigest())
            mine = [p.sample.key for p in picks if (p.split, p.sample.label) == (split, label)]
            assert mine == [key for key in listed if key in drawn[:n]]  # in the order of the list
    assert keys(cut(source(), ListRule(rows, 5, 8)), "train") != keys(picks, "train")


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 3), st.data())
def test_parts_are_nested_with_their_ids_and_keep_the_proportion(train, val, seed, data):
    rows, src = listing(train, val), source()
    whole = {(p.id, p.split, p.sample.key) for p in cut(src, ListRule(rows))}
    cuts = []
    for n in range(1, train + val + 1):
        picks = cut(src, ListRule(rows, n, seed))
        held_out = int(n * Fraction(val, train + val))
        count = Counter((p.split, p.sample.label) for p in picks)
        assert all(count["val", c] == held_out and count["train", c] == n - held_out for c in range(3))
        cuts.append({(p.id, p.split, p.sample.key) for p in picks})
    assert cuts[-1] == whole and all(small < large for small, large in pairwise(cuts))


def test_classes_with_too_few_are_all_listed():
    rows = [*listing(4, 4), Listed("train", "pool#57"), Listed("val", "pool#58")]
    assert problems(cut, source(), ListRule(tuple(rows), 10, name="my.csv")) == [
        "class ant: has 4 val images in my.csv; expected 5",
        "class bee: has 4 train images in my.csv; expected 5",
        "class cow: has 4 train images in my.csv; expected 5",
        "class cow: has 4 val images in my.csv; expected 5",
    ]


def test_numbers_out_of_range():
    assert problems(ListRule, (), 0) == ["images_per_class: found 0; expected 1 or more"]
    assert problems(ListRule, (), None, 3) == [
        "seed: found 3 for the whole list, of which nothing is drawn; "
        "expected 0, or a number of images per class too"
    ]


def test_the_hash_tells_lists_apart():
    rows = (Listed("train", "a"), Listed("test", "b", "img_0"))
    content = [["train", "a", None], ["test", "b", "img_0"]]
    assert ListRule(rows).sha256 == hashlib.sha256(json.dumps(content).encode()).hexdigest()
    assert ListRule(rows).sha256 == ListRule(rows, 1, 1).sha256 != ListRule(rows[::-1]).sha256
