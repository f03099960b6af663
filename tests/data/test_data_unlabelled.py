"""Images that may be learned from without their labels: drawn, prepared, verified, loaded; two domains."""

import csv
import dataclasses
import hashlib
import shutil
from collections import Counter

import numpy as np
import pytest
import yaml

from vipriors.challenges import find
from vipriors.challenges.hidden import class_names, find_hidden_test
from vipriors.challenges.schema import read_challenge
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import ArrayPart, ArraySource
from vipriors.data.sources.domains import TwoDomains
from vipriors.data.subset import SubsetRule, cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.runs.prepared import find_data
from vipriors.runs.run import _training_set
from vipriors.worlds.digits import digits
from vipriors.worlds.digits_first import FIRST, digits_first
from vipriors.worlds.digits_shifted import digits_shifted

CLASSES = ("ant", "bee", "cow")
RULE = SubsetRule(4, 0, 0.5, 3, unlabelled=None)


def source(each: dict[str | None, int], name: str = "src", classes=CLASSES) -> ArraySource:
    """Images that are all different, of each class as many for each split as asked for."""
    parts, rng = [], np.random.default_rng(0)
    for split, n in each.items():
        labels = np.tile(np.arange(len(classes)), n)
        images = rng.integers(0, 256, (len(labels), 4, 4), dtype=np.uint8)
        parts.append(ArrayPart(str(split), split, images, labels))
    return ArraySource(name, classes, parts)


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def counts(picks) -> Counter:
    return Counter((pick.split, pick.sample.label) for pick in picks)


def test_what_is_left_over_is_unlabelled():
    src = source({None: 12})
    picks = cut(src, RULE)
    per_class = {"train": 2, "val": 2, "test": 3, "unlabelled": 5}
    assert counts(picks) == {(split, label): n for split, n in per_class.items() for label in range(3)}
    assert {pick.sample.key for pick in picks} == {sample.key for sample in src.samples}
    assert len({pick.id for pick in picks}) == len(picks)
    labelled = [pick for pick in picks if pick.split != "unlabelled"]
    assert labelled == cut(src, SubsetRule(4, 0, 0.5, 3)), "the others are those of a rule without"
    assert [pick.id for pick in picks[-15:]] == [f"unlabelled_{k}" for k in range(15)]


def test_a_number_of_them_is_drawn_without_a_look_at_classes():
    src = source({"train": 40, "test": 3})
    few, more = (cut(src, SubsetRule(4, 0, 0.5, None, unlabelled=n)) for n in (20, 50))
    drawn = [{pick.sample.key for pick in picks if pick.split == "unlabelled"} for picks in (few, more)]
    assert [len(one) for one in drawn] == [20, 50] and drawn[0] < drawn[1]
    found = Counter(pick.sample.label for pick in few if pick.split == "unlabelled")
    assert len(set(found.values())) > 1, "as many of each class would tell of it"
    assert problems(cut, src, SubsetRule(4, 0, 0.5, None, unlabelled=200)) == [
        "src: has 108 images left over; expected 200 without labels"
    ]


def test_their_numbers_tell_nothing_of_the_class():
    picks = [pick for pick in cut(source({None: 200}), RULE) if pick.split == "unlabelled"]
    labels = np.array([pick.sample.label for pick in picks])
    number = np.arange(len(labels))
    assert all(abs(number[labels == label].mean() / number.mean() - 1) < 0.15 for label in range(3))
    secret = cut(source({None: 200}), RULE, test_key="a secret of 16 letters")
    assert [p.sample.key for p in picks] != [p.sample.key for p in secret if p.split == "unlabelled"]


def test_a_long_tail():
    picks = cut(source({None: 47}), SubsetRule(4, 0, 0.5, 3, unlabelled=None, tail=0.5))
    assert counts(p for p in picks if p.split == "unlabelled") == {
        ("unlabelled", 0): 40,
        ("unlabelled", 1): 20,
        ("unlabelled", 2): 10,
    }
    picks = cut(source({None: 17}), SubsetRule(4, 0, 0.5, 3, unlabelled=None, tail=0.01))
    assert [n for (split, _), n in sorted(counts(picks).items()) if split == "unlabelled"] == [10, 1, 1]
    assert problems(SubsetRule, 4, 0, 0.5, 3, unlabelled=-1, tail=0) == [
        "unlabelled: found -1; expected 0 or more",
        "tail: found 0; expected a share in (0, 1]",
    ]


@pytest.fixture
def prepared(tmp_path):
    out = tmp_path / "out"
    return prepare(source({None: 12}), RULE, out, challenge="toy", channels=1, test_key="0123456789abcdef")


def test_no_label_of_theirs_is_outside_labels(prepared):
    root = prepared.root
    assert prepared.dataset.counts == {"train": 6, "val": 6, "test": 9, "unlabelled": 15}
    rows = prepared.split("unlabelled")
    assert len(rows) == 15 and all(row.label is None and row.source == "" for row in rows)
    assert {path.name for path in (root / "images" / "unlabelled").iterdir()} == {row.id for row in rows}
    with (root / "labels" / "unlabelled_sources.csv").open() as file:
        sources = {row["Image IDs"]: row["Source"] for row in csv.DictReader(file)}
    assert list(sources) == [row.id for row in rows]
    shutil.rmtree(root / "labels")
    text = b"\n".join(path.read_bytes() for path in root.rglob("*") if path.suffix in (".csv", ".json"))
    keys = [key for key in sources.values() if key.encode() + b"," in text]
    assert keys == [], "which image of the source it is would tell its class"
    assert read_prepared(root).rows == prepared.rows and verify(root) == []


def test_a_manifest_with_a_label_of_theirs_is_refused(prepared):
    file = prepared.root / "manifest.csv"
    number = next(k for k, row in enumerate(prepared.rows, start=2) if row.split == "unlabelled")
    file.write_text(file.read_text().replace(",unlabelled,,", ",unlabelled,1,", 1))
    assert problems(read_prepared, prepared.root) == [
        f"{file}, row {number}: label of an unlabelled image is '1'; expected none"
    ]


def test_verify_covers_them(prepared):
    folder, rows = prepared.root / "images" / "unlabelled", prepared.split("unlabelled")
    (folder / rows[0].id).unlink()
    (folder / rows[1].id).write_bytes(b"other")
    (folder / "stranger.png").write_bytes(b"")
    (prepared.root / "labels" / "unlabelled_sources.csv").write_text("changed")
    found = [str(problem) for problem in verify(prepared.root)]
    assert found[0] == f"{folder / rows[0].id}: is missing"
    assert found[1].startswith(f"{folder / rows[1].id}: is damaged or changed")
    assert found[2] == f"{folder / 'stranger.png'}: is not in the manifest; expected no such file"
    assert len(found) == 4 and "unlabelled_sources.csv: is damaged or changed" in found[3]


def test_packed_and_repaired_they_are_the_same(prepared, tmp_path):
    src, key = source({None: 12}), "0123456789abcdef"
    packed = prepare(src, RULE, tmp_path / "tar", challenge="toy", channels=1, mode="pack", test_key=key)
    assert packed.dataset == prepared.dataset and verify(packed.root) == []
    assert (packed.root / "images" / "unlabelled.tar").is_file()
    (prepared.root / prepared.split("unlabelled")[3].file).unlink()
    again = prepare(src, RULE, prepared.root, challenge="toy", channels=1, test_key=key)
    assert again == prepared and verify(prepared.root) == []


def test_rules_without_them_are_described_as_before(tmp_path):
    rule = SubsetRule(4, 0, 0.5, 3)
    found = prepare(source({None: 12}), rule, tmp_path / "out", challenge="toy", channels=1).dataset
    assert set(found.rule) == {"images_per_class", "seed", "validation", "test_per_class", "test_seed"}
    assert set(found.counts) == {"train", "val", "test"}


def test_two_domains():
    own, target = source({None: 8, "test": 5}, "own"), source({"train": 6, "test": 4}, "target")
    both = TwoDomains(own, target)
    picks = cut(both, SubsetRule(4, 0, 0.5, None, unlabelled=None))
    assert counts(picks) == {
        (split, label): n
        for split, n in {"train": 2, "val": 2, "test": 4, "unlabelled": 6}.items()
        for label in range(3)
    }
    for pick in picks:
        side = target if pick.split in ("test", "unlabelled") else own
        key = pick.sample.key.partition("/")[2]
        (original,) = (sample for sample in side.samples if sample.key == key)
        assert both.content(pick.sample) == side.content(original) and original.label == pick.sample.label


def test_domains_that_do_not_fit(tmp_path):
    own, target = source({None: 8}, "own"), source({"train": 6, "test": 4}, "target")
    assert problems(TwoDomains, own, source({None: 8}, "target")) == [
        "target target: has no test split of its own; expected one, and others to learn from"
    ]
    other = source({"train": 6, "test": 4}, "other", ("ant", "bee", "dog"))
    assert problems(TwoDomains, own, other) == [
        "target other: has classes ant, bee, dog; expected ant, bee, cow, as own has"
    ]
    both = TwoDomains(own, dataclasses.replace(target, root=tmp_path))
    assert both.name == "own and target"
    assert problems(prepare, both, RULE, tmp_path / "out", challenge="toy", channels=1) == [
        f"{tmp_path / 'out'}: lies in the source {tmp_path}, which is never written to"
    ]


EMBEDDED = {
    "digits-few-labels": ({"train": 10, "val": 10, "test": 800, "unlabelled": 977}, "f89f0539dd393829"),
    "digits-two-domains": ({"train": 300, "val": 100, "test": 413, "unlabelled": 785}, "ee76b7f474005d11"),
}
"""Images of each split, and the start of the manifest's hash: the same bytes on every machine."""


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_challenges(name, tmp_path):
    challenge = read_challenge(find(name))
    expected, digest = EMBEDDED[name]
    data = find_data(challenge, challenge.rule(), data=tmp_path / "data", cache=False)
    assert data.prepared.dataset.counts == expected and verify(data.root) == []
    assert data.manifest_sha256[:16] == digest
    assert len({row.sha256 for row in data.rows}) == len(data.rows), "no image is in two splits"
    seen = _training_set(data, "train", "val")
    assert seen.unlabelled is not None and seen.unlabelled.shape == (expected["unlabelled"], 8, 8, 1)
    assert len(seen.train.labels) == expected["train"] + expected["val"]
    assert list(class_names(challenge) or ()) == list("0123456789")
    index = find_hidden_test(name).truth.index
    assert set(index.ids) == {row.id for row in data.select("test")}
    wrong = problems(find_data, challenge, challenge.rule(images_per_class=5), data=tmp_path / "data")
    held = challenge.subset.images_per_class
    assert wrong == [f"{tmp_path / 'data' / 'dataset.json'}: holds {held} images a class; expected 5"]


def test_challenges_without_them_say_so(tmp_path):
    challenge = read_challenge(find("digits"))
    data = find_data(challenge, challenge.rule(), data=tmp_path / "data", cache=False)
    assert _training_set(data, "train").unlabelled is None
    few = yaml.safe_load(find("digits").read_text()) | {"subset": {"images_per_class": 10, "unlabelled": 100}}
    few["subset"]["test_per_class"] = 80
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(few))
    other = read_challenge(tmp_path / "few.yaml")
    assert problems(find_data, other, other.rule(), data=tmp_path / "data") == [
        f"{tmp_path / 'data' / 'dataset.json'}: holds a subset with unlabelled 0; expected 100"
    ]


def test_they_are_for_classification(tmp_path):
    content = yaml.safe_load(find("digits-segmentation").read_text())
    content["subset"]["unlabelled"] = "all"
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(content))
    (message,) = problems(read_challenge, file)
    assert "target and subset.unlabelled are for task classification" in message


def test_a_target_with_a_long_tail_and_a_folder_beside_the_file(tmp_path):
    target = source({"train": 30, "test": 4}, classes=tuple("0123456789"))
    for part in target.parts:
        arrays = {"images": part.images.repeat(2, 1).repeat(2, 2), "labels": part.labels}
        np.savez(tmp_path / f"{part.split}.npz", classes=np.array(target.classes), **arrays)
    content = yaml.safe_load(find("digits-two-domains").read_text())
    content["target"] = {"kind": "numpy", "path": ".", "tail": 0.5}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    challenge = read_challenge(tmp_path / "mine.yaml")
    found = counts(cut(challenge.open(), challenge.rule()))
    assert [found["unlabelled", label] for label in range(10)] == [30, 15, 8, 4, 2, 1, 1, 1, 1, 1]
    assert [found["test", label] for label in range(10)] == [4] * 10


def test_the_two_worlds_share_no_digit():
    everything = digits().parts[0]
    (first,) = digits_first().parts
    train, test = digits_shifted().parts
    assert np.array_equal(first.images, everything.images[:FIRST])
    assert len(first.labels) + len(train.labels) + len(test.labels) == 1797
    rest = Counter(train.labels.tolist()) + Counter(test.labels.tolist())
    assert rest == Counter(everything.labels[FIRST:].tolist())
    for part in (train, test):
        assert part.images.dtype == np.uint8 and part.images.shape[1:] == (8, 8, 1)
        assert part.images.mean() > first.images.mean() + 20 and part.images.std() < first.images.std()
    for world in (digits_first, digits_shifted):
        name = world.__name__
        assert problems(world, "detection") == [
            f"world {name}: has no labels for detection; expected task classification"
        ]


def test_the_shift_is_learned_around_but_not_away():
    """Nearest neighbours among its own kind know it; those among the digits as they are hardly."""
    (first,), (train, test) = digits_first().parts, digits_shifted().parts

    def right(learned: ArrayPart) -> float:
        own, seen = (part.images.reshape(len(part.images), -1).astype(float) for part in (learned, test))
        own, seen = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (own, seen))
        return float((learned.labels[(seen @ own.T).argmax(1)] == test.labels).mean())

    assert 0.5 < right(first) < 0.75 < 0.85 < right(train)


def test_worlds_are_the_same_on_every_machine():
    parts = digits_shifted().parts
    found = hashlib.sha256(b"".join(part.images.tobytes() for part in parts)).hexdigest()
    assert found[:16] == "deb5bb4d0759e5de"
