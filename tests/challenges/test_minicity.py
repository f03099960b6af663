"""The challenge minicity: its published lists, and a copy of Cityscapes through all the tools."""

import csv
import gzip
import hashlib
import json
import re
import shlex
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors import challenges
from vipriors.challenges import hidden, published
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.cli import main, parser
from vipriors.data.prepared import Prepared
from vipriors.data.sources.cityscapes import NAMES
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.runs.prepared import find_data, prepare_challenge
from vipriors.tasks import segmentation
from vipriors.tasks.class_map import CITYSCAPES

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from replica_cityscapes import SIZE, make_copy, scene

COUNTS = {"train": 200, "val": 100, "test": 200}


@pytest.fixture(scope="module")
def challenge() -> Challenge:
    return read_challenge(challenges.find("minicity"))


@pytest.fixture(scope="module")
def names() -> dict[str, list[dict[str, str]]]:
    """The rows of each list, read from the files themselves."""
    found = {}
    for split in COUNTS:
        with gzip.open(published.ROOT / f"minicity_{split}.csv.gz", "rt") as file:
            found[split] = list(csv.DictReader(file))
    return found


@pytest.fixture(scope="module")
def stems(names) -> list[str]:
    """What the files of each image share, below `leftImg8bit` and `gtFine`; scene k is that of stem k."""
    tops = {"train": "train", "val": "train", "test": "val"}
    files = [f"{tops[split]}/{row['file']}" for split in COUNTS for row in names[split]]
    return [file.removesuffix("_leftImg8bit.png") for file in files]


@pytest.fixture(scope="module")
def copy(tmp_path_factory, stems) -> Path:
    """A copy with all images of the lists and some more."""
    others = ["train/zurich/zurich_999999_000019", "val/munster/munster_999999_000019"]
    return make_copy(tmp_path_factory.mktemp("cityscapes") / "copy", [*stems, *others])


@pytest.fixture(scope="module")
def prepared(challenge, copy, tmp_path_factory) -> Prepared:
    out = tmp_path_factory.mktemp("minicity") / "out"
    return prepare_challenge(challenge, challenge.rule(), out, copy)


def test_the_lists_are_the_published_ones(names, shared_data: Path) -> None:
    for split in names:
        theirs = (shared_data / "vipriors_subsets" / f"minicity_{split}.csv").read_bytes()
        assert gzip.decompress((published.ROOT / f"minicity_{split}.csv.gz").read_bytes()) == theirs


def test_counts_of_the_lists(names) -> None:
    """What is known of the published subset."""
    assert {split: len(rows) for split, rows in names.items()} == COUNTS
    assert len({row["file"] for rows in names.values() for row in rows}) == 500
    cities = {split: Counter(row["file"].partition("/")[0] for row in rows) for split, rows in names.items()}
    assert cities["train"].keys() == cities["val"].keys() and len(cities["train"]) == 18
    assert cities["test"] == {"munster": 68, "lindau": 25, "frankfurt": 107}
    numbers = [int(row["test_id"]) for row in names["test"]]
    assert len(set(numbers)) == 200 and 2**63 < max(numbers) < 2**64


def test_the_published_names_are_given(challenge, names, stems, prepared) -> None:
    assert prepared.dataset.counts == COUNTS
    assert prepared.dataset.classes == list(NAMES)
    for split in ("train", "val"):
        assert [row.id for row in prepared.split(split)] == [
            row["file"].partition("/")[2] for row in names[split]
        ]
        assert [row.source for row in prepared.split(split)] == [
            f"train/{row['file']}" for row in names[split]
        ]
    numbers = {f"{row['test_id']}.png": f"val/{row['file']}" for row in names["test"]}
    assert {row.id for row in prepared.split("test")} == numbers.keys()
    assert {(row.label, row.source) for row in prepared.split("test")} == {(None, "")}
    with (prepared.root / "labels/test_sources.csv").open() as file:
        assert {row["Image IDs"]: row["Source"] for row in csv.DictReader(file)} == numbers


def test_images_and_labels_are_those_of_the_copy(names, stems, prepared, copy) -> None:
    ids = [row["file"].partition("/")[2] for split in ("train", "val") for row in names[split]]
    ids += [f"{row['test_id']}.png" for row in names["test"]]
    of = dict(zip(ids, range(500), strict=True))
    for row in prepared.rows:
        data = (prepared.root / row.file).read_bytes()
        assert data == (copy / "leftImg8bit" / f"{stems[of[row.id]]}_leftImg8bit.png").read_bytes()
        assert row.sha256 == hashlib.sha256(data).hexdigest()
    for split in COUNTS:
        folder = prepared.labels_of(split)
        assert folder is not None
        assert sum(path.suffix == ".png" for path in folder.iterdir()) == 2 * COUNTS[split]
        for row in prepared.split(split):
            stem = row.id.removesuffix(".png").removesuffix("_leftImg8bit")
            for ending, expected in zip(("labelIds", "instanceIds"), scene(of[row.id])[1:], strict=True):
                with Image.open(folder / f"{stem}_gtFine_{ending}.png") as image:
                    assert np.array_equal(np.asarray(image), expected)
    assert verify(prepared.root) == []


def test_the_task_reads_the_labels(names, prepared, tmp_path: Path) -> None:
    """The truth scores full marks for itself, in a file named as the test images are."""
    truth = segmentation.open_truth(prepared.root / "labels/test")
    numbers = {row["test_id"] for row in names["test"]}
    assert set(truth.index.ids) == numbers and set(truth.index.sizes) == {SIZE}
    assert truth.classes == CITYSCAPES.names
    ids = truth.index.ids
    file = tmp_path / "results.zip"
    segmentation.write(file, ids, (truth.labels.images[id_].load(id_)[0] for id_ in ids))
    score = hidden.find_hidden_test("minicity", prepared.root / "labels/test").score(file)
    assert {name: estimate.value for name, estimate in score.estimates.items()} == {
        "iou_class": 1, "iou_category": 1, "iiou_class": 1, "iiou_category": 1, "boundary_iou": 1,
        "pixel_accuracy": 1,
    }  # fmt: skip
    assert {segmentation.id_of(row.id) for row in prepared.split("test")} == numbers


def test_the_truth_can_be_taken_from_the_copy(prepared, copy) -> None:
    from_copy = hidden.find_hidden_test("minicity", source=copy)
    from_folder = hidden.find_hidden_test("minicity", prepared.root / "labels/test")
    assert from_copy.truth.index == from_folder.truth.index
    for id_, image in from_folder.truth.labels.images.items():
        assert from_copy.truth.labels.images[id_].labels.read_bytes() == image.labels.read_bytes()


def test_a_run_finds_all_images(challenge, prepared) -> None:
    data = find_data(challenge, challenge.rule(), data=prepared.root, cache=False)
    assert {split: len(data.select(split)) for split in COUNTS} == COUNTS
    assert data.load("val").images.shape == (100, 384, 768, 3)
    part = find_data(challenge, challenge.rule(30), data=prepared.root, cache=False)
    assert part.select("train") == data.select("train")[:20] and part.select("val") == data.select("val")[:10]
    assert part.select("test") == data.select("test")


def test_the_command(copy, prepared, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    command = ["data", "prepare", "minicity", "--source", str(copy), "--out", str(out), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == COUNTS
    assert main(["data", "verify", str(out)]) == 0
    for name in ("dataset.json", "manifest.csv", "labels/SHA256SUMS", "annotations/SHA256SUMS"):
        assert (out / name).read_bytes() == (prepared.root / name).read_bytes()


def test_a_lacking_copy_stops_before_anything_is_written(stems, tmp_path: Path, capsys) -> None:
    copy = make_copy(tmp_path / "copy", stems[:7] + stems[480:])
    command = ["data", "prepare", "minicity", "--source", str(copy), "--out", str(tmp_path / "out")]
    assert main(command) == 1
    said = capsys.readouterr().err
    for top, ending, what in (
        ("leftImg8bit", "_leftImg8bit.png", "images"),
        ("gtFine", "_gtFine_labelIds.png", "label maps"),
        ("gtFine", "_gtFine_instanceIds.png", "instance maps"),
    ):
        first = ", ".join(f"{stem}{ending}" for stem in stems[7:10])
        assert (
            f"{copy}/{top}: lacks 473 of the 500 {what} needed, or has them empty: {first} and 470 more; "
            f"expected {top}_trainvaltest.zip whole, unpacked or as it is"
        ) in said
    assert not (tmp_path / "out").exists()


def test_the_commands_of_its_page_parse() -> None:
    page = (Path(__file__).parents[2] / "docs/challenges/minicity.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.S) for line in block.splitlines()]
    assert len(lines) == 4
    for line in lines:
        parser().parse_args(shlex.split(line)[1:])


def test_preparing_needs_a_copy_and_says_how_to_get_one(challenge) -> None:
    with pytest.raises(
        BadInput, match=r"challenge minicity: needs your copy.*--source.*cityscapes-dataset\.com"
    ):
        challenge.open()
