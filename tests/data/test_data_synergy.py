"""The source kind `synergy-reid`: copies in every form, whole, lacking and damaged."""

import csv
import itertools
import random
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from replica_imagenet import pictures

from vipriors.challenges import find
from vipriors.challenges.schema import read_challenge
from vipriors.data.prepare import prepare
from vipriors.data.sources import open_annotated, synergy_reid
from vipriors.data.sources.synergy_reid import Count
from vipriors.data.subset import SubsetRule, cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.tasks import reid

FORMS = ("zip", "stored zip", "folder of the zip", "folder", "folder above", "2022", "2022 zip")
RULE = SubsetRule(images_per_class=None, seed=0, validation=None, test_per_class=None)
SMALL = {
    "train": Count(9, 3),
    "val/query": Count(2, 2),
    "val/gallery": Count(5, 2),
    "test/query": Count(2, None),
    "test/gallery": Count(4, None),
}
JPEGS = pictures(22)
TRAIN = [
    f"{person}_{sequence}_{frame}" for person in (7, 12, 101) for sequence, frame in ((1, 0), (1, 5), (3, 2))
]
VAL_QUERY, VAL_GALLERY = ["30_4_0", "31_4_0"], ["30_4_1", "30_4_2", "31_4_1", "31_4_7", "0031_4_08"]
TEST_QUERY, TEST_GALLERY = ["5", "17"], ["5", "901", "2", "33"]
KEYS = [
    *(f"train/{name}.jpeg" for name in TRAIN),
    *(f"val/query/{name}.jpeg" for name in VAL_QUERY),
    *(f"val/gallery/{name}.jpeg" for name in VAL_GALLERY),
    *(f"test/query/{name}.jpeg" for name in TEST_QUERY),
    *(f"test/gallery/{name}.jpeg" for name in TEST_GALLERY),
]
CONTENT = dict(zip(KEYS, JPEGS, strict=True))
NAMES_2021 = {"train": "reid_training", "val": "reid_val", "test": "reid_test"}
NAMES_2022 = {"train": "reid_training", "val": "reid_test", "test": "reid_challenge"}


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(synergy_reid, "PUBLISHED", SMALL)


small = pytest.mark.usefixtures("_small")


def published(content: dict[str, bytes], names: dict[str, str] = NAMES_2021) -> dict[str, bytes]:
    """Files as they are called in the zip, from our keys."""
    parts = ((key.partition("/"), data) for key, data in content.items())
    return {f"data_reid/{names[split]}/{rest}": data for (split, _, rest), data in parts}


def zipped(path: Path, files: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def unpacked(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def copy(root: Path, form: str = "folder", content: dict[str, bytes] = CONTENT) -> Path:
    """A copy, and the path that a person gives for it."""
    files = published(content, NAMES_2022 if "2022" in form else NAMES_2021)
    if form.endswith("zip"):
        kind = zipfile.ZIP_STORED if form == "stored zip" else zipfile.ZIP_DEFLATED
        path = zipped(root / "raw" / "synergyreid_data.zip", files, kind)
        return path.parent if form == "folder of the zip" else path
    unpacked(root / "my tests", files)
    # What the organizers' script and systems leave beside the images.
    strange = (
        "images/00000007_00_0000.jpg",
        "my tests/.DS_Store",
        "my tests/data_reid/reid_training/Thumbs.db",
    )
    resources = [f"my tests/__MACOSX/data_reid/reid_training/{name}.jpeg" for name in ("._7_1_0", "8_1_0")]
    unpacked(root, dict.fromkeys((*strange, *resources), b"strange"))
    return root if form == "folder above" else root / "my tests" / "data_reid"


def opened(path: Path):
    return open_annotated("synergy-reid", path, "reid")


def make(path: Path, out: Path):
    return prepare(opened(path), RULE, out, challenge="synergy-reid", channels=3)


def problems(path: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        opened(path)
    return [str(problem).replace(str(path), "COPY") for problem in caught.value.problems]


def rows(file: Path) -> list[list[str]]:
    return list(csv.reader(file.read_text().splitlines()))


@small
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images(tmp_path, form):
    source = opened(copy(tmp_path, form))
    assert (source.classes, source.names, source.media) == (("image",), ("person",), "images")
    assert [(s.key, s.label, s.split) for s in source.samples] == [
        (k, 0, k.split("/")[0]) for k in sorted(KEYS)
    ]
    for sample in source.samples:
        suffix, place = source.content(sample)
        data = place if isinstance(place, bytes) else place.read_bytes()
        assert (suffix, data) == (".jpeg", CONTENT[sample.key])
        assert isinstance(place, bytes) == (form in ("zip", "2022 zip", "folder of the zip"))


@small
@pytest.mark.parametrize("form", ["zip", "folder", "2022"])
def test_a_prepared_copy(tmp_path, form):
    path = copy(tmp_path / "copy", form)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    prepared = make(path, out := tmp_path / "out")
    assert {p: p.read_bytes() for p in before} == before and verify(out) == []
    assert prepared.dataset.counts == {"train": 9, "val": 7, "test": 6}
    assert prepared.dataset.classes == ["person"]
    assert {row.label for row in prepared.rows} == {None}

    keys = {row.id: row.source for row in prepared.rows if row.split != "test"}
    header, *listed = rows(out / "labels" / "test_sources.csv")
    keys |= dict(listed)
    assert sorted(keys.values()) == sorted(KEYS)
    for row in prepared.rows:
        assert (out / row.file).read_bytes() == CONTENT[keys[row.id]]
    assert {row.id for row in prepared.split("test")} == {f"img_{k}.jpeg" for k in range(6)}

    header, *train = rows(out / "annotations" / "train" / "labels.csv")
    assert header == ["id", "person"]
    assert Counter(person for _, person in train) == {"7": 3, "12": 3, "101": 3}
    assert all(keys[id].startswith(f"train/{person}_") for id, person in train)
    val = reid.open_truth(prepared.labels_of("val")).labels
    assert {keys[id]: image for id, image in val.queries.items()} == {
        "val/query/30_4_0.jpeg": ("30", None),
        "val/query/31_4_0.jpeg": ("31", None),
    }
    assert Counter(image.person for image in val.gallery.values()) == {"30": 2, "31": 3}
    header, *roles = rows(out / "annotations" / "test" / "roles.csv")
    assert header == ["split", "id"]
    assert all(keys[id].startswith(f"test/{role}/") for role, id in roles)
    assert len(roles) == 6
    # Nobody knows who is in the test.
    assert prepared.labels_of("test") is None
    assert {path.name for path in (out / "labels").iterdir()} == {"SHA256SUMS", "test_sources.csv"}


@small
def test_test_labels_where_the_names_tell_them(tmp_path):
    known = {key: data for key, data in CONTENT.items() if not key.startswith("test/")}
    named = [
        "query/50_1_0",
        "query/51_1_0",
        "gallery/50_1_1",
        "gallery/51_1_1",
        "gallery/51_1_2",
        "gallery/60_9_9",
    ]
    known |= {f"test/{name}.jpeg": data for name, data in zip(named, JPEGS, strict=False)}
    prepared = make(copy(tmp_path / "copy", "zip", known), tmp_path / "out")
    truth = reid.open_truth(prepared.labels_of("test"))
    persons = [[truth.labels.queries[id].person] for id in truth.index.queries]
    gallery = [truth.labels.gallery[id].person for id in truth.index.gallery]
    assert sorted(gallery) == ["50", "51", "51", "60"]
    perfect = reid.Predictions(truth.index.gallery, (np.array(persons) != gallery).astype(float))
    reid.write(tmp_path / "perfect.csv", truth.index.queries, perfect)
    found, faults = reid.check((tmp_path / "perfect.csv").read_bytes(), truth.index)
    assert faults == []
    assert reid.score(found, truth.labels, truth.index, ()).estimates["mAP"].value == 1


@small
def test_the_order_of_files_decides_nothing(tmp_path):
    picks = []
    for seed in range(3):
        mixed = list(CONTENT.items())
        random.Random(seed).shuffle(mixed)
        path = copy(tmp_path / str(seed), "zip", dict(mixed))
        picks.append([(pick.id, pick.split, pick.sample.key) for pick in cut(opened(path), RULE)])
    assert picks[0] == picks[1] == picks[2]


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    """All that was published: 18,700 images, in name and number."""
    train = [f"train/{k % 436 + 1}_{k % 7}_{k}.jpeg" for k in range(8569)]
    queries = [f"val/query/{k + 437}_1_0.jpeg" for k in range(50)]
    gallery = [f"val/gallery/{k % 50 + 437}_1_{k + 1}.jpeg" for k in range(910)]
    test = [f"test/query/{k * 13}.jpeg" for k in range(468)] + [f"test/gallery/{k}.jpeg" for k in range(8703)]
    return dict(zip(train + queries + gallery + test, itertools.cycle(JPEGS), strict=False))


@pytest.mark.parametrize("names", [NAMES_2021, NAMES_2022], ids=["2021", "2022"])
def test_the_published_counts(tmp_path, whole, names):
    path = zipped(tmp_path / "synergyreid_data.zip", published(whole, names))
    challenge = read_challenge(find("synergy-reid"))
    source = challenge.open(path)
    picks = cut(source, challenge.rule())
    assert Counter(pick.split for pick in picks) == {"train": 8569, "val": 960, "test": 9171}
    by_split = {
        split: [(f"{pick.id}.jpeg", pick.sample) for pick in picks if pick.split == split]
        for split in ("train", "val", "test")
    }
    ((_, train),) = source.annotations(by_split["train"])
    assert len({line.split(",")[1] for line in train.decode().splitlines()[1:]}) == 436
    ((_, val),) = source.annotations(by_split["val"])
    labels = reid.read_labels(val)
    assert (len(labels.queries), len(labels.gallery)) == (50, 910)
    assert list(source.annotations(by_split["test"])) == []
    ((_, roles),) = source.test_index(by_split["test"])
    count = Counter(line.split(",")[0] for line in roles.decode().splitlines()[1:])
    assert count == {"query": 468, "gallery": 8703}


def test_a_lacking_copy_and_the_test_of_2023(tmp_path, whole):
    lacking = {key: data for key, data in whole.items() if not key.startswith("train/5_")}
    del lacking["val/query/437_1_0.jpeg"], lacking["test/gallery/8000.jpeg"]
    path = zipped(tmp_path / "lacking.zip", published(lacking))
    assert problems(path) == [
        "COPY, train: found 8,549 images of 435 persons; expected 8,569 images of 436 persons",
        "COPY, val/query: found 49 images of 49 persons; expected 50 images of 50 persons",
        "COPY, test/gallery: found 8,702 images; expected 8,703 images",
        "COPY: is incomplete, or another edition; folders with images: reid_test/gallery (8,702), "
        "reid_training (8,549), reid_val/gallery (910), reid_test/query (468), reid_val/query (49); "
        "give synergyreid_data.zip of 2021, MD5 05050b5d9388563021315a81b531db7d, or unpack it again",
    ]
    more = dict.fromkeys([f"test/query/{k}.jpeg" for k in range(10_000, 10_150)], JPEGS[0])
    path = zipped(tmp_path / "2023.zip", published(whole | more, NAMES_2022))
    assert problems(path)[0] == "COPY, test/query: found 618 images; expected 468 images"


@small
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_empty_files_count_as_missing(tmp_path, form):
    path = copy(tmp_path, form, CONTENT | {KEYS[0]: b"", KEYS[-1]: b""})
    assert problems(path)[:2] == [
        "COPY, train: found 8 images of 3 persons; expected 9 images of 3 persons",
        "COPY, test/gallery: found 3 images; expected 4 images",
    ]


@small
def test_a_folder_that_is_something_else(tmp_path):
    path = unpacked(tmp_path, {f"pictures/{k}/1.png": JPEGS[0] for k in range(10)} | {"notes.txt": b"hello"})
    *counts, last = problems(path)
    assert len(counts) == 5
    listed = ", ".join(f"pictures/{k} (1)" for k in range(8))
    assert last == (
        f"COPY: is incomplete, or another edition; folders with images: {listed} and 2 more; "
        "give synergyreid_data.zip of 2021, MD5 05050b5d9388563021315a81b531db7d, or unpack it again"
    )
    (tmp_path / "empty").mkdir()
    assert "folders with images: none; give" in problems(tmp_path / "empty")[-1]


def renamed(old: str, new: str) -> dict[str, bytes]:
    return {new if key == old else key: data for key, data in CONTENT.items()}


@small
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "test/query/5.jpeg",
            "test/query/five.jpeg",
            "COPY: test/query/five.jpeg: not named as published; expected PERSON_SEQUENCE_FRAME.jpeg, "
            "or in a test without labels NUMBER.jpeg",
        ),
        (
            "train/7_1_0.jpeg",
            "train/30_1_0.jpeg",
            "COPY, val: has persons of train, 30; expected others",
        ),
        (
            "val/query/30_4_0.jpeg",
            "val/query/0077_4_0.jpeg",
            "COPY, val/gallery: lacks the persons of queries, 77; expected at least one image of each",
        ),
        (
            "test/query/5.jpeg",
            "test/query/8_1_0.jpeg",
            "COPY, test/gallery: lacks the persons of queries, 8; expected at least one image of each",
        ),
    ],
)
def test_names_that_do_not_fit(tmp_path, old, new, expected):
    found = problems(copy(tmp_path, "folder", renamed(old, new)))
    assert expected in found
    counts = [problem for problem in found if problem != expected]
    # Another person in train changes a count, too.
    assert bool(counts) == new.startswith("train")


@small
def test_images_that_nobody_is_named_on(tmp_path):
    content = {key: data for key, data in CONTENT.items() if not key.startswith("train/")}
    content |= {f"train/{k}.jpeg": data for k, data in enumerate(JPEGS[:9])}
    assert problems(copy(tmp_path, "zip", content))[0] == (
        "COPY, train: found 9 images of 0 persons; expected 9 images of 3 persons"
    )


@small
def test_not_a_zip_and_another_task(tmp_path):
    path = copy(tmp_path, "zip")
    with pytest.raises(BadInput) as caught:
        open_annotated("synergy-reid", path, "detection")
    assert str(caught.value) == f"{path}: has no labels for task detection; expected task reid"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    (message,) = problems(path)
    assert message.startswith("COPY: cannot be read as a zip: ")


@small
@pytest.mark.parametrize("form", ["zip", "stored zip", "folder"])
def test_images_that_are_damaged_are_listed_and_nothing_is_finished(tmp_path, form):
    damaged = CONTENT | {KEYS[1]: b"no image", KEYS[-1]: JPEGS[0][:40]}
    path = copy(tmp_path / "copy", form, damaged)
    with pytest.raises(BadInput) as caught:
        make(path, tmp_path / "out")
    places = [problem.place for problem in caught.value.problems]
    assert places == [f"{path}, {KEYS[1]}", f"{path}, {KEYS[-1]}"]
    assert not (tmp_path / "out" / "dataset.json").exists()


@small
def test_a_member_whose_bytes_are_damaged(tmp_path):
    path = copy(tmp_path / "copy", "zip")
    with zipfile.ZipFile(path) as archive:
        member = archive.infolist()[3]
    data = bytearray(path.read_bytes())
    start = member.header_offset + 30 + len(member.filename)
    data[start : start + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        make(path, tmp_path / "out")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "out").exists()
