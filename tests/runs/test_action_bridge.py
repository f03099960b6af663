"""Clips from a prepared folder to a predictions file that is checked and scored."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from vipriors.challenges.schema import Challenge
from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput
from vipriors.runs.bridges import actions as bridge
from vipriors.runs.bridges import find
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.records import RunRecord, read_score
from vipriors.runs.run import Plan, load_model, run
from vipriors.tasks import actions
from vipriors.train import Execution

CPU = Execution(device="cpu")
NAMES = ("wave", "jump", "fall")


@dataclasses.dataclass(frozen=True)
class Flashes:
    """Clips of 5 frames, one of them bright: early, in the middle or late. Each class has one length."""

    first: int = 1
    """The number of the first class."""
    name: str = "flashes"
    root: None = None
    media: str = "clips"
    classes: tuple[str, ...] = NAMES
    names: tuple[str, ...] = NAMES

    @property
    def samples(self) -> tuple[SourceSample, ...]:
        return tuple(
            SourceSample(f"{split}/{label}/{number}", label, split)
            for split in ("train", "test")
            for label in range(3)
            for number in range(8)
        )

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        from vipriors.data.images import encode_npy

        rng = np.random.default_rng(list(sample.key.encode()))
        clip = rng.integers(0, 60, (5, 6, 8, 1), dtype=np.uint8)
        clip[2 * sample.label] += 150
        return ".npy", encode_npy(clip)

    def annotations(self, named: Named):
        yield "labels.txt", "".join(f"{id_} {one.label + self.first}\n" for id_, one in named).encode()

    def test_index(self, named: Named):
        return iter(())


def flashes(folder: Path, monkeypatch: pytest.MonkeyPatch, first: int = 1) -> RunData:
    monkeypatch.setattr(Challenge, "open", lambda self, path=None: Flashes(first))
    challenge = Challenge.model_validate(
        {
            "name": "flashes",
            "title": "Flashes",
            "task": "actions",
            "source": {"world": "clips"},
            "subset": {"images_per_class": 6, "validation": 0.5, "test_per_class": 5},
            "input": {"size": [6, 8], "channels": 1, "frames": 5},
        }
    )
    return find_data(challenge, challenge.rule(), data=folder / "data")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunData:
    return flashes(tmp_path, monkeypatch)


class Known:
    """Gives each clip the probabilities of its class, told by its brightest frame."""

    def probabilities(self, clips: np.ndarray) -> np.ndarray:
        assert clips.shape[1:] == (5, 6, 8, 1)
        brightest = clips.mean((2, 3, 4)).argmax(1) // 2
        return np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.0, 0.4, 0.6]], np.float32)[brightest]


def rows_of(file: Path) -> dict[str, list[int]]:
    lines = [line.split(" ") for line in file.read_text().splitlines()]
    return {id_: [int(number) for number in numbers] for id_, *numbers in lines}


def test_it_is_the_bridge_of_actions() -> None:
    assert find("actions") is bridge
    assert bridge.SUFFIX == ".txt"


def test_what_is_learned_from(data: RunData) -> None:
    train, both = bridge.labelled(data, "train"), bridge.labelled(data, "train", "val")
    assert train.images.shape == (9, 5, 6, 8, 1)
    assert train.images.dtype == np.uint8
    assert both.images.shape == (18, 5, 6, 8, 1)
    assert (both.images.mean((2, 3, 4)).argmax(1) // 2 == both.labels).all()
    assert np.bincount(both.labels).tolist() == [6, 6, 6]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("split", ["val", "test"])
def test_classes_are_written_by_number_and_ranked(first, split, tmp_path, monkeypatch) -> None:
    data = flashes(tmp_path, monkeypatch, first)
    file = tmp_path / "predictions.txt"
    bridge.write(data, split, Known(), file)
    rows = rows_of(file)
    labels = (data.prepared.labels_of(split)).read_text().split()
    numbers = dict(zip(labels[::2], map(int, labels[1::2]), strict=True))
    assert rows.keys() == {row.id for row in data.select(split)} == numbers.keys()
    ranked = {0: [0, 1, 2], 1: [1, 0, 2], 2: [2, 1, 0]}
    for id_, found in rows.items():
        assert found == [class_ + first for class_ in ranked[numbers[id_] - first]]
    truth = bridge.truth(data, split)
    predictions, problems = actions.check(file.read_bytes(), truth.index)
    assert not problems
    score = actions.score(predictions, truth.labels, truth.index, truth.classes)
    assert score.estimates["top1"].value == 1


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_truth(data: RunData, split: str) -> None:
    truth = bridge.truth(data, split)
    assert truth.classes == NAMES
    assert truth.index.first == 1
    assert truth.index.classes == 3
    assert truth.index.ids == tuple(sorted(row.id for row in data.select(split)))
    keys = {row.id: row.source for row in data.select("val")}
    if split == "val":
        assert truth.labels == {id_: int(key.split("/")[1]) + 1 for id_, key in keys.items()}


def test_the_truth_of_a_smaller_subset_has_no_more_than_its_clips(data: RunData) -> None:
    rule = data.challenge.rule(4)
    part = find_data(data.challenge, rule, data=data.root)
    truth = bridge.truth(part, "val")
    assert len(truth.labels) == len(part.select("val")) == 6 < len(data.select("val"))
    assert truth.labels.keys() == set(truth.index.ids) == {row.id for row in part.select("val")}


def test_without_labels_there_is_no_truth_but_a_submission(data: RunData, tmp_path: Path) -> None:
    shutil.rmtree(data.root / "labels")
    assert bridge.truth(data, "test") is None
    assert run(data, Plan("class-prior"), tmp_path / "run") is None
    assert len(rows_of(tmp_path / "run" / "predictions.txt")) == 15


def test_a_clip_without_a_label_is_named(data: RunData, tmp_path: Path) -> None:
    file = data.prepared.labels_of("test")
    first, _, rest = file.read_text().partition("\n")
    file.write_text(rest)
    with pytest.raises(BadInput, match=f"no label for '{first.split()[0]}'; expected one per image"):
        run(data, Plan("class-prior"), tmp_path / "run")


@pytest.mark.parametrize("name", ["two-plus-one", "c3d", "frame-nearest-neighbour"])
def test_a_run_from_clips_to_score(name: str, data: RunData, tmp_path: Path) -> None:
    few = {"steps": "40", "width": "4", "lr": "0.05", "batch_size": "9", "frames": "5", "strides": "1"}
    plan = Plan(name, overrides={} if name.startswith("frame") else few, rehearse=True)
    score = run(data, plan, tmp_path / "run", execution=CPU)
    assert score is not None
    assert score.headline == "top1"
    assert score.estimates["top1"].value > 0.5
    record = RunRecord.read(tmp_path / "run")
    assert record.predictions == "predictions.txt"
    assert record.validation is not None
    assert read_score(tmp_path / "run").estimates["top1"].value == score.estimates["top1"].value
    assert (tmp_path / "run/validation.txt").is_file()
    _, model = load_model(tmp_path / "run", CPU)
    bridge.write(data, "test", model, tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_bytes() == (tmp_path / "run/predictions.txt").read_bytes()
