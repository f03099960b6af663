"""The challenges on video clips: published names and numbers, and copies through all the tools."""

import json
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vipriors import challenges
from vipriors.challenges import hidden, published
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.cli import main
from vipriors.data.clips import read_clip
from vipriors.data.lists import Listed
from vipriors.data.subset import cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.runs.prepared import find_data, prepare_challenge
from vipriors.tasks import actions

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from replica_clips import make_kinetics, make_ucf101, tiny_clips

WORDS = {"train": "train", "val": "validation", "test": "test"}
COUNTS = {"train": 4795, "val": 4742, "test": 3783}


@pytest.fixture(scope="module")
def ucf() -> Challenge:
    return read_challenge(challenges.find("ucf101-vipriors"))


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Listed]]:
    """The published list by split and id, in the order of the ids."""
    found: dict[str, dict[str, Listed]] = {split: {} for split in WORDS}
    for row in sorted(published.read_published("ucf101"), key=lambda row: str(row.id)):
        found[row.split][str(row.id)] = row
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    return make_ucf101(tmp_path_factory.mktemp("copy") / "UCF-101", tiny_clips(11))


@pytest.fixture(scope="module")
def theirs(shared_data) -> dict[str, list[str]]:
    """The lines of the published lists."""
    folder = shared_data / "vipriors_subsets"
    return {
        name: (folder / f"ucf101_{name}.txt").read_text().splitlines()
        for name in ("classInd", "train", "validation", "test")
    }


def action(row: Listed) -> str:
    return row.source.partition("/")[0]


def group(row: Listed) -> str:
    return row.source[:-8]


def test_names_and_labels_are_the_published_ones(ucf, rows, theirs):
    numbers = dict(reversed(line.split()) for line in theirs["classInd"])
    assert ucf.source.classes == tuple(sorted(numbers, key=lambda name: int(numbers[name])))
    for split in ("train", "val"):
        lines = [f"{id} {numbers[action(row)]}" for id, row in rows[split].items()]
        assert lines == theirs[WORDS[split]]
    assert list(rows["test"]) == theirs["test"]


def test_the_list(rows):
    """What is known of the published subset, without the published lists."""
    for split, count in COUNTS.items():
        assert list(rows[split]) == [f"video_{WORDS[split]}_{k:07}.avi" for k in range(1, count + 1)]
    everything = [row.source for split in rows.values() for row in split.values()]
    assert len(set(everything)) == 13_320
    learned: dict[str, list[int]] = defaultdict(list)
    for split in ("train", "val"):
        for name, count in sorted(Counter(action(row) for row in rows[split].values()).items()):
            learned[name].append(count)
    assert len(learned) == 101
    assert all(train - val in (0, 1) for train, val in learned.values())
    train, val = zip(*learned.values(), strict=True)
    assert (min(train), max(train), min(val), max(val)) == (36, 61, 36, 60)
    groups = {split: {group(row)[-2:] for row in rows[split].values()} for split in rows}
    assert groups["test"] == {f"{k:02}" for k in range(1, 8)}
    assert groups["train"] | groups["val"] == {f"{k:02}" for k in range(8, 26)}


def test_the_leaks_that_its_page_tells_of(rows):
    """Numbers of the test go class by class, and halves of an action's training clips share a group."""
    names = [action(row) for row in rows["test"].values()]
    assert sum(a != b for a, b in pairwise(names)) == 100
    groups = {split: {group(row) for row in rows[split].values()} for split in rows}
    shared = groups["train"] & groups["val"]
    assert len(shared) == len({key.partition("/")[0] for key in shared}) == 73
    assert not groups["test"] & (groups["train"] | groups["val"])
    page = (Path(__file__).parents[2] / "docs/challenges/ucf101-vipriors.md").read_text(encoding="utf-8")
    for said in ("4,795 (36–61 a class)", "4,742 (36–60 a class)", "| 3,783 |", "In 73 of the 101 classes"):
        assert said in page


def test_parts_are_nested_and_take_other_groups_first(ucf, copy, rows):
    source = ucf.open(copy)
    parts = {n: cut(source, ucf.rule(n)) for n in (4, 10, 40, None)}
    for n, part in parts.items():
        count = Counter(pick.split for pick in part)
        assert count["test"] == 3783
        if n:  # In the list's proportion, of which a little less than half is validation.
            held_out = n * 4742 // 9537
            assert (count["train"], count["val"]) == (101 * (n - held_out), 101 * held_out)
    ids = [{pick.id for pick in part} for part in parts.values()]
    assert all(small < large for small, large in pairwise(ids))
    by_id = {id: row for split in rows.values() for id, row in split.items()}
    of_action: dict[str, list[str]] = defaultdict(list)
    for pick in parts[10]:
        if pick.split == "train":
            of_action[action(by_id[pick.id])].append(group(by_id[pick.id]))
    assert all(len(set(groups)) == len(groups) == 6 for groups in of_action.values())
    with pytest.raises(BadInput, match=r"class \w+: has 36 train images in ucf101; expected 38"):
        cut(source, ucf.rule(74))


def test_a_part_through_all_the_tools(ucf, copy, rows, tmp_path, capsys):
    out = tmp_path / "out"
    prepared = prepare_challenge(ucf, ucf.rule(4), out, copy, "link")
    assert prepared.dataset.counts == {"train": 303, "val": 101, "test": 3783}
    assert prepared.dataset.classes == list(ucf.source.classes) and prepared.dataset.media == "clips"
    assert verify(out) == []
    for row in prepared.rows[::97]:
        assert (out / row.file).samefile(copy / rows[row.split][row.id].source)

    labels = prepared.labels_of("test")
    numbers = {name: k for k, name in enumerate(ucf.source.classes, start=1)}
    truth = {id: numbers[action(row)] for id, row in rows["test"].items()}
    assert actions.read_labels(labels.read_bytes()) == truth
    file = tmp_path / "predictions.txt"
    guesses = np.array([[(label + k) % 101 + 1 for k in range(-1, 4)] for label in truth.values()])
    actions.write(file, list(truth), guesses)
    for score in (
        hidden.find_hidden_test("ucf101-vipriors", labels).score(file),
        hidden.find_hidden_test("ucf101-vipriors", source=copy).score(file),
    ):
        assert score.estimates["top1"].value == 1 and score.details["classes"] == list(ucf.source.classes)
    file.write_text(file.read_text().partition("\n")[2])
    assert main(["check", "ucf101-vipriors", str(file), "--labels", str(labels)]) == 1
    assert "no row for 'video_test_0000001.avi'; expected one per clip" in capsys.readouterr().err

    data = find_data(ucf, ucf.rule(3), data=out, cache=False)
    split = data.load("val")
    assert split.images.shape == (101, 16, 112, 112, 3)
    clip = read_clip(copy / rows["val"][split.ids[7]].source, frames=16, size=(112, 112))
    assert np.array_equal(split.images[7], clip)


def test_what_the_copy_lacks_is_said_before_anything_is_written(tmp_path, capsys):
    (tmp_path / "UCF-101/YoYo").mkdir(parents=True)
    command = [
        "data",
        "prepare",
        "ucf101-vipriors",
        "--source",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(command) == 1
    assert "lacks 13320 of the 13320 clips of UCF101" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_kinetics_through_all_the_tools(tmp_path, capsys):
    clips = make_kinetics(tmp_path / "copy", tiny_clips(3, "h264"), actions=7)
    out = tmp_path / "out"
    command = [
        "data",
        "prepare",
        "kinetics400-vipriors",
        "--source",
        str(tmp_path / "copy"),
        "--out",
        str(out),
    ]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"train": 35, "val": 14, "test": 6}
    with pytest.raises(
        BadInput, match="has no test labels in this copy of its source; give them with --labels"
    ):
        hidden.find_hidden_test("kinetics400-vipriors", source=tmp_path / "copy")
    numbers = {name: k for k, name in enumerate(sorted({name for name, _ in clips["val"]}), start=1)}
    ids = [id for _, id in clips["val"]]
    guesses = np.array([[(numbers[name] + k) % 7 + 1 for k in range(-1, 4)] for name, _ in clips["val"]])
    actions.write(tmp_path / "val.txt", ids, guesses)
    labels = out / "annotations/val/labels.txt"
    score = hidden.find_hidden_test("kinetics400-vipriors", labels).score(tmp_path / "val.txt")
    assert score.estimates["top1"].value == 1
    challenge = read_challenge(challenges.find("kinetics400-vipriors"))
    part = find_data(challenge, challenge.rule(2), data=out, cache=False)
    assert Counter(row.split for row in part.rows) == {"train": 14, "val": 14, "test": 6}
    assert part.load("train").images.shape == (14, 16, 112, 112, 3)


@pytest.mark.slow
def test_all_of_ucf101(ucf, copy, rows, theirs, tmp_path):
    prepared = prepare_challenge(ucf, ucf.rule(), tmp_path / "out", copy, "link")
    assert prepared.dataset.counts == COUNTS
    for split in ("train", "val"):
        assert prepared.labels_of(split).read_text() == "".join(f"{line}\n" for line in theirs[WORDS[split]])
    assert {row.id for row in prepared.split("test")} == set(theirs["test"])
    assert verify(tmp_path / "out") == []
