"""The embedded challenges on clouds of points, from the world to a checked and scored submission."""

import importlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vipriors.challenges import embedded, find, hidden, public
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.cli import main
from vipriors.data.subset import cut
from vipriors.data.verify import verify
from vipriors.pictures.clouds import GAP, SIDE, views
from vipriors.problems import BadInput
from vipriors.report import write_report
from vipriors.report.finished import read_run
from vipriors.report.pictures import pictures_of
from vipriors.report.pictures.points import COUNT
from vipriors.runs.audit import audit
from vipriors.runs.predict import predict
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.run import Plan, run
from vipriors.tasks import points
from vipriors.worlds.solids import CLASSES, SHIFTS, cloud

NAMES = [name for name in embedded() if name.startswith("solids-points")]


def test_there_is_one_for_each_shift() -> None:
    assert set(NAMES) == {"solids-points", *(f"solids-points-{s}" for s in SHIFTS if s != "none")}
    for name in NAMES:
        challenge = read_challenge(find(name))
        shift = name.removeprefix("solids-points").removeprefix("-") or None
        assert challenge.source.variant == shift and challenge.task == "points"
        assert challenge.form.shape == (256, 3)


def test_the_same_clouds_in_each_but_for_what_is_done_to_the_test() -> None:
    cuts = {name: cut(read_challenge(find(name)).open(), read_challenge(find(name)).rule()) for name in NAMES}
    assert len({tuple((pick.id, pick.split, pick.sample) for pick in picks) for picks in cuts.values()}) == 1
    count = Counter((pick.split, pick.sample.label) for pick in cuts["solids-points"])
    expected = {(split, k): n for split, n in (("train", 10), ("val", 5), ("test", 50)) for k in range(10)}
    assert count == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": {"size": [8, 8]}}, "input.points is for clouds, which task points is about"),
        ({"task": "classification"}, "input.points is for clouds, which task points is about"),
        ({"input": {"points": 0}}, "greater than or equal to 1"),
        ({"source": {"kind": "folder", "path": "clouds"}}, "source.kind points is for clouds, which task"),
    ],
)
def test_what_fits_together(changes, message, tmp_path) -> None:
    content = {
        "name": "mine",
        "title": "Mine",
        "task": "points",
        "source": {"kind": "points", "path": "clouds"},
        "input": {"points": 64},
    }
    file = tmp_path / "challenge.yaml"
    file.write_text(json.dumps(content))
    assert read_challenge(file).baseline == "point-net"
    file.write_text(json.dumps(content | changes))
    with pytest.raises(BadInput, match=message):
        read_challenge(file)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    challenge = Challenge.model_validate(
        {
            "name": "few-solids",
            "title": "A few solids",
            "task": "points",
            "source": {"world": "solids", "variant": "drop"},
            "subset": {"images_per_class": 4, "validation": 0.5, "test_per_class": 2},
            "input": {"points": 64},
        }
    )
    return find_data(challenge, challenge.rule(), data=tmp_path_factory.mktemp("solids") / "data")


@pytest.fixture(scope="module")
def finished(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    score = run(data, Plan("cloud-nearest-neighbour"), out)
    assert score is not None and score.task == "points" and score.headline == "top1"
    return out


def test_the_prepared_folder(data: RunData) -> None:
    assert verify(data.root) == []
    assert data.classes == CLASSES
    found = data.load("train")
    keys = [row.source for row in data.select("train")]
    assert found.labels is not None and [CLASSES[k] for k in found.labels] == [k.split("/")[2] for k in keys]
    for key, points_of in zip(keys, found.images, strict=True):
        assert {tuple(p) for p in points_of.tolist()} <= {tuple(p) for p in cloud(key).tolist()}
    assert all(len(np.load(data.root / row.file)) < 256 for row in data.select("test"))
    text = (data.root / "manifest.csv").read_text().split("img_", 1)[1]
    assert not any(name in text for name in CLASSES)


def test_scored_as_by_hand(data: RunData, finished: Path) -> None:
    lines = (finished / "predictions.csv").read_text().splitlines()
    assert lines[0].startswith("Image IDs,Predictions,P0,")
    named = {line.split(",")[0]: int(line.split(",")[1]) for line in lines[1:]}
    labels = points.read_labels((data.root / "labels/test.csv").read_bytes())
    right = np.mean([named[id_] == label for id_, label in labels.items()])
    scores = json.loads((finished / "scores.json").read_text())
    assert scores["task"] == "points"
    assert read_run(finished).score.estimates["top1"].value == pytest.approx(right)
    assert right > 0.3  # chance is 0.1
    index = public.public_index(data.challenge, data.prepared)
    found, problems = points.check((finished / "predictions.csv").read_bytes(), index)
    assert problems == [] and found is not None and len(found.classes) == 20


def test_the_hidden_test_needs_no_folder(tmp_path: Path) -> None:
    test = hidden.find_hidden_test("solids-points-noise")
    assert len(test.truth.index.ids) == 500 and test.truth.classes == CLASSES
    file = tmp_path / "predictions.csv"
    points.write(file, test.truth.index.ids, [test.truth.labels[id_] for id_ in test.truth.index.ids])
    assert test.score(file).estimates["top1"].value == 1


def test_the_run_is_audited(data: RunData, finished: Path) -> None:
    found = audit(finished, data=data.root)
    assert found.verdict == "same" and found.foreign_reads == []


def test_own_clouds_are_recognised(data: RunData, finished: Path, tmp_path: Path) -> None:
    row = data.select("train")[0]
    np.savetxt(tmp_path / "mine.xyz", np.load(data.root / row.file))
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    rows, problems = predict(finished, tmp_path)
    assert [one["label"] for one in rows] == [CLASSES[row.label]]
    assert len(problems) == 1 and "broken.npy" in str(problems[0])


def test_pictures_from_the_worst_to_the_best(data: RunData, finished: Path) -> None:
    found = pictures_of(read_run(finished), data.root)
    assert len(found) == COUNT
    assert [("probability 1.00" in one.caption) for one in found] == sorted(
        "probability 1.00" in one.caption for one in found
    )
    page = write_report(finished, data.root).read_text()
    assert all(one.source in page for one in found)
    assert "20 test clouds" in page and "points of a cloud" in page


def test_labels_of_another_run_are_refused(data: RunData, finished: Path, tmp_path: Path) -> None:
    run_ = read_run(finished)
    lines = (finished / "predictions.csv").read_text().splitlines()
    other = tmp_path / "run"
    other.mkdir()
    for file in finished.iterdir():
        if file.is_file():
            (other / file.name).write_bytes(file.read_bytes())
    first, second = (line.split(",")[:2] for line in lines[1:3])
    assert first[0] != second[0]
    ones = [f"{line.split(',')[0]},0" for line in lines[1:]]
    (other / "predictions.csv").write_text("\n".join(["Image IDs,Predictions", *ones]) + "\n")
    with pytest.raises(BadInput, match="these are not the labels of this run"):
        pictures_of(read_run(other), data.root)
    assert run_.recipe.challenge.task == "points"


def test_three_views() -> None:
    corner = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0.5], [0, 0.25, 0]], np.float32)
    page = views(corner)
    assert page.shape == (SIDE, 3 * SIDE + 2 * GAP)
    dark = [np.argwhere(page[:, k * (SIDE + GAP) : k * (SIDE + GAP) + SIDE] < 200) for k in range(3)]
    sizes = [tuple(np.ptp(one, axis=0) + 1) for one in dark]
    # Height and width: of the front x and z, of the side y and z, from above x and y.
    for found, (width, height) in zip(sizes, [(1, 0.5), (0.25, 0.5), (1, 0.25)], strict=True):
        assert found[1] == pytest.approx(width * (SIDE - 2) + 2, abs=1)
        assert found[0] == pytest.approx(height * (SIDE - 2) + 2, abs=1)
    assert (views(np.zeros((1, 3), np.float32)) < 200).sum() == 3 * 4


def test_from_the_command_line(tmp_path, capsys) -> None:
    assert main(["list", "challenges"]) == 0
    assert "solids-points-tilt" in capsys.readouterr().out
    assert main(["list", "tasks"]) == 0
    assert "points" in capsys.readouterr().out


def test_real_shapes_as_a_user_takes_them(shared_data: Path, tmp_path: Path, monkeypatch) -> None:
    """Sixteen chairs and monitors of ModelNet10, from voxels through the example to a prepared folder."""
    root = Path(__file__).parents[2] / "examples"
    monkeypatch.syspath_prepend(root)
    example = importlib.import_module("voxels_to_points")
    with np.load(shared_data / "modelnet10_voxels/voxels32.npz", allow_pickle=False) as stored:
        some = [
            place
            for label in (0, 1)
            for test, count in ((False, 11), (True, 5))
            for place in np.flatnonzero((stored["labels"] == label) & (stored["is_test"] == test))[:count]
        ]
        part = {key: stored[key][some] for key in ("voxels_packed", "labels", "is_test")}
        np.savez(tmp_path / "some.npz", **part, classes=stored["classes"])
    monkeypatch.setattr("sys.argv", ["example", str(tmp_path / "some.npz"), str(tmp_path / "clouds")])
    example.main()
    grid = np.unpackbits(part["voxels_packed"], axis=1).reshape(-1, 32, 32, 32)[0]
    cloud_of = example.surface(grid)
    inner = sum(
        all(grid[tuple(place + step)] for step in np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)]))
        for place in np.argwhere(grid)
        if (place > 0).all() and (place < 31).all()
    )
    assert len(cloud_of) == grid.sum() - inner
    challenge = read_challenge(root / "challenges/modelnet10.yaml")
    data = find_data(challenge, challenge.rule(), data=tmp_path / "out", source=tmp_path / "clouds")
    assert data.classes == ("chair", "monitor")
    assert [len(data.select(split)) for split in ("train", "val", "test")] == [12, 8, 10]
    found = data.load("train").images
    assert found.shape == (12, 256, 3) and np.linalg.norm(found, axis=2).max() <= 1 + 1e-6
