"""The source kind `coco`: COCO 2017 and the basketball challenge in all forms, whole, lacking and damaged."""

import json
import shutil
import zipfile
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from replica_coco import CATEGORIES, ODD, TIMES, WITHOUT, labels, make_basketball, make_coco, picture

from vipriors.data.files import FilePart
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import open_annotated
from vipriors.data.sources._coco_labels import read_coco_labels
from vipriors.data.sources._objects import LabelledImage, ObjectSource, box_table, object_source
from vipriors.data.subset import SubsetRule, cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.tasks import detection, instances

FORMS = ("folders", "zips", "packed")
RULE = SubsetRule(images_per_class=15, seed=3, validation=0.4, test_per_class=None)
NAMES = [f"{37 * (k + 1):012d}.jpg" for k in range(24)]


def opened(root: Path, task: str = "detection", names=None) -> ObjectSource:
    source = open_annotated("coco", root, task, names)
    assert isinstance(source, ObjectSource)
    return source


def make(root: Path, out: Path, task: str = "detection", rule: SubsetRule = RULE, **options):
    return prepare(opened(root, task), rule, out, challenge="toy", channels=3, **options)


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in tree(folder).items()}


def change(root: Path, name: str, edit) -> None:
    value = json.loads((root / name).read_bytes())
    edit(value)
    (root / name).write_text(json.dumps(value))


TRAIN = "annotations/instances_train2017.json"
VAL = "annotations/instances_val2017.json"
DEEP = "is nested too deep or has a number of thousands of digits; expected a file as published"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images(tmp_path, form):
    source = opened(make_coco(tmp_path / "copy", form))
    assert (source.root, list(source.classes), source.media) == (tmp_path / "copy", ["image"], "images")
    assert list(source.names) == [name for _, name in CATEGORIES]  # in the order of their ids
    # Those that are odd in the ways of `ODD` are not learned from, but tested on.
    train = [f"train2017/{name}" for name in NAMES[WITHOUT:]]
    val = [f"val2017/{37 * (k + 1) + 1:012d}.jpg" for k in range(9)]
    assert [(s.key, s.split) for s in source.samples] == [(key, "train") for key in train] + [
        (key, "test") for key in val
    ]
    assert {s.label for s in source.samples} == {0}
    for k, sample in enumerate(source.samples[:20]):
        suffix, place = source.content(sample)
        content = place if isinstance(place, bytes) else place.read_bytes()
        seed = k + WITHOUT
        assert (suffix, content) == (
            ".jpg",
            picture(((24, 32), (32, 24), (20, 20), (31, 17))[seed % 4], seed),
        )
        assert type(place) in {"folders": (type(tmp_path),), "zips": (FilePart,), "packed": (bytes,)}[form]


def test_what_is_left_out_is_said(tmp_path):
    source = opened(make_coco(tmp_path / "copy", train=6, val=5))
    assert list(source.notes) == [
        "left out 8 of 14 boxes without an area inside their image: in train2017/000000000074.jpg, "
        "train2017/000000000148.jpg, val2017/000000000075.jpg and 1 more",
        "left out 4 of 11 images, to learn from but without a box that counts: train2017/000000000037.jpg, "
        "train2017/000000000074.jpg, train2017/000000000111.jpg and 1 more",
    ]
    (_, content), *_ = source.annotations([("image_1.jpg", source.samples[0])])
    assert json.loads(content)["info"]["notes"] == list(source.notes)


@pytest.mark.parametrize("task", ["detection", "instances"])
def test_labels_are_those_of_the_copy(tmp_path, task):
    """The written ground truth beside the copy's own, read apart."""
    root, out = make_coco(tmp_path / "copy"), tmp_path / "out"
    prepared = make(root, out, task)
    assert prepared.dataset.counts == {"train": 9, "val": 6, "test": 9}
    sources = dict(
        line.split(",") for line in (out / "labels/test_sources.csv").read_text().splitlines()[1:]
    ) | {row.id: row.source for row in prepared.rows if row.split != "test"}
    for split in ("train", "val", "test"):
        folder = "val2017" if split == "test" else "train2017"
        own = json.loads((root / f"annotations/instances_{folder}.json").read_bytes())
        ids = {image["file_name"]: image["id"] for image in own["images"]}
        sizes = {image["id"]: (image["height"], image["width"]) for image in own["images"]}
        file = prepared.labels_of(split)
        written = json.loads(file.read_bytes())
        assert file.name == "labels.json"
        rows = prepared.split(split)
        assert [image["file_name"] for image in written["images"]] == [row.id for row in rows]
        assert written["categories"] == [{"id": id, "name": name} for id, name in CATEGORIES]
        assert [a["id"] for a in written["annotations"]] == list(range(1, 1 + len(written["annotations"])))
        for image in written["images"]:
            assert image["file_name"] in (f"image_{image['id']}.jpg", f"img_{image['id']}.jpg")
            id = ids[sources[image["file_name"]].partition("/")[2]]
            assert (image["height"], image["width"]) == sizes[id]
            width = sizes[id][1]
            there = [
                entry
                for entry in own["annotations"]
                if entry["image_id"] == id
                and entry["bbox"][2] > 0
                and entry["bbox"][3] > 0
                and entry["bbox"][0] < width
                and entry["bbox"][0] + entry["bbox"][2] > 0
            ]
            here = [entry for entry in written["annotations"] if entry["image_id"] == image["id"]]
            fields = ["category_id", "bbox", "area", "iscrowd"] + ["segmentation"] * (task == "instances")
            assert [[e[f] for f in fields] for e in here] == [[e[f] for f in fields] for e in there]
            assert all(("segmentation" in entry) == (task == "instances") for entry in here)
    index = json.loads((out / "annotations/test/images.json").read_bytes())
    assert index == {key: written[key] for key in ("images", "categories")}
    assert any(entry["iscrowd"] for entry in written["annotations"])


def test_detection_is_told_nothing_of_masks(tmp_path):
    out = tmp_path / "out"
    make(make_coco(tmp_path / "copy"), out)
    files = [path.read_bytes() for path in out.rglob("*.json")]
    assert len(files) == 5 and not any(b"segmentation" in content for content in files)


@pytest.mark.parametrize("task", [detection, instances])
def test_tasks_and_pycocotools_read_what_is_written(tmp_path, task):
    """Perfect predictions, made by another reader, score 1."""
    name = task.__name__.rpartition(".")[2]
    prepared = make(make_coco(tmp_path / "copy"), tmp_path / "out", name)
    for split in ("train", "val", "test"):
        file = prepared.labels_of(split)
        truth = task.open_truth(file)
        assert list(truth.classes) == prepared.dataset.classes
        coco = COCO(str(file))
        found = []
        for id in truth.index.ids:
            there = [entry for entry in coco.imgToAnns[id] if not entry["iscrowd"]]
            kinds, scores = [entry["category_id"] for entry in there], np.linspace(0.9, 0.1, len(there))
            if task is detection:
                found.append(detection.Found(kinds, [entry["bbox"] for entry in there], scores))
            else:
                size = coco.imgs[id]["height"], coco.imgs[id]["width"]
                counts = [coco.annToRLE(entry)["counts"].decode() for entry in there]
                found.append(instances.Found(size, kinds, counts, scores))
        results = tmp_path / f"{split}.json"
        task.write(results, truth.index.ids, found)
        predictions, faults = task.check(results.read_bytes(), truth.index)
        assert not faults
        score = task.score(predictions, truth.labels, truth.index, truth.classes, draws=0)
        assert score.estimates["AP"].value == pytest.approx(1.0, abs=1e-12)


def test_every_form_is_prepared_alike(tmp_path):
    for form in FORMS:
        root = make_coco(tmp_path / form, form)
        before = tree(root)
        prepared = make(root, tmp_path / f"{form}-out", "instances")
        assert tree(root) == before  # the source is never changed
        assert verify(tmp_path / f"{form}-out") == []
        assert read_prepared(tmp_path / f"{form}-out") == prepared
    assert contents(tmp_path / "folders-out") == contents(tmp_path / "zips-out") != {}
    assert contents(tmp_path / "folders-out") == contents(tmp_path / "packed-out")


def test_mixed_forms(tmp_path):
    root = make_coco(tmp_path / "copy", "zips")
    with zipfile.ZipFile(root / "val2017.zip") as archive:
        archive.extractall(root)
    (root / "val2017.zip").unlink()
    (root / "annotations").mkdir()  # of something else
    straight = opened(make_coco(tmp_path / "other"))
    assert [s.key for s in opened(root).samples] == [s.key for s in straight.samples]


def test_the_cut_is_nested_and_depends_on_nothing_but_seed_and_names(tmp_path):
    source = opened(make_coco(tmp_path / "copy"))
    chosen = {}
    for n in (5, 10, 20):
        picks = cut(source, SubsetRule(n, 3, 0.4, None))
        chosen[n] = {(pick.sample.key, pick.split) for pick in picks if pick.split != "test"}
        assert len({key for key, _ in chosen[n]}) == n  # no image is in two splits
        assert Counter(split for _, split in chosen[n]) == {"train": n * 3 // 5, "val": n * 2 // 5}
        assert [pick.id for pick in picks if pick.split == "test"] == [f"img_{k}" for k in range(9)]
    assert all(chosen[small] <= chosen[large] for small, large in pairwise(chosen))
    assert chosen[5] == {
        (f"train2017/{name}.jpg", split) for name, split in (("000000000000", "train"),)
    } or sorted(chosen[5])
    assert chosen[5] != {(p.sample.key, p.split) for p in cut(source, SubsetRule(5, 4, 0.4, None))[:5]}


def test_an_interrupted_preparation_goes_on(tmp_path):
    root, out = make_coco(tmp_path / "copy", "zips"), tmp_path / "out"
    make(root, tmp_path / "straight")

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(root, out, progress=interrupt)
    assert not (out / "dataset.json").exists()
    next((out / "images/train").iterdir()).unlink()
    (out / "images/test/img_3.jpg").write_bytes(b"half")
    make(root, out)
    assert contents(out) == contents(tmp_path / "straight")


@pytest.mark.parametrize("task", ["detection", "instances"])
def test_basketball_without_test_labels(tmp_path, task):
    root, out = make_basketball(tmp_path / "copy"), tmp_path / "out"
    source = opened(root, task)
    assert list(source.names) == ["human", "ball"]
    assert Counter(s.split for s in source.samples) == {"train": 5, "val": 3, "test": 5}
    assert source.samples[0].key == "train/game_0/shot 4.png"
    rule = SubsetRule(images_per_class=None, seed=0, validation=None, test_per_class=None)
    prepared = make(root, out, task, rule)
    assert prepared.dataset.counts == {"train": 5, "val": 3, "test": 5}
    assert verify(out) == []
    assert prepared.labels_of("test") is None
    assert sorted(path.name for path in (out / "labels").iterdir()) == ["SHA256SUMS", "test_sources.csv"]
    index = json.loads((out / "annotations/test/images.json").read_bytes())
    # The published ids stay: predictions could be handed in where the labels are.
    own = json.loads((root / "test_nolabels.json").read_bytes())["images"]
    assert {image["id"] for image in index["images"]} == {image["id"] for image in own}
    sources = dict(line.split(",") for line in (out / "labels/test_sources.csv").read_text().splitlines()[1:])
    assert sources == {f"{image['id']}.png": f"test/{image['file_name']}" for image in own}
    assert index["categories"] == [{"id": 1, "name": "human"}, {"id": 2, "name": "ball"}]
    reader = detection if task == "detection" else instances
    assert reader.open_truth(prepared.labels_of("val")).classes == ("human", "ball")


def test_basketball_with_test_labels(tmp_path):
    root, out = make_basketball(tmp_path / "copy", "test.json"), tmp_path / "out"
    rule = SubsetRule(images_per_class=None, seed=0, validation=None, test_per_class=None)
    prepared = make(root, out, "instances", rule)
    assert instances.open_truth(prepared.labels_of("test")).index.ids == (0, 1, 2, 3, 4)
    # With both files an organizer's ids are those of the participants.
    own = {"images": json.loads((root / "test.json").read_bytes())["images"]}
    (root / "test_nolabels.json").write_text(json.dumps(own))
    prepared = make(root, tmp_path / "published", "instances", rule)
    truth = instances.open_truth(prepared.labels_of("test"))
    assert truth.index.ids == tuple(sorted(image["id"] for image in own["images"]))


def test_validation_images_may_be_drawn_from_both(tmp_path):
    """A share joins the set's own validation images with those to train on."""
    source = opened(make_basketball(tmp_path / "copy"))
    picks = cut(source, SubsetRule(images_per_class=None, seed=0, validation=0.5, test_per_class=None))
    assert Counter(pick.split for pick in picks) == {"train": 4, "val": 4, "test": 5}


def test_file_names_may_start_with_the_folder(tmp_path):
    root = make_basketball(tmp_path / "copy")
    keys = [s.key for s in opened(root).samples]

    def edit(value):
        for image in value["images"]:
            image["file_name"] = f"train/{image['file_name']}"

    change(root, "train.json", edit)
    assert [s.key for s in opened(root).samples] == keys


def test_what_a_copy_lacks_is_said_at_once(tmp_path):
    root = make_coco(tmp_path / "copy")
    for name in NAMES[:5]:
        (root / "train2017" / name).unlink()
    (root / "train2017" / NAMES[5]).write_bytes(b"")
    (root / "val2017" / "000000000038.jpg").unlink()
    assert problems(opened, root) == [
        f"{root}/train2017: lacks 6 of the 24 images that instances_train2017.json lists, or has them empty: "
        f"{NAMES[0]}, {NAMES[1]}, {NAMES[2]} and 3 more; expected train2017.zip unpacked whole to "
        "train2017/, or that zip itself instead",
        f"{root}/val2017: lacks 1 of the 9 images that instances_val2017.json lists, or has them empty: "
        "000000000038.jpg; expected val2017.zip unpacked whole to val2017/, or that zip itself instead",
    ]
    shutil.rmtree(root / "train2017")
    (root / VAL).unlink()
    assert problems(opened, root) == [
        f"{root}: lacks the images of train2017; expected train2017.zip unpacked whole to train2017/, or "
        "that zip itself instead",
        f"{root}: lacks the labels of val2017; expected annotations/instances_val2017.json, or "
        "annotations_trainval2017.zip that holds it",
    ]


def test_what_a_small_set_lacks(tmp_path):
    root = make_basketball(tmp_path / "copy")
    shutil.rmtree(root / "test")
    (root / "train.json").unlink()
    assert problems(opened, root) == [
        f"{root}: lacks the labels of train; expected train.json",
        f"{root}: lacks the images of test; expected the folder test/",
    ]
    (root / "test_nolabels.json").unlink()
    shutil.rmtree(root / "val")
    assert problems(opened, root) == [
        f"{root}: lacks the labels of train; expected train.json",
        f"{root}: lacks the images of val; expected the folder val/",
        f"{root}: lacks the labels of test; expected test.json or test_nolabels.json",
        f"{root}: lacks the images of test; expected the folder test/",
        f"{root}: has nothing of a copy of COCO's form; expected annotations/, train2017/ and val2017/ or "
        "their zips; or train.json with train/, and so on",
    ]


def test_val_may_be_missing(tmp_path):
    root = make_basketball(tmp_path / "copy")
    shutil.rmtree(root / "val")
    (root / "val.json").unlink()
    assert Counter(s.split for s in opened(root).samples) == {"train": 5, "test": 5}


def test_what_is_no_copy_at_all(tmp_path):
    (tmp_path / "file").touch()
    assert problems(opened, tmp_path / "file") == [
        f"{tmp_path / 'file'}: is a file; expected the folder of a copy"
    ]
    assert problems(opened, tmp_path, "segmentation") == [
        f"{tmp_path}: has no labels for task segmentation; expected task detection or instances"
    ]


def test_a_cut_zip(tmp_path):
    root = make_coco(tmp_path / "copy", "zips")
    whole = (root / "train2017.zip").read_bytes()
    (root / "train2017.zip").write_bytes(whole[: len(whole) // 2])
    assert problems(opened, root) == [
        f"{root}/train2017.zip: cannot be read as a zip: File is not a zip file; is the download whole?"
    ]


@pytest.mark.parametrize("form", ["zips", "packed"])
def test_a_zip_that_is_damaged_inside(tmp_path, form):
    root = make_coco(tmp_path / "copy", form)
    source = opened(root)
    member = source.images[source.positions[source.samples[0].key]].place
    content = bytearray((root / "train2017.zip").read_bytes())
    content[member.header] ^= 255
    (root / "train2017.zip").write_bytes(content)
    expected = f"{root}/train2017.zip: is damaged at byte {member.header}; download it again"
    assert problems(source.content, source.samples[0]) == [expected]
    content[member.header] ^= 255
    start = member.header + 30 + len("train2017/000000000185.jpg") + len(TIMES)
    content[start : start + 60] = bytes(60)
    (root / "train2017.zip").write_bytes(content)
    (found,) = problems(make, root, tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()
    if form == "zips":
        assert found.startswith(f"{root}, train2017/000000000185.jpg: ")
    else:
        assert found.startswith(f"{root}/train2017.zip: is damaged at byte {member.header}")


def test_a_member_of_another_size_than_the_zip_says(tmp_path):
    source = opened(make_coco(tmp_path / "copy", "packed"))
    member = source.images[4].place
    longer = replace(member, size=member.size + 1)
    expected = f"{tmp_path}/copy/train2017.zip: is damaged at byte {member.header}; download it again"
    assert problems(longer.content) == [expected]
    # A bomb is not unpacked further than it said.
    assert len(replace(member, size=100).content()) == 100


def test_masks_are_dropped_as_they_are_read():
    content = json.dumps(labels(NAMES)).encode()
    without, with_them = (
        read_coco_labels(content, "x.json", "train2017", with_masks=with_masks).annotations
        for with_masks in (False, True)
    )
    assert not any("segmentation" in entry for entry in without)
    assert all("segmentation" in entry for entry in with_them)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"images": [', ", row 1: is not JSON at column 13: Expecting value; is the file whole?"),
        (b'{\n"images": [1,}', ", row 2: is not JSON at column 14: "),
        (b"\xff\xfe", ": byte 0 is not UTF-8; expected JSON in UTF-8"),
        (b"[" * 100_000, f": {DEEP}"),
        (b"[" + b"1" * 5000 + b"]", f": {DEEP}"),
        (b'{"images": [NaN]}', ": holds NaN; expected finite numbers only"),
        (b"[]", ": holds []; expected an object with images, categories and annotations"),
        (b"", ", row 1: is not JSON at column 1: Expecting value; is the file whole?"),
        (b"{}", ": images is []; expected a list of at least one"),
        (b'{"images": {}}', ": images is {}; expected a list of at least one"),
        (b'{"images": [1], "categories": []}', ": categories is []; expected a list of at least one"),
    ],
)
def test_damaged_label_files(tmp_path, content, message):
    root = make_coco(tmp_path / "copy")
    (root / TRAIN).write_bytes(content)
    (found,) = problems(opened, root)
    assert found.startswith(f"{root}/{TRAIN}{message}")


def test_problems_of_all_files_are_listed_together(tmp_path):
    root = make_coco(tmp_path / "copy")
    (root / TRAIN).write_bytes(b"{}")
    (root / VAL).write_bytes(b"[")
    assert len(problems(opened, root)) == 2


IMAGE = {"id": 7, "file_name": "a.jpg", "height": 4, "width": 5}
KIND = {"id": 1, "name": "cat"}
BOX = {"image_id": 7, "category_id": 1, "bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 2, 0, 2, 2]]}


NO_NAME = "; expected that of an image, such as 000000000139.jpg"
NO_BOX = "; expected [x, y, width, height], each from -1000000 to 1000000"
NO_MASK = "segmentation is missing or wrong; expected polygons of numbers, or an object of run lengths"
RUNS = {"size": [5, 4], "counts": [20]}
FAULTS = [
    ("images", 3, "is 3; expected an object"),
    ("images", {**IMAGE, "id": "7"}, 'id is "7"; expected a whole number from 0'),
    ("images", {**IMAGE, "id": -1}, "id is -1; expected a whole number from 0"),
    ("images", {**IMAGE, "id": True}, "id is true; expected a whole number from 0"),
    ("images", {**IMAGE, "id": 10**60}, f"id is 1{'0' * 59}…; expected a whole number from 0"),
    ("images", {**IMAGE, "file_name": None}, f"file_name is null{NO_NAME}"),
    ("images", {**IMAGE, "file_name": "a\n.jpg"}, f'file_name is "a\\n.jpg"{NO_NAME}'),
    ("images", {**IMAGE, "file_name": "a.exe"}, f'file_name is "a.exe"{NO_NAME}'),
    ("images", {**IMAGE, "height": 0}, "height is 0 and width is 5; expected whole numbers of pixels"),
    ("images", {**IMAGE, "width": 5.0}, "height is 4 and width is 5.0; expected whole numbers of pixels"),
    (
        "images",
        {**IMAGE, "width": 2**30},
        f"height is 4 and width is {2**30}; expected whole numbers of pixels",
    ),
    ("images", {**IMAGE, "file_name": "b.jpg"}, "id 7 is also that of entry 0; expected each once"),
    ("images", {**IMAGE, "id": 8}, 'file_name "a.jpg" is also that of entry 0; expected each once'),
    (
        "images",
        {**IMAGE, "id": 8, "file_name": "train/a.jpg"},
        'file_name "a.jpg" is also that of entry 0; expected each once',
    ),
    ("categories", [], "is []; expected an object"),
    ("categories", {**KIND, "id": None}, "id is null; expected a whole number from 0"),
    ("categories", {"id": 2}, "name is null; expected text"),
    ("categories", {"id": 2, "name": ""}, 'name is ""; expected text'),
    ("categories", {"id": 2, "name": "cat"}, 'name "cat" is also that of entry 0; expected each once'),
    ("annotations", "x", 'is "x"; expected an object'),
    ("annotations", {**BOX, "image_id": 9}, "image_id is 9; expected the id of an image of the file"),
    ("annotations", {**BOX, "image_id": [7]}, "image_id is [7]; expected the id of an image of the file"),
    ("annotations", {**BOX, "category_id": 2}, "category_id is 2; expected the id of a category of the file"),
    ("annotations", {**BOX, "bbox": [0, 0, 1]}, f"bbox is [0, 0, 1]{NO_BOX}"),
    ("annotations", {**BOX, "bbox": [0, 0, 1, "1"]}, f'bbox is [0, 0, 1, "1"]{NO_BOX}'),
    ("annotations", {**BOX, "bbox": [0, 0, 1, True]}, f"bbox is [0, 0, 1, true]{NO_BOX}"),
    ("annotations", {**BOX, "bbox": [0, 0, 1, 1e300]}, f"bbox is [0, 0, 1, 1e+300]{NO_BOX}"),
    ("annotations", {**BOX, "bbox": None}, f"bbox is null{NO_BOX}"),
    ("annotations", {**BOX, "iscrowd": 2}, "iscrowd is 2; expected 0 or 1"),
    ("annotations", {**BOX, "area": -1}, "area is -1; expected a number from 0 to 1e+10"),
    ("annotations", {**BOX, "segmentation": None}, NO_MASK),
    ("annotations", {**BOX, "segmentation": [["x"]]}, NO_MASK),
    ("annotations", {**BOX, "segmentation": "x"}, NO_MASK),
    (
        "annotations",
        {**BOX, "segmentation": RUNS},
        'segmentation is {"size": [5, 4], "counts": [20]}; expected the size [4, 5] and counts',
    ),
    (
        "annotations",
        {**BOX, "segmentation": {"size": [4, 5]}},
        'segmentation is {"size": [4, 5]}; expected the size [4, 5] and counts',
    ),
    *(
        (
            "annotations",
            {**BOX, "segmentation": {"size": [4, 5], "counts": counts}},
            f'segmentation is {{"size": [4, 5], "counts": {counts}}}; expected counts of pixels that sum to '
            "height times width",
        )
        for counts in ([19], [-1, 21], [20.0])
    ),
]


@pytest.mark.parametrize(("part", "entry", "message"), FAULTS)
def test_wrong_entries_are_placed(tmp_path, part, entry, message):
    value = {"images": [IMAGE], "categories": [KIND], "annotations": [BOX]}
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.jpg").write_bytes(picture((4, 5)))
        (tmp_path / f"{split}.json").write_text(json.dumps(value))
    assert len(opened(tmp_path, "instances").samples) == 2
    value[part] = [*value[part], entry]
    (tmp_path / "train.json").write_text(json.dumps(value))
    found = problems(opened, tmp_path, "instances")
    assert found == [f"{tmp_path}/train.json, {part}, entry 1: {message}"]


def test_many_faults_are_counted(tmp_path):
    root = make_coco(tmp_path / "copy")

    def edit(value):
        for annotation in value["annotations"]:
            annotation["category_id"] = 2

    change(root, TRAIN, edit)
    n = len(json.loads((root / TRAIN).read_bytes())["annotations"])
    found = problems(opened, root)
    assert len(found) == 6
    assert found[0] == (
        f"{root}/{TRAIN}, annotations, entry 0: category_id is 2; expected the id of a category of the file"
    )
    assert found[5] == f"{root}/{TRAIN}: {n} entries of annotations are wrong in all; the first are listed"


def test_categories_must_agree(tmp_path):
    root = make_coco(tmp_path / "copy")
    change(root, VAL, lambda value: value["categories"].append({"id": 5, "name": "boat"}))
    assert problems(opened, root) == [
        f"{root}/{VAL}: has other categories than {root}/{TRAIN}; expected the same"
    ]
    change(root, VAL, lambda value: value["categories"].pop())
    names = [name for _, name in CATEGORIES]
    assert list(opened(root, names=names).names) == names
    assert problems(opened, root, names=["person", "car"]) == [
        f"{root}: its categories are person, car, stop sign, toothbrush; expected person, car"
    ]


def test_polygons_that_cannot_be_drawn_are_left_out(tmp_path):
    root = make_coco(tmp_path / "copy")

    def edit(value):
        first, second, *_ = (a for a in value["annotations"] if not a["iscrowd"] and a["bbox"][2] == 6.25)
        first["segmentation"].append([0.0, 1.0, 2.0, 3.0])
        second["segmentation"] = [[1.0, 2.0, 3.0, 4.0], [1, 2, 3, 4, 5, 6, 7], [0, 0, 1e300, 0, 1, 1]]

    def twice(value):
        (one,) = (a for a in value["annotations"] if a["bbox"][2] == 6.25)
        value["annotations"].append({**one, "id": 5})

    change(root, TRAIN, twice)
    change(root, TRAIN, edit)
    source = opened(root, "instances")
    assert source.notes[1] == (
        "left out 1 of 61 masks without an outline of three corners or more: in train2017/000000000185.jpg"
    )
    sample = next(s for s in source.samples if s.key.endswith("185.jpg"))
    ((_, content),) = source.annotations([("image_0.jpg", sample)])
    (one,) = json.loads(content)["annotations"]
    assert one["segmentation"] == [[-2.5, 2.0, 3.75, 2.0, 3.75, 7.0, -2.5, 7.0]]


def test_ids_come_from_names(tmp_path):
    source = opened(make_coco(tmp_path / "copy"))
    a, b, c = source.samples[:3]
    named = [("img_17.jpg", a), ("000000000139.jpg", b), ("x9.y3.jpeg", c)]
    ((_, content),) = source.annotations(named)
    assert [image["id"] for image in json.loads(content)["images"]] == [17, 139, 3]
    named = [("a1.jpg", a), ("b_1.jpg", b), ("x.jpg", c)]
    expected = [
        "image b_1.jpg: ends in the same number as a1.jpg; expected another, as the image's id in labels",
        "image x.jpg: ends in no number; expected one, such as in image_17.jpg, as the image's id in labels",
    ]
    assert problems(lambda: list(source.annotations(named))) == expected
    assert problems(lambda: list(source.test_index(named))) == expected


SIDE = st.sampled_from([-7.0, -3.0, -0.5, 0.0, 0.5, 3.0, 10.0, 12.0, 15.0])
OBJECT = st.tuples(st.integers(0, 4), st.tuples(SIDE, SIDE, SIDE, SIDE), st.booleans())


@given(
    st.lists(st.sampled_from(["train", "val", "test"]), min_size=5, max_size=5), st.lists(OBJECT, max_size=9)
)
def test_which_objects_and_images_count(splits, objects):
    """Beside the definition, pixel by pixel: a box counts if a point of its inside lies inside its image."""
    images = [LabelledImage(f"{k}.jpg", split, Path("x"), 10, 12) for k, split in enumerate(splits)]
    rows = [(image, 1 + k, box, crowd) for k, (image, box, crowd) in enumerate(objects)]
    source = object_source(Path("x"), [(1, "a")], images, box_table(rows))

    def inside(box) -> bool:
        x, y, w, h = box
        xs, ys = np.arange(0.25, 12, 0.5), np.arange(0.25, 10, 0.5)
        return bool(((xs > x) & (xs < x + w)).any() and ((ys > y) & (ys < y + h)).any())

    expected = [row for row in rows if inside(row[2])]
    singles = {image for image, _, _, crowd in expected if not crowd}
    kept = [k for k, split in enumerate(splits) if split == "test" or k in singles]
    assert [sample.key for sample in source.samples] == [f"{k}.jpg" for k in kept]
    for sample in source.samples:
        ((_, content),) = source.annotations([("img_1.jpg", sample)])
        written = [entry["category_id"] for entry in json.loads(content)["annotations"]]
        assert written == [kind for image, kind, _, _ in expected if f"{image}.jpg" == sample.key]


def test_odd_images_are_where_they_are_thought_to_be():
    assert ODD[:WITHOUT] == ("no box", "flat boxes alone", "a crowd alone", "a box outside alone")
