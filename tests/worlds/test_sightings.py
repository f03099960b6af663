import hashlib
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vipriors import challenges, tasks
from vipriors.challenges.schema import read_challenge
from vipriors.data.images import read_image
from vipriors.data.sources import AnnotatedSource, SourceSample
from vipriors.problems import BadInput
from vipriors.runs.prepared import prepare_challenge
from vipriors.tasks.reid import Predictions
from vipriors.worlds import load_source, sightings
from vipriors.worlds._digits import handwriting, pool
from vipriors.worlds.sightings import SIZE, render


def source() -> AnnotatedSource:
    found = load_source("sightings", "reid")
    assert isinstance(found, AnnotatedSource)
    return found


def of(split: str) -> list[SourceSample]:
    return [sample for sample in source().samples if sample.split == split]


def named(split: str) -> list[tuple[str, SourceSample]]:
    return [(f"img_{k}.png", sample) for k, sample in enumerate(of(split))]


@pytest.mark.parametrize(
    ("position", "key", "digest"),
    [
        (0, "sightings/val/1358/gallery/b1", "90782151d85cdf71"),
        (1000, "sightings/train/307/seen/a3", "a66313fcb7506201"),
        (1979, "sightings/test/709/gallery/a1", "b5ffd5e5f8e74ccd"),
    ],
)
def test_sightings_are_the_same_everywhere(position: int, key: str, digest: str) -> None:
    sample = source().samples[position]
    suffix, content = source().content(sample)
    assert suffix == ".png" and isinstance(content, bytes)
    assert read_image(content).shape == (SIZE, SIZE, 3) == (48, 48, 3)
    assert sample.key == key
    assert hashlib.sha256(content).hexdigest()[:16] == digest


def test_another_task_has_no_labels() -> None:
    with pytest.raises(BadInput) as caught:
        load_source("sightings", "classification")
    assert str(caught.value) == "world sightings: has no labels for classification; expected task reid"


def test_persons_and_roles() -> None:
    assert tuple(source().classes) == ("image",) and {sample.label for sample in source().samples} == {0}
    assert len({sample.key for sample in source().samples}) == len(source().samples) == 1980
    persons = {}
    for split, searched, strangers in (("train", 120, 0), ("val", 40, 10), ("test", 100, 50)):
        roles = defaultdict(list)
        for sample in of(split):
            _, _, person, role, sight = sample.key.split("/")
            roles[int(person)].append((role, sight[0]))
        persons[split] = set(roles)
        kinds = Counter(tuple(sorted(seen)) for seen in roles.values())
        if split == "train":
            assert kinds == {tuple([("seen", "a")] * 4 + [("seen", "b")] * 4): 120}
            continue
        of_searched = tuple([("gallery", "a")] * 2 + [("gallery", "b")] * 3 + [("query", "a")])
        of_strangers = (("stranger", "a"), ("stranger", "b"), ("stranger", "b"))
        assert kinds == {of_searched: searched, of_strangers: strangers}
    assert not persons["train"] & persons["val"]
    hands = {part: {digit for of_class in pool(test=part) for digit in of_class} for part in (False, True)}
    assert persons["test"] <= hands[True] and persons["train"] | persons["val"] <= hands[False]
    for members in persons.values():
        count = Counter(handwriting()[1][list(members)].tolist())
        assert len(set(count.values())) == 1 and len(count) == 10


def test_the_order_does_not_tell_the_person() -> None:
    for split in ("train", "val", "test"):
        persons = [sample.key.split("/")[2] for sample in of(split)]
        neighbours = np.mean([a == b for a, b in pairwise(persons)])
        assert neighbours < 0.05


def test_labels_and_index() -> None:
    [(name, train)] = source().annotations(named("train"))
    assert name == "labels.csv"
    lines = train.decode().splitlines()
    assert lines[0] == "id,person,camera" and len(lines) == 961
    first = of("train")[0].key.split("/")
    assert lines[1] == f"img_0.png,{first[2]},{first[4][0]}"
    [(name, test)] = source().annotations(named("test"))
    [(index_name, index)] = source().test_index(named("test"))
    assert (name, index_name) == ("labels.csv", "roles.csv")
    rows = [line.split(",") for line in test.decode().splitlines()]
    assert rows[0] == ["split", "id", "person", "camera"]
    assert [line.split(",") for line in index.decode().splitlines()] == [row[:2] for row in rows]
    assert Counter((row[0], row[3]) for row in rows[1:]) == {
        ("query", "a"): 100,
        ("gallery", "a"): 250,
        ("gallery", "b"): 400,
    }


def test_a_person_looks_alike_and_yet_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cameras, the paper and the pose change; handwriting and ink stay."""
    drawn = []
    draw = sightings.draw

    def recorded(ink: np.ndarray, size: float, **how: float) -> np.ndarray:
        drawn.append((ink.tobytes(), size, how))
        return draw(ink, size, **how)  # type: ignore[arg-type]

    inked = []
    paint = sightings.paint
    monkeypatch.setattr(sightings, "draw", recorded)
    monkeypatch.setattr(sightings, "paint", lambda *given: (inked.append(given[2].tolist()), paint(*given)))
    person = of("train")[0].key.split("/")[2]
    pictures = []
    inks = set()
    for sample in of("train"):
        if sample.key.split("/")[2] == person:
            inked.clear()
            pictures.append(render.__wrapped__(sample.key))
            inks |= {tuple(colour) for colour in inked} & set(sightings.INKS)
    assert len(pictures) == 8 and len({picture.tobytes() for picture in pictures}) == 8
    assert len(inks) == 1
    assert len({ink for ink, _, _ in drawn}) == 1
    assert len({size for _, size, _ in drawn}) == 8
    thresholds = [how["threshold"] for _, _, how in drawn]
    assert 0 < max(thresholds) - min(thresholds) <= 16


def test_bars_leave_enough_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = np.full((SIZE, SIZE), 256)
    monkeypatch.setattr(sightings, "stroke", lambda random, side, width, length: bar)
    struck: list[np.ndarray] = []
    monkeypatch.setattr(sightings, "_strike", lambda random, picture, alpha: struck.append(alpha))
    render.__wrapped__(of("train")[0].key)
    behind = len(struck)
    bar[:] = 0
    render.__wrapped__(of("train")[0].key)
    assert len(struck) == 2 * behind + 1  # what is behind, and the bar that covers nothing


def test_cameras_differ_in_tint_brightness_and_sharpness() -> None:
    grey = np.full((8, 8, 3), 150)
    a, b = (sightings._through(camera, grey)[4, 4] for camera in "ab")
    assert a[0] > a[1] > a[2] and b[0] < b[1] < b[2] and a.mean() > b.mean()
    edge = np.zeros((8, 8, 3), int)
    edge[:, 4:] = 200
    steps = [np.abs(np.diff(sightings._through(camera, edge)[4, :, 2])).max() for camera in "ab"]
    assert steps[0] > 1.2 * steps[1]


def test_prepared_and_scored(tmp_path: Path) -> None:
    challenge = read_challenge(challenges.find("digits-reid"))
    data = prepare_challenge(challenge, challenge.rule(), tmp_path / "data")
    assert data.dataset.counts == {"train": 960, "val": 270, "test": 750}
    task = tasks.load("reid")
    for split, queries in (("val", 40), ("test", 100)):
        file = data.labels_of(split)
        assert file is not None
        truth = task.open_truth(file, data.dataset.classes)
        index = truth.index
        assert len(index.queries) == queries
        assert len(index.queries) + len(index.gallery) == data.dataset.counts[split]
    labels = truth.labels

    def score_of(distances: np.ndarray) -> dict[str, float]:
        task.write(tmp_path / "file.csv", index.queries, Predictions(index.gallery, distances))
        predictions, problems = task.check((tmp_path / "file.csv").read_bytes(), index)
        assert problems == []
        score = task.score(predictions, labels, index, truth.classes)
        return {name: estimate.value for name, estimate in score.estimates.items()}

    def wrong(same: object) -> np.ndarray:
        return np.array([[float(not same(q, g)) for g in index.gallery] for q in index.queries])  # type: ignore[operator]

    person = {id_: image.person for part in (labels.queries, labels.gallery) for id_, image in part.items()}
    perfect = score_of(wrong(lambda query, image: person[query] == person[image]))
    assert set(perfect.values()) == {1.0}
    numeral = {name: handwriting()[1][int(name)] for name in person.values()}
    by_numeral = score_of(wrong(lambda query, image: numeral[person[query]] == numeral[person[image]]))
    assert by_numeral["mAP"] < 0.2
    folder = data.root / "annotations"
    assert (folder / "test" / "roles.csv").is_file() and not (folder / "test" / "labels.csv").exists()
    assert (folder / "train" / "labels.csv").read_text().startswith("id,person,camera\nimage_")
