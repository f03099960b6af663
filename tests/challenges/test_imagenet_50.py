"""The challenge imagenet-50: its published lists, and a copy of ImageNet through all the tools."""

import csv
import gzip
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from vipriors import challenges
from vipriors.challenges import hidden, published
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.cli import main
from vipriors.data.subset import cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.runs.prepared import find_data, prepare_challenge

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from replica_imagenet import make_copy, pictures


@pytest.fixture(scope="module")
def challenge() -> Challenge:
    return read_challenge(challenges.find("imagenet-50"))


@pytest.fixture(scope="module")
def names() -> dict[str, list[tuple[str, str]]]:
    """Class and file of every image of each split, read from the files themselves."""
    found = {}
    for split in ("train", "val", "test"):
        with gzip.open(published.ROOT / f"imagenet50_{split}.csv.gz", "rt") as file:
            found[split] = [(row["wnid"], row["file"]) for row in csv.DictReader(file)]
    return found


def test_the_lists_are_the_published_ones(names, shared_data) -> None:
    for split in names:
        name = f"imagenet50_{split}.csv.gz"
        theirs = (shared_data / "vipriors_subsets" / name).read_bytes()
        assert gzip.decompress((published.ROOT / name).read_bytes()) == gzip.decompress(theirs)


def test_counts_of_the_lists(names) -> None:
    """What is known of the published subset: fifty of each class and split, nothing twice."""
    classes = sorted({wnid for wnid, _ in names["train"]})
    assert len(classes) == 1000
    for split in names:
        assert Counter(wnid for wnid, _ in names[split]) == dict.fromkeys(classes, 50)
    learned = [file for split in ("train", "val") for _, file in names[split]]
    assert len(set(learned)) == 100_000
    assert {file for _, file in names["test"]} == {f"ILSVRC2012_val_{k:08d}.JPEG" for k in range(1, 50_001)}


def test_all_150000_are_cut_as_published(challenge, names) -> None:
    """Ids, splits, classes and keys of the whole subset, without a copy."""
    rule = challenge.rule()
    picks = cut(challenge.open(images=False), rule)
    classes = sorted({wnid for wnid, _ in names["train"]})
    found = [(p.split, p.id, p.sample.key, classes[p.sample.label]) for p in picks]
    learned = [
        (split, file, f"{wnid}/{file}", wnid) for split in ("train", "val") for wnid, file in names[split]
    ]
    tests = {("test", f"img_{k}.JPEG", file, wnid) for k, (wnid, file) in enumerate(names["test"])}
    assert found[:100_000] == learned
    assert set(found[100_000:]) == tests and len(found) == 150_000


def test_a_part_keeps_fifty_to_fifty(challenge, names) -> None:
    picks = cut(challenge.open(images=False), challenge.rule(10))
    for split in ("train", "val"):
        first: dict[str, list[str]] = {}
        for wnid, file in names[split]:
            first.setdefault(wnid, []).append(file)
        wanted = {file for files in first.values() for file in files[:5]}
        assert {p.id for p in picks if p.split == split} == wanted
    assert sum(p.split == "test" for p in picks) == 50_000


def test_the_truth_needs_no_copy(challenge, names, tmp_path: Path) -> None:
    """Any file of 2020 can be scored; one that leaves images out is not scored over the rest."""
    classes = sorted({wnid for wnid, _ in names["train"]})
    labels = [classes.index(wnid) for wnid, _ in names["test"]]
    rows = [f"img_{k}.JPEG,{label if k % 4 else 0}" for k, label in enumerate(labels)]
    file = tmp_path / "predictions.csv"
    file.write_text("\n".join(["Image IDs,Predictions", *rows]) + "\n")
    right = sum(k % 4 > 0 or label == 0 for k, label in enumerate(labels))
    test = hidden.find_hidden_test("imagenet-50")
    assert len(test.truth.index.ids) == len(test.truth.labels) == 50_000
    assert test.score(file).estimates["top1"].value == pytest.approx(right / 50_000)
    file.write_text("Image IDs,Predictions\n" + rows[1] + "\n")
    with pytest.raises(BadInput, match=r"no row for 'img_\d+\.JPEG'; expected one per image"):
        test.score(file)


def test_preparing_needs_a_copy_and_says_how_to_get_one(challenge) -> None:
    with pytest.raises(BadInput, match=r"challenge imagenet-50: needs your copy.*--source.*image-net\.org"):
        challenge.open()


@pytest.fixture(scope="module")
def small(tmp_path_factory, names) -> Path:
    """A challenge like imagenet-50 on one image of each split and class, and a copy for it."""
    folder = tmp_path_factory.mktemp("small")
    content = yaml.safe_load(challenges.find("imagenet-50").read_text())
    content |= {"name": "small", "subset": {"list": "small.csv"}, "input": {"size": [8, 8]}}
    (folder / "challenge.yaml").write_text(yaml.safe_dump(content))
    rows = [(split, f"{w}/{f}", f) for split in ("train", "val") for w, f in of_each(names[split])]
    rows += [("test", f, f"img_{k}.JPEG") for k, (_, f) in enumerate(of_each(names["test"]))]
    table = [("split", "source", "id"), *rows]
    (folder / "small.csv").write_text("".join(f"{','.join(row)}\n" for row in table))
    training = [*of_each(names["train"]), *of_each(names["val"])]
    make_copy(folder / "copy", training, of_each(names["test"]), "sorted", pictures(64))
    return folder


def of_each(names: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first of each class."""
    first: dict[str, str] = {}
    for wnid, file in names:
        first.setdefault(wnid, file)
    return list(first.items())


def test_a_thousand_classes_from_disk(small: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    command = ["data", "prepare", str(small), "--source", str(small / "copy"), "--out", str(out), "--json"]
    assert main([*command, "--mode", "link"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"train": 1000, "val": 1000, "test": 1000}
    assert verify(out) == []
    challenge = read_challenge(small / "challenge.yaml")
    data = find_data(challenge, challenge.rule(), data=out)
    assert len(data.classes) == 1000 and data.load("train").images.shape == (1000, 8, 8, 3)
    assert hidden.find_hidden_test(str(small)).truth == (
        hidden.find_hidden_test(str(small), out / "labels/test.csv").truth
    )


def test_a_lacking_copy_stops_before_anything_is_written(small: Path, tmp_path: Path, capsys) -> None:
    command = ["data", "prepare", str(small), "--source", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "lacks 2000 of the 2000 training images needed" in said and "and 1997 more" in said
    assert "lacks 1000 of the 1000 validation images needed" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_all_150000_from_disk(challenge, names, tmp_path: Path) -> None:
    contents = pictures(300)
    training = [*names["train"], *names["val"]]
    make_copy(tmp_path / "copy", training, names["test"], "flat", contents)
    rule = challenge.rule()
    prepared = prepare_challenge(challenge, rule, tmp_path / "out", tmp_path / "copy", "link")
    assert prepared.dataset.counts == {"train": 50_000, "val": 50_000, "test": 50_000}
    for split in ("train", "val"):
        assert [row.id for row in prepared.split(split)] == [file for _, file in names[split]]
    where = {f"img_{k}.JPEG": k + 100_000 for k in range(50_000)}
    for row in prepared.rows[::997] + prepared.split("test")[::997]:
        k = where[row.id] if row.split == "test" else prepared.rows.index(row)
        assert (tmp_path / "out" / row.file).read_bytes() == contents[k % 300]
