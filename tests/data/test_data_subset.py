"""Cutting subsets, and the manifest."""

import hashlib
import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipriors.data.manifest import Row, manifest_bytes, manifest_hash, read_manifest, write_manifest
from vipriors.data.sources import ArrayPart, ArraySource
from vipriors.data.subset import SubsetRule, cut, validation_places
from vipriors.problems import BadInput


def source(per_class: int = 20, test: int = 0, classes=("ant", "bee", "cow")) -> ArraySource:
    def part(file: str, split: str | None, n: int) -> ArrayPart:
        labels = np.tile(np.arange(len(classes)), n)
        return ArrayPart(file, split, np.zeros((len(labels), 2, 2), np.uint8), labels)

    parts = [part("pool", "train" if test else None, per_class)] + (
        [part("held", "test", test)] if test else []
    )
    return ArraySource("src", classes, parts)


def keys(picks, *splits) -> set[str]:
    return {pick.sample.key for pick in picks if pick.split in splits}


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def test_counts_and_disjointness():
    picks = cut(source(), SubsetRule(10, 0, 0.4, 5))
    count = Counter((pick.split, pick.sample.label) for pick in picks)
    assert count == {(s, c): n for s, n in (("train", 6), ("val", 4), ("test", 5)) for c in range(3)}
    assert len({pick.sample.key for pick in picks}) == len({pick.id for pick in picks}) == len(picks) == 45


def test_order_is_by_hash_of_seed_class_and_key():
    """Re-derived from the definition: the same on every machine, for ever."""
    src = source(20, test=2)
    picks = cut(src, SubsetRule(7, 3, 0, None))
    for label, name in enumerate(src.classes):
        pool = [s.key for s in src.samples if s.label == label and s.split == "train"]
        order = sorted(pool, key=lambda key: hashlib.sha256(f"3/{name}/{key}".encode()).hexdigest())
        mine = [p for p in picks if p.split == "train" and p.sample.label == label]
        assert [p.sample.key for p in mine] == order[:7]
        assert [p.id for p in mine] == [f"{name}_{k}" for k in range(7)]


def test_subsets_of_a_seed_are_nested_with_their_ids():
    cuts = [
        {(pick.id, pick.split, pick.sample.key) for pick in cut(source(), SubsetRule(n, 1, 0.4, 5))}
        for n in (1, 2, 5, 10, 15)
    ]
    assert all(small < large for small, large in pairwise(cuts))


def test_the_test_split_is_the_same_for_every_seed_and_size():
    def test_split(seed: int, n: int, test_seed: int = 0):
        return [p for p in cut(source(), SubsetRule(n, seed, 0.2, 5, test_seed)) if p.split == "test"]

    assert test_split(0, 3) == test_split(1, 15) == test_split(2, 8)
    assert keys(test_split(0, 3), "test") != keys(test_split(0, 3, test_seed=1), "test")
    first, second = (keys(cut(source(), SubsetRule(5, seed, 0, 5)), "train") for seed in (0, 1))
    assert first != second


def test_other_images_do_not_change_the_order():
    small, large = source(12, test=1), source(20, test=1)
    order = [p.sample.key for p in cut(small, SubsetRule(None, 0, 0, None)) if p.split == "train"]
    longer = [p.sample.key for p in cut(large, SubsetRule(None, 0, 0, None)) if p.split == "train"]
    assert [key for key in longer if key in set(order)] == order


def test_own_test_split_is_taken_whole_or_drawn_from():
    src = source(20, test=4)
    assert keys(cut(src, SubsetRule(5, 0, 0, None)), "test") == {f"held#{i}" for i in range(12)}
    drawn = [p for p in cut(src, SubsetRule(5, 0, 0, 2)) if p.split == "test"]
    assert keys(drawn, "test") < {f"held#{i}" for i in range(12)}
    assert Counter(p.sample.label for p in drawn) == {0: 2, 1: 2, 2: 2}
    assert not keys(cut(src, SubsetRule(5, 0, 0, 0)), "test")


def test_all_images():
    assert len(cut(source(20), SubsetRule(None, 0, 0.25, 4))) == 60
    assert Counter(p.split for p in cut(source(20), SubsetRule(None, 0, 0.25, 4))) == {
        "train": 36,
        "val": 12,
        "test": 12,
    }


@given(st.integers(0, 200), st.integers(0, 99))
def test_validation_places(n, percent):
    places = validation_places(n, percent / 100)
    assert sum(places) == n * percent // 100
    assert places == validation_places(n + 7, percent / 100)[:n]
    share = Fraction(percent, 100)
    assert places == [math.floor((k + 1) * share) > math.floor(k * share) for k in range(n)]


def test_test_numbers_tell_nothing_of_the_class():
    src = source(200)
    picks = [p for p in cut(src, SubsetRule(5, 0, 0, 150)) if p.split == "test"]
    assert [p.id for p in picks] == [f"img_{k}" for k in range(450)]
    labels = np.array([p.sample.label for p in picks])
    # A shuffled order has about 2/3 changes of class between neighbours, and no drift along the numbers.
    assert 0.55 < (labels[1:] != labels[:-1]).mean() < 0.78
    assert abs(np.corrcoef(labels, np.arange(450))[0, 1]) < 0.15
    keyed = [p for p in cut(src, SubsetRule(5, 0, 0, 150), test_key="secret") if p.split == "test"]
    assert keys(keyed, "test") == keys(picks, "test")
    assert [p.sample.key for p in keyed] != [p.sample.key for p in picks]


def test_too_few_images_are_all_listed():
    labels = np.repeat([0, 1, 2], [9, 4, 2])
    src = ArraySource("s", ("a", "b", "c"), [ArrayPart("f", None, np.zeros((15, 1, 1), np.uint8), labels)])
    assert problems(cut, src, SubsetRule(3, 0, 0, 3)) == [
        "class b: has 1 images for training and validation; expected 3",
        "class c: has 2 images for 3 of the test",
        "class c: has 0 images for training and validation; expected 3",
    ]
    assert problems(cut, src, SubsetRule(None, 0, 0, 4)) == [
        "class b: has 0 images for training and validation; expected 1",
        "class c: has 2 images for 4 of the test",
        "class c: has 0 images for training and validation; expected 1",
    ]
    assert problems(cut, src, SubsetRule(1, 0, 0, None)) == [
        "s: has no test split of its own; expected a rule with test_per_class (0 for no test split)"
    ]


def test_rules_out_of_range():
    assert problems(SubsetRule, 0, 0, 1.0, -1) == [
        "images_per_class: found 0; expected 1 or more",
        "validation: found 1.0; expected a share in [0, 1)",
        "test_per_class: found -1; expected 0 or more",
    ]
    assert problems(SubsetRule, 1, 0, math.nan, None) == ["validation: found nan; expected a share in [0, 1)"]


@pytest.mark.parametrize(
    ("classes", "ids"),
    [
        (("ant", "dung beetle"), ["ant_0", "dung-beetle_0"]),
        (("a b", "a/b"), ["0-a-b_0", "1-a-b_0"]),
        (("Ant", "ant"), ["0-Ant_0", "1-ant_0"]),
        (("img", "蟻"), ["0-img_0", "1-_0"]),
    ],
)
def test_ids_are_file_names(classes, ids):
    picks = cut(source(2, classes=classes), SubsetRule(1, 0, 0, 1))
    assert [p.id for p in picks] == [*ids, "img_0", "img_1"]


# manifest

text = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)
SHA = hashlib.sha256(b"").hexdigest()


@given(st.lists(st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 999), text), max_size=5))
def test_manifest_round_trip(tmp_path_factory, fields):
    rows = [
        Row(f"i{k}.png", split, None if split == "test" else label, f"images/{split}/i{k}.png", name, SHA)
        for k, (split, label, name) in enumerate(fields)
    ]
    file = tmp_path_factory.getbasetemp() / "manifest.csv"
    write_manifest(file, rows)
    assert read_manifest(file) == rows
    assert manifest_hash(rows) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_manifest_bytes():
    rows = [
        Row("a.png", "train", 3, "images/train/a.png", "x,y", SHA),
        Row("t.png", "test", None, "images/test/t.png", "", SHA),
    ]
    assert manifest_bytes(rows).decode() == (
        "id,split,label,file,source,sha256\n"
        f'a.png,train,3,images/train/a.png,"x,y",{SHA}\n'
        f"t.png,test,,images/test/t.png,,{SHA}\n"
    )


def test_manifest_faults_are_all_listed(tmp_path):
    file = tmp_path / "m.csv"
    file.write_text(
        "id,split,label,file,source,sha256\n"
        f"a.png,train,0,images/train/a.png,,{SHA}\n"
        f"A.png,dev,x,images/dev/A.png,,{SHA}\n"
        f"b.png,test,1,../b.png,,{SHA[1:]}\n"
        "short,row\n\n"
        f"../e.png,train,-1,images/train/../e.png,,{SHA}\n"
    )
    assert [p.replace(f"{file}, ", "") for p in problems(read_manifest, file)] == [
        "row 3: split 'dev' is unknown; expected train, val or test",
        "row 3: label 'x' is no class; expected 0, 1, 2, …",
        "row 3: id 'A.png' is a duplicate of row 2",
        "row 4: label of a test image is '1'; expected none",
        "row 4: file '../b.png' is misplaced; expected 'images/test/b.png'",
        f"row 4: sha256 '{SHA[1:]}' is no hash; expected 64 hexadecimal digits",
        "row 5: found 2 values; expected 6",
        "row 6: found 0 values; expected 6",
        "row 7: id '../e.png' is no plain file name (letters, digits, _ . -)",
        "row 7: label '-1' is no class; expected 0, 1, 2, …",
    ]
    file.write_text("a,b\n")
    assert (
        "row 1: header is 'a,b'; expected id,split,label,file,source,sha256"
        in problems(read_manifest, file)[0]
    )
    file.write_bytes(b"\xff")
    assert "is not a CSV file in UTF-8" in problems(read_manifest, file)[0]
