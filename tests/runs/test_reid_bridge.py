"""From a prepared folder of persons to a run: what methods get, what is written, and the pictures of it."""

import dataclasses
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.metrics import average_precision_score

from vipriors.challenges.schema import Challenge
from vipriors.data.images import encode_png
from vipriors.data.prepare import prepare
from vipriors.data.sources.base import AnnotatedSource, Named, SourceSample
from vipriors.pictures import rankings
from vipriors.problems import BadInput
from vipriors.report.finished import read_run
from vipriors.report.pictures import pictures_of
from vipriors.runs import bridges
from vipriors.runs.bridges import reid as bridge
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.records import read_score
from vipriors.runs.run import Plan, load_model, run, run_floors
from vipriors.tasks import reid
from vipriors.train import Execution

CPU = Execution("cpu")
SIZE = (12, 10)
PERSONS = {"train": range(5, 11), "val": range(20, 24), "test": range(40, 46)}


@dataclasses.dataclass(frozen=True)
class Persons:
    """Persons are patterns; the first pixel tells who it is, and the second which sight of them."""

    name: str = "persons"
    root: None = None
    media: str = "images"
    classes: tuple[str, ...] = ("image",)
    names: tuple[str, ...] = ("person",)
    cameras: bool = True

    @property
    def samples(self) -> list[SourceSample]:
        keys = [
            (split, person, "query" if sight == 0 and split != "train" else "gallery", sight)
            for split, persons in PERSONS.items()
            for sight in range(4)
            for person in persons
        ]
        return [SourceSample("/".join(map(str, key)), 0, key[0]) for key in keys]

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        _, person, _, sight = sample.key.split("/")
        pattern = np.random.default_rng(int(person)).integers(0, 200, (3, 2, 3)).repeat(4, 0).repeat(5, 1)
        noise = np.random.default_rng(1000 * int(person) + int(sight)).integers(0, 56, (*SIZE, 3))
        image = (pattern + noise).astype(np.uint8)
        image[0, 0], image[0, 1] = int(person), int(sight)
        return ".png", encode_png(image)

    def annotations(self, named: Named) -> Iterator[tuple[str, bytes]]:
        header, lines = ["split", "id", "person", "camera"], []
        for id_, sample in named:
            _, person, role, sight = sample.key.split("/")
            lines.append([role, id_, person, f"cam{int(sight) % 2}"])
        columns = slice(1 if named[0][1].split == "train" else 0, 4 if self.cameras else 3)
        yield "labels.csv", "".join(",".join(line[columns]) + "\n" for line in [header, *lines]).encode()

    def test_index(self, named: Named) -> Iterator[tuple[str, bytes]]:
        lines = (f"{sample.key.split('/')[2]},{id_}\n" for id_, sample in named)
        yield "roles.csv", ("split,id\n" + "".join(lines)).encode()


def challenge(**changes) -> Challenge:
    fields = {
        "name": "persons",
        "title": "Persons",
        "task": "reid",
        "source": {"kind": "synergy-reid"},
        "subset": {"validation": "source"},
        "input": {"size": SIZE, "channels": 3},
    }
    return Challenge.model_validate(fields | changes)


def prepared(out: Path, source: AnnotatedSource, given: Challenge) -> RunData:
    prepare(source, given.rule(), out, challenge=given.name, channels=3)
    return find_data(given, given.rule(), data=out, cache=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """To be read only."""
    return prepared(tmp_path_factory.mktemp("persons") / "data", Persons(), challenge())


@pytest.fixture
def own(data: RunData, tmp_path: Path) -> RunData:
    """A copy to be changed."""
    shutil.copytree(data.root, tmp_path / "own")
    return find_data(data.challenge, data.challenge.rule(), data=tmp_path / "own", cache=False)


class FirstPixels:
    """Knows who it is, and lies a little by the sight."""

    def embeddings(self, images):
        return images[:, 0, :2, 0].astype(np.float32) * np.float32([1, 0.2])


def who(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def problem(function, *arguments) -> str:
    with pytest.raises(BadInput) as caught:
        function(*arguments)
    (found,) = caught.value.problems
    return str(found)


@pytest.mark.parametrize("splits", [("train",), ("val",), ("train", "val")])
def test_persons_are_numbered(data: RunData, splits) -> None:
    found = bridge.labelled(data, *splits)
    persons = sorted({str(person) for split in splits for person in PERSONS[split]})
    assert found.images.shape == (sum(4 * len(PERSONS[split]) for split in splits), *SIZE, 3)
    assert found.labels.dtype == np.int64
    assert [persons[label] for label in found.labels] == [str(person) for person in who(found.images)]


def test_a_part_of_the_training_images(data: RunData) -> None:
    part = dataclasses.replace(data, rows=data.rows[:9])
    found = bridge.labelled(part, "train")
    names = sorted({str(person) for person in who(found.images)})
    assert [names[label] for label in found.labels] == [str(person) for person in who(found.images)]


def test_labels_without_cameras(tmp_path: Path) -> None:
    data = prepared(tmp_path / "data", Persons(cameras=False), challenge())
    assert (data.root / "annotations/train/labels.csv").read_text().startswith("id,person\n")
    assert len(set(bridge.labelled(data, "train", "val").labels.tolist())) == 10
    assert {image.camera for image in bridge.truth(data, "test").labels.gallery.values()} == {None}


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_distances_of_queries_to_the_gallery(data: RunData, split, tmp_path: Path) -> None:
    bridge.write(data, split, FirstPixels(), file := tmp_path / "predictions.csv")
    truth = bridge.truth(data, split)
    found, problems = reid.check(file.read_bytes(), truth.index)
    assert problems == []
    images = data.load(split)
    points = dict(zip(images.ids, FirstPixels().embeddings(images.images), strict=True))
    queries, gallery = ([points[id_] for id_ in ids] for ids in (truth.index.queries, truth.index.gallery))
    assert np.allclose(found.distances, cdist(queries, gallery), atol=1e-6)
    assert (len(queries), len(gallery)) == (len(PERSONS[split]), 3 * len(PERSONS[split]))
    labels = truth.labels
    assert {labels.queries[id_].person for id_ in labels.queries} == {str(p) for p in PERSONS[split]}
    assert reid.score(found, labels, truth.index, ()).estimates["mAP"].value == 1


points = arrays(np.float32, (5, 3), elements=st.floats(-1000, 1000, width=32))


@given(points, points)
def test_distances_are_euclidean(a, b) -> None:
    assert np.allclose(bridge.distances(a, b), cdist(a.astype(float), b.astype(float)), rtol=1e-6, atol=1e-4)
    assert np.allclose(np.diag(bridge.distances(a, a)), 0, atol=1e-4)


def test_without_test_labels_there_is_no_truth_but_predictions(own: RunData, tmp_path: Path) -> None:
    shutil.rmtree(own.root / "labels")
    assert bridge.truth(own, "test") is None
    bridge.write(own, "test", FirstPixels(), tmp_path / "predictions.csv")
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 7


def first_id(file: Path) -> str:
    return next(part for part in file.read_text().splitlines()[1].split(",") if part.endswith(".png"))


COLUMNS = "; expected the columns id,person, none of them empty"


@pytest.mark.parametrize(
    ("split", "change", "expected"),
    [
        (
            "train",
            lambda text: text.replace(text.splitlines()[1] + "\n", ""),
            "leaves out images, 1 in all: ID",
        ),
        ("train", lambda _: "image,person\nimage_1.png,3\n", "row 2 and 0 more" + COLUMNS),
        ("train", lambda text: text + "a.png\n,3\n", "row 26 and 1 more" + COLUMNS),
        ("train", lambda _: "", "no rows" + COLUMNS),
        ("val", lambda text: text + "gallery,x.png,20,c\n", "has images that are not there, 1 in all: x.png"),
    ],
)
def test_labels_that_do_not_fit(own: RunData, split, change, expected) -> None:
    file = own.root / "annotations" / split / "labels.csv"
    expected = expected.replace("ID", first_id(file))
    file.write_text(change(file.read_text()))
    assert problem(bridge.labelled, own, split) == f"{file}: {expected}"
    if split == "val":
        assert problem(bridge.write, own, split, FirstPixels(), own.root / "p.csv") == f"{file}: {expected}"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text, id_: text.replace(f",{id_}\n", f",{id_}x\n"), "leaves out images, 1 in all: ID"),
        (
            lambda text, id_: text.replace(f"gallery,{id_}\n", f"both,{id_}\n"),
            "leaves out images, 1 in all: ID",
        ),
        (lambda text, _: text.replace("split,id", "id,split"), "index, queries: no ids"),
        (lambda *_: "split,id\n", "no rows; expected the columns split,id, none of them empty"),
    ],
)
def test_roles_that_do_not_fit(own: RunData, change, expected) -> None:
    file = own.root / "annotations" / "test" / "roles.csv"
    id_ = next(line.partition(",")[2] for line in file.read_text().splitlines() if line.startswith("gallery"))
    file.write_text(change(file.read_text(), id_))
    with pytest.raises(BadInput) as caught:
        bridge.write(own, "test", FirstPixels(), own.root / "p.csv")
    assert expected.replace("ID", id_) in str(caught.value)
    assert not (own.root / "p.csv").exists()


def test_labels_that_are_no_text_or_not_there(own: RunData) -> None:
    file = own.root / "annotations" / "train" / "labels.csv"
    file.write_bytes(b"id,person\n\xff,1\n")
    assert problem(bridge.labelled, own, "train").startswith(f"{file}: is not a CSV file in UTF-8: ")
    file.unlink()
    assert problem(bridge.labelled, own, "train") == f"{file}: cannot be read: No such file or directory"


@pytest.fixture(scope="module")
def finished(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with floors, to be read only."""
    out = tmp_path_factory.mktemp("reid") / "run"
    few = {"steps": "12", "batch_size": "8", "images_per_person": "2", "width": "4", "dimensions": "6"}
    run(data, Plan(overrides=few, rehearse=True), out, execution=CPU)
    run_floors(data, 0, out)
    return out


def test_a_run_is_scored_and_can_be_loaded(finished: Path, data: RunData, tmp_path: Path) -> None:
    score = read_score(finished)
    assert score.task == "reid" and score.details["n_test"] == 6
    record = json.loads((finished / "record.json").read_text())
    assert record["counts"] == {"train": 24, "val": 16, "test": 24, "unlabelled": 0}
    assert 0 < record["validation"] <= 1
    last = json.loads((finished / "rehearsal" / "log.jsonl").read_text().splitlines()[-1])
    assert {"val_mAP", "val_rank1"} <= last.keys()
    _, model = load_model(finished, CPU)
    bridge.write(data, "test", model, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (finished / "predictions.csv").read_bytes()
    for floor in data.challenge.floors:
        recipe = json.loads((finished / "floors" / floor / "recipe.json").read_text())
        assert min(recipe["hyper_parameters"].values()) > 0  # searched, and written down


def test_a_run_without_test_labels_ends_with_a_checked_file(own: RunData, tmp_path: Path) -> None:
    shutil.rmtree(own.root / "labels")
    assert run(own, Plan("pixel-distance"), tmp_path / "run") is None
    assert (tmp_path / "run" / "record.json").is_file()
    assert not (tmp_path / "run" / "scores.json").exists()
    assert pictures_of(read_run(tmp_path / "run"), own.root) == []


def test_the_bridge_offers_what_bridges_state() -> None:
    assert bridges.find("reid") is bridge
    assert bridge.SUFFIX == ".csv"


# Pictures.


@pytest.fixture(scope="module")
def guessed(finished: Path, data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose distances are by chance, so that each query is another."""
    shutil.copytree(finished, out := tmp_path_factory.mktemp("reid") / "guessed")
    truth = bridge.truth(data, "test")
    guess = np.random.default_rng(0).random((len(truth.index.queries), len(truth.index.gallery)))
    reid.write(out / "predictions.csv", truth.index.queries, reid.Predictions(truth.index.gallery, guess))
    found, _ = reid.check((out / "predictions.csv").read_bytes(), truth.index)
    score = reid.score(found, truth.labels, truth.index, ())
    (out / "scores.json").write_text(json.dumps(score.to_json()))
    return out


def test_pictures_of_the_worst_to_the_best(guessed: Path, data: RunData) -> None:
    shown = pictures_of(read_run(guessed), data.root)
    assert len(shown) == 6
    truth = bridge.truth(data, "test")
    found, _ = reid.check((guessed / "predictions.csv").read_bytes(), truth.index)
    precisions = {}
    for query, row in zip(truth.index.queries, found.distances, strict=True):
        mine = truth.labels.queries[query]
        others = [truth.labels.gallery[id_] for id_ in truth.index.gallery]
        kept = [image != mine for image in others]  # of another person or camera
        matches = np.array([image.person == mine.person for image in others])[kept]
        precisions[query] = average_precision_score(matches, -row[kept])
        caption = next(p.caption for p in shown if p.caption.startswith(f"{query} "))
        assert f"person {mine.person}: average precision {100 * precisions[query]:.1f} %" in caption
        first = np.flatnonzero(matches[np.argsort(row[kept])])[0] + 1
        there = f"{matches.sum()} images of the person are among {len(matches)}, the first at rank {first}."
        assert caption.endswith(there)
    order = [precisions[picture.caption.partition(" ")[0]] for picture in shown]
    assert order == sorted(order)
    assert len(set(order)) > 3
    assert np.mean(order) == pytest.approx(read_score(guessed).estimates["mAP"].value)
    for picture in shown:
        with Image.open(io.BytesIO(picture.png)) as image:
            assert image.height == 96 + 2 * 4
            assert image.mode == "RGB"


def test_frames_tell_matches(finished: Path, data: RunData) -> None:
    image = np.full((24, 12, 3), 77, np.uint8)
    strip = rankings.strip(np.stack([image] * 4), np.array([True, False, True]))
    width = 48 + 2 * 4
    starts = [0, width + 18, 2 * width + 24, 3 * width + 30]
    assert strip.shape == (104, starts[-1] + width, 3)
    edge, inner = [tuple(strip[50, s]) for s in starts], [tuple(strip[50, s + 3]) for s in starts]
    white, green, red, grey = (255,) * 3, rankings.MATCH, rankings.OTHER, rankings.QUERY
    assert edge == [white, green, white, green]
    assert inner == [grey, green, red, green]
    assert all((strip[4:100, s + 4 : s + 52] == 77).all() for s in starts)


def test_pictures_show_the_query_and_the_nearest(guessed: Path, data: RunData) -> None:
    split = data.load("test")
    images = dict(zip(split.ids, split.images, strict=True))
    truth = bridge.truth(data, "test")
    found, _ = reid.check((guessed / "predictions.csv").read_bytes(), truth.index)
    for picture in pictures_of(read_run(guessed), data.root):
        id_ = picture.caption.partition(" ")[0]
        query = truth.labels.queries[id_]
        row = found.distances[truth.index.queries.index(id_)]
        ranked = [truth.index.gallery[k] for k in row.argsort()]
        shown = [id_, *[one for one in ranked if truth.labels.gallery[one] != query][:8]]
        with Image.open(io.BytesIO(picture.png)) as opened:
            strip = np.asarray(opened)
        assert strip.shape == (104, 9 * 88 + 10 * 6, 3)
        for place, one in enumerate(shown):
            left = place * 94 + (12 if place else 0) + 4
            expected = np.asarray(Image.fromarray(images[one]).resize((80, 96)))
            assert np.array_equal(strip[4:100, left : left + 80], expected)


def test_a_good_run_has_pictures_too(finished: Path, data: RunData) -> None:
    assert len(pictures_of(read_run(finished), data.root)) == 6


def test_pictures_of_another_runs_labels_are_refused(finished: Path, own: RunData) -> None:
    labels = own.root / "labels" / "test" / "labels.csv"
    lines = labels.read_text().splitlines()
    swapped = {"40": "41", "41": "40"}
    fields = [line.split(",") for line in lines]
    labels.write_text(
        "\n".join(
            ",".join([split, id_, swapped.get(person, person) if split == "query" else person, camera])
            for split, id_, person, camera in fields
        )
        + "\n"
    )
    message = problem(pictures_of, read_run(finished), own.root)
    assert message.startswith(f"{labels}: give mAP ")
    assert message.endswith("as in scores.json: these are not the labels of this run")


def test_grey_images_have_pictures(tmp_path: Path) -> None:
    strip = rankings.strip(np.full((2, 10, 30, 1), 9, np.uint8), np.array([False]))
    assert (strip[4:100, 4 : 4 + 288] == 9).all()
