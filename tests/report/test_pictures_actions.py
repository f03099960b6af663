"""Clips as strips in a run's report, against the clips and the predictions file."""

import dataclasses
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors.challenges.schema import Challenge
from vipriors.problems import BadInput
from vipriors.report import write_report
from vipriors.report.finished import FinishedRun, read_run
from vipriors.report.pictures import pictures_of
from vipriors.report.pictures.actions import COUNT, caption, enlarged, places, strip
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.run import Plan, run
from vipriors.tasks.actions import read_labels
from vipriors.worlds.clips import ACTIONS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    challenge = Challenge.model_validate(
        {
            "name": "few-clips",
            "title": "A few clips",
            "task": "actions",
            "source": {"world": "clips"},
            "subset": {"images_per_class": 2, "validation": 0.5, "test_per_class": 2},
            "input": {"size": [48, 48], "channels": 1, "frames": 16},
        }
    )
    return find_data(challenge, challenge.rule(), data=tmp_path_factory.mktemp("clips") / "data")


@pytest.fixture(scope="module")
def finished(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    out = tmp_path_factory.mktemp("runs") / "run"
    run(data, Plan("frame-nearest-neighbour"), out)
    return read_run(out)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_clips_are_shown_from_the_worst_to_the_best(finished: FinishedRun, data: RunData) -> None:
    found = pictures_of(finished, data.root)
    assert len(found) == COUNT
    file = data.prepared.labels_of("test")
    labels = read_labels(file.read_bytes())
    lines = (line.split() for line in (finished.folder / "predictions.txt").read_text().splitlines())
    named = {id_: [ACTIONS[int(number) - 1] for number in numbers] for id_, *numbers in lines}
    order, seen = [], set()
    for picture in found:
        id_, label, place = re.match(r"(\S+): “(\S+)”, (.*); predicted", picture.caption).groups()
        seen.add(id_)
        assert label == ACTIONS[labels[id_] - 1]
        expected = named[id_].index(label) + 1 if label in named[id_] else 6
        assert place == (f"at place {expected}" if expected < 6 else "not among the 5 predictions")
        first = ", ".join(f"“{name}”" for name in named[id_][:3])
        assert f"; predicted {first}. Time runs" in picture.caption
        order.append(expected)
    assert len(seen) == COUNT
    assert order == sorted(order, reverse=True)
    every = [
        named[id_].index(ACTIONS[number - 1]) + 1 if ACTIONS[number - 1] in named[id_] else 6
        for id_, number in labels.items()
    ]
    assert (order[0], order[-1]) == (max(every), min(every))


def test_the_pictures_are_of_the_clips_they_name(finished: FinishedRun, data: RunData) -> None:
    for picture in pictures_of(finished, data.root):
        clip = np.load(data.root / "clips/test" / picture.caption.partition(":")[0])
        shown = pixels(picture.png)
        assert shown.shape == (2 * 96 + 2, 4 * 96 + 3 * 2, 3)
        for number in range(8):
            row, column = divmod(number, 4)
            part = shown[98 * row : 98 * row + 96, 98 * column : 98 * column + 96]
            frame = clip[2 * number + 1]
            assert np.array_equal(part[::2, ::2, :1], frame)
            assert np.array_equal(part[1::2, 1::2, 2:], frame)


def test_the_report_has_them(finished: FinishedRun, data: RunData, tmp_path: Path) -> None:
    page = write_report(finished.folder, data.root, tmp_path / "report.html").read_text()
    assert page.count("Time runs along the upper row") == 2 * COUNT  # once as the text for the blind
    for picture in pictures_of(finished, data.root):
        assert picture.source in page


def test_there_are_none_without_test_labels(finished: FinishedRun, data: RunData, tmp_path: Path) -> None:
    shutil.copytree(data.root, tmp_path / "data")
    shutil.rmtree(tmp_path / "data/labels")
    assert pictures_of(finished, tmp_path / "data") == []


def test_other_labels_are_refused(finished: FinishedRun, data: RunData, tmp_path: Path) -> None:
    shutil.copytree(data.root, tmp_path / "data")
    file = tmp_path / "data/labels/test/labels.txt"
    ids = [line.split()[0] for line in file.read_text().splitlines()]
    named = (finished.folder / "predictions.txt").read_text().splitlines()
    first = {line.split()[0]: line.split()[1] for line in named}
    file.write_text("".join(f"{id_} {first[id_]}\n" for id_ in ids))
    scored = int(finished.confusion.trace())
    message = f"make 20 predictions right; expected {scored}, as in scores.json: these are not the labels"
    with pytest.raises(BadInput, match=message):
        pictures_of(finished, tmp_path / "data")


def test_damaged_predictions_are_named(finished: FinishedRun, data: RunData, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "run")
    (tmp_path / "run/predictions.txt").write_text("img_0.npy 1 2 3 4 99\n")
    damaged = dataclasses.replace(finished, folder=tmp_path / "run")
    with pytest.raises(BadInput) as caught:
        pictures_of(damaged, data.root)
    assert any("class '99' is out of range" in problem.message for problem in caught.value.problems)


def test_a_manifest_without_a_clip_is_refused(finished: FinishedRun, data: RunData, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "run")
    file = tmp_path / "run/manifest.csv"
    file.write_text("".join(line for line in file.open() if not line.startswith("img_3.npy")))
    with pytest.raises(BadInput, match="lacks test clips that are in"):
        pictures_of(dataclasses.replace(finished, folder=tmp_path / "run"), data.root)


def test_places() -> None:
    named = np.array([[3, 1, 2], [0, 3, 1], [2, 1, 3], [0, 1, 2]])
    assert places(named, np.array([3, 3, 3, 3])).tolist() == [1, 2, 3, 4]


def test_captions() -> None:
    classes = ("run", "sit", "lie")
    found = caption("a.avi", classes, np.array([2, 0, 1]), 0, 2)
    reading = "Time runs along the upper row, then the lower."
    assert found == f"a.avi: “run”, at place 2; predicted “lie”, “run”, “sit”. {reading}"
    assert "“run”, not among the 2 predictions; predicted “lie”, “sit”." in caption(
        "a.avi", classes, np.array([2, 1]), 0, 3
    )


@pytest.mark.parametrize(
    ("frames", "rows", "columns"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (8, 2, 4), (30, 2, 4)]
)
def test_strips_of_few_and_of_many_frames(frames: int, rows: int, columns: int) -> None:
    clip = np.arange(frames, dtype=np.uint8)[:, None, None, None] * np.ones((1, 48, 96, 1), np.uint8)
    found = strip(clip)
    assert found.shape == (rows * 50 - 2, columns * 98 - 2, 3)
    shown = [found[50 * (n // columns), 98 * (n % columns), 0] for n in range(min(frames, 8))]
    assert shown == sorted(set(shown))
    assert frames > 8 or shown == list(range(frames))
    if frames == 3:
        assert (found[50:, 98:] == 128).all()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((48, 48, 1), (96, 96, 3)),
        ((30, 40, 3), (60, 80, 3)),
        ((96, 50, 2), (96, 50, 3)),
        ((240, 320, 3), (72, 96, 3)),
        ((112, 112, 1), (96, 96, 3)),
        ((5, 4, 13), (95, 76, 3)),
    ],
)
def test_frames_of_any_size(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert enlarged(frame).shape == expected
    if shape[2] == 13:
        assert np.array_equal(enlarged(frame)[::19, ::19], frame[:, :, :3])
