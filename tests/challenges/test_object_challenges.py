"""coco-vipriors, delftbikes, basketball-instances, bccd: their subsets, and copies through all the tools."""

import hashlib
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from vipriors import challenges
from vipriors.challenges import hidden
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.cli import main
from vipriors.data.sources.base import SourceSample
from vipriors.data.subset import Pick, cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.runs.prepared import find_data

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from replica_coco import make_basketball, make_coco, make_delftbikes, make_voc

ROOT = Path(__file__).parents[2]
NAMES = ("coco-vipriors", "delftbikes", "basketball-instances")
COCO = {"train": 117_266, "test": 5_000}
"""Images of train2017 with annotations, and of val2017."""


def challenge_of(name: str) -> Challenge:
    return read_challenge(challenges.find(name))


@dataclass
class Names:
    """As many samples as a source has, without its files."""

    samples: list[SourceSample]
    name: str = "names"
    root: Path | None = None
    classes: list[str] = field(default_factory=lambda: ["image"])

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        return ".jpg", b""


def coco_names() -> Names:
    return Names(
        [SourceSample(f"train2017/{5 * k:012d}.jpg", 0, "train") for k in range(COCO["train"])]
        + [SourceSample(f"val2017/{5 * k + 1:012d}.jpg", 0, "test") for k in range(COCO["test"])]
    )


@pytest.fixture(scope="module")
def source() -> Names:
    return coco_names()


@pytest.fixture(scope="module")
def picks(source) -> list[Pick]:
    return cut(source, challenge_of("coco-vipriors").rule())


def test_coco_vipriors_has_the_published_sizes(source, picks):
    assert Counter(pick.split for pick in picks) == {"train": 5873, "val": 4946, "test": 5000}
    assert len({pick.sample.key for pick in picks}) == len({pick.id for pick in picks}) == len(picks)
    tests = picks[-5000:]
    assert [pick.id for pick in tests] == [f"img_{k}" for k in range(5000)]
    assert {p.sample.key for p in tests} == {s.key for s in source.samples if s.split == "test"}
    # Test images lie in an order of their own, so that a number says nothing of a name.
    assert sum(a.sample.key < b.sample.key for a, b in pairwise(tests)) in range(2300, 2700)


def test_coco_vipriors_is_the_same_on_every_machine(picks):
    lines = "".join(f"{pick.split},{pick.id},{pick.sample.key}\n" for pick in picks)
    assert hashlib.sha256(lines.encode()).hexdigest() == (
        "f571dec419f80e4bc556dff2629fe1e98ef78d459b499d9938a926f1348185a2"
    )


def test_subsets_of_coco_vipriors_are_nested(source, picks):
    challenge = challenge_of("coco-vipriors")
    subsets = [cut(source, challenge.rule(100)), cut(source, challenge.rule(1000)), picks]
    chosen = [{(p.sample.key, p.split, p.id) for p in some if p.split != "test"} for some in subsets]
    for n, some in zip((100, 1000, 10819), chosen, strict=True):
        assert len(some) == n
        assert sum(split == "val" for _, split, _ in some) == int(n * 0.4572)
    assert chosen[0] < chosen[1] < chosen[2]
    other = {pick.sample.key for pick in cut(source, challenge.rule(1000, 7)) if pick.split != "test"}
    assert len(other & {key for key, _, _ in chosen[1]}) < 30  # 1000 of 117,266, drawn twice: 9 on average


def test_delftbikes_has_the_published_sizes():
    samples = [SourceSample(f"train/{k}.jpg", 0, "train") for k in range(8000)]
    samples += [SourceSample(f"test/{k}.jpg", 0, "test") for k in range(2000)]
    picks = cut(Names(samples), challenge_of("delftbikes").rule())
    assert Counter(pick.split for pick in picks) == {"train": 7000, "val": 1000, "test": 2000}


@pytest.mark.parametrize("name", NAMES)
def test_pages_and_descriptions_agree_with_the_rules(name):
    page = (ROOT / "docs/challenges" / f"{name}.md").read_text()
    challenge = challenge_of(name)
    assert f"vipriors data prepare {name} --source" in page
    numbers = {"coco-vipriors": "5,873 4,946 5,000 10,819", "delftbikes": "7,000 1,000 2,000"}.get(name, "")
    for number in numbers.split():
        assert number in page
    assert re.search(r"no other data, no pre-trained\s+weights", " ".join(challenge.rules))


def test_the_successor_says_that_it_is_not_the_original():
    page = " ".join((ROOT / "docs/challenges/coco-vipriors.md").read_text().split())
    said = " ".join(challenge_of("coco-vipriors").description.split())
    for text in (page, said):
        assert "successor of the object detection track of the first VIPriors challenge (2020)" in text
        assert re.search("not compare one to one", text)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("name", "make", "options", "counts"),
    [
        ("coco-vipriors", make_coco, ["--images-per-class", 10], {"train": 6, "val": 4, "test": 9}),
        ("delftbikes", make_delftbikes, [], {"train": 14, "val": 2, "test": 5}),
        ("basketball-instances", make_basketball, [], {"train": 5, "val": 3, "test": 5}),
    ],
)
def test_a_copy_through_the_command_line(tmp_path, capsys, name, make, options, counts):
    root, out = make(tmp_path / "copy"), tmp_path / "out"
    assert run("data", "prepare", name, "--source", root, "--out", out, *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == counts
    assert run("data", "verify", out, "--json") == 0 and verify(out) == []
    number = options[1] if options else None
    data = find_data(challenge_of(name), challenge_of(name).rule(number), data=out, cache=False)
    height, width = challenge_of(name).input.size
    assert data.load("train").images.shape == (counts["train"], height, width, 3)
    assert data.load("val").labels is None
    labels = json.loads(data.prepared.labels_of("train").read_bytes())
    has_masks = {"segmentation" in entry for entry in labels["annotations"]}
    assert has_masks == {name == "basketball-instances"}
    assert [category["name"] for category in labels["categories"]] == list(data.classes)


def test_the_hidden_labels_are_those_that_preparing_writes(tmp_path):
    root, out, file = make_coco(tmp_path / "copy", "zips"), tmp_path / "out", tmp_path / "small.yaml"
    content = yaml.safe_load(challenges.find("coco-vipriors").read_text())
    file.write_text(yaml.safe_dump(content | {"subset": {"images": 10}}))
    assert run("data", "prepare", file, "--source", root, "--out", out) == 0
    from_file = hidden.find_hidden_test(str(file), out / "labels/test/labels.json").truth
    from_copy = hidden.find_hidden_test(str(file), source=root).truth
    assert from_file.index == from_copy.index
    assert from_file.index.ids == tuple(range(9)) and from_file.classes == from_copy.classes
    assert (from_file.labels.boxes == from_copy.labels.boxes).all()


def test_a_test_without_labels_is_not_scored(tmp_path):
    root = make_basketball(tmp_path / "copy")
    with pytest.raises(
        BadInput, match="has no test labels in this copy of its source; give them with --labels"
    ):
        hidden.find_hidden_test("basketball-instances", source=root)
    root = make_basketball(tmp_path / "other", "test.json")
    assert len(hidden.find_hidden_test("basketball-instances", source=root).truth.index.ids) == 5


def test_an_incomplete_copy_leaves_nothing_behind(tmp_path, capsys):
    root, out = make_coco(tmp_path / "copy"), tmp_path / "out"
    (root / "val2017/000000000038.jpg").unlink()
    assert run("data", "prepare", "coco-vipriors", "--source", root, "--out", out) == 1
    assert "lacks 1 of the 9 images that instances_val2017.json lists" in capsys.readouterr().err
    assert not out.exists()


def test_a_subset_larger_than_the_copy(tmp_path, capsys):
    root, out = make_coco(tmp_path / "copy"), tmp_path / "out"
    assert run("data", "prepare", "coco-vipriors", "--source", root, "--out", out) == 1
    expected = "class image: has 20 images for training and validation; expected 10819"
    assert expected in capsys.readouterr().err
    assert not out.exists()


def test_without_a_copy_the_way_to_one_is_said():
    for name, where in zip(NAMES, ("cocodataset.org", "oskyhn/DelftBikes", "CodaLab"), strict=True):
        with pytest.raises(BadInput, match=rf"--source.*{where}"):
            challenge_of(name).open()


BCCD = ROOT / "examples/challenges/bccd.yaml"


def test_the_blood_cells_example(tmp_path, shared_data):
    out = tmp_path / "out"
    assert run("data", "prepare", BCCD, "--source", shared_data / "bccd", "--out", out, "--mode", "link") == 0
    challenge = read_challenge(BCCD)
    data = find_data(challenge, challenge.rule(), data=out, cache=False)
    assert data.prepared.dataset.counts == {"train": 205, "val": 87, "test": 72}
    assert data.classes == ("RBC", "WBC", "Platelets")
    count = Counter()
    for split in ("train", "val", "test"):
        truth = hidden.find_hidden_test("detection", data.prepared.labels_of(split)).truth
        assert set(truth.index.sizes) == {(480, 640)}
        count += Counter(truth.labels.objects.classes.tolist())
    assert count == {0: 4153, 1: 372, 2: 361}


def test_the_example_reads_any_set_of_its_form(tmp_path, capsys):
    assert (
        run("data", "prepare", BCCD, "--source", make_voc(tmp_path / "copy"), "--out", tmp_path / "out") == 1
    )
    expected = "has objects of other classes: cat, dog; expected RBC, WBC, Platelets"
    assert expected in capsys.readouterr().err
