"""The source kind `delftbikes`: whole, lacking, damaged, and with true test labels."""

import json
from collections import Counter
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from replica_coco import PARTS, SIZES, bike, make_delftbikes, picture

from vipriors.data.prepare import prepare
from vipriors.data.sources import open_annotated
from vipriors.data.subset import SubsetRule, cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.tasks import detection

SIDES = ("left", "top", "width", "height")
RULE = SubsetRule(images_per_class=None, seed=5, validation=0.25, test_per_class=None)


def opened(root: Path, names=None, task: str = "detection"):
    return open_annotated("delftbikes", root, task, names)


def problems(function, *arguments) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments)
    return [str(problem) for problem in caught.value.problems]


def change(root: Path, edit, name: str = "train_annotations.json") -> None:
    value = json.loads((root / name).read_bytes())
    edit(value)
    (root / name).write_text(json.dumps(value))


def test_images_and_parts(tmp_path):
    root = make_delftbikes(tmp_path / "copy")
    source = opened(root)
    assert (list(source.names), list(source.classes)) == (PARTS, ["image"])
    assert source.categories[0] == (1, "back_hand_break") and source.categories[21] == (22, "steer")
    said = json.loads((root / "train_annotations.json").read_bytes())
    assert [s.key for s in source.samples if s.split == "train"] == [f"train/{name}" for name in said]
    assert Counter(s.split for s in source.samples) == {"train": 16, "test": 5}
    assert source.content(source.samples[1]) == (".jpg", root / "train" / "50192.jpg")


def test_labels_are_those_of_the_copy(tmp_path):
    """Absent parts are no objects, though they have boxes too."""
    root, out = make_delftbikes(tmp_path / "copy"), tmp_path / "out"
    prepared = prepare(opened(root), RULE, out, challenge="toy", channels=3)
    assert prepared.dataset.counts == {"train": 12, "val": 4, "test": 5}
    assert verify(out) == []
    said = json.loads((root / "train_annotations.json").read_bytes())
    for split in ("train", "val"):
        truth = detection.open_truth(prepared.labels_of(split))
        assert list(truth.classes) == PARTS
        coco = COCO(str(prepared.labels_of(split)))
        for row in prepared.split(split):
            own = said[row.source.removeprefix("train/")]
            (image,) = (image for image in coco.dataset["images"] if image["file_name"] == row.id)
            assert (image["height"], image["width"]) == (own["image"]["height"], own["image"]["width"])
            expected = [
                (PARTS.index(name) + 1, [part["absolute_bounding_box"][side] for side in SIDES])
                for name, part in own["parts"].items()
                if part["object_state"] != "absent"
            ]
            written = [(entry["category_id"], entry["bbox"]) for entry in coco.imgToAnns[image["id"]]]
            assert written == expected


def test_made_up_test_labels_are_not_read(tmp_path):
    root, out = make_delftbikes(tmp_path / "copy"), tmp_path / "out"
    prepared = prepare(opened(root), RULE, out, challenge="toy", channels=3)
    assert prepared.labels_of("test") is None
    assert sorted(path.name for path in (out / "labels").iterdir()) == ["SHA256SUMS", "test_sources.csv"]
    index = json.loads((out / "annotations/test/images.json").read_bytes())
    # Ids are those of the challenges' submissions: positions in the sorted list of names.
    sources = dict(line.split(",") for line in (out / "labels/test_sources.csv").read_text().splitlines()[1:])
    names = sorted(path.name for path in (root / "test").iterdir())
    assert sources == {f"{k}.jpg": f"test/{name}" for k, name in enumerate(names)}
    assert sorted(image["id"] for image in index["images"]) == [0, 1, 2, 3, 4]
    assert [category["name"] for category in index["categories"]] == PARTS


def test_true_test_labels_are(tmp_path):
    root, out = make_delftbikes(tmp_path / "copy"), tmp_path / "out"
    (root / "fake_test_annotations.json").rename(root / "test_annotations.json")
    prepared = prepare(opened(root), RULE, out, challenge="toy", channels=3)
    assert detection.open_truth(prepared.labels_of("test")).index.ids == (0, 1, 2, 3, 4)


def test_the_test_needs_no_annotations(tmp_path):
    root = make_delftbikes(tmp_path / "copy")
    with_them = opened(root)
    (root / "fake_test_annotations.json").unlink()
    (root / "test" / "readme.txt").write_text("x")
    source = opened(root)
    tests = [image for image in source.images if image.split == "test"]
    assert [image.key for image in tests] == sorted(i.key for i in with_them.images if i.split == "test")
    assert set(tests) == {image for image in with_them.images if image.split == "test"}


@pytest.mark.parametrize("where", ["beside", "nowhere"])
def test_sizes_may_stand_elsewhere(tmp_path, where):
    root = make_delftbikes(tmp_path / "copy")
    sizes = [(image.key, image.height, image.width) for image in opened(root).images]

    def edit(value):
        for entry in value.values():
            image = entry.pop("image")
            if where == "beside":
                entry |= {side: image[side] for side in ("height", "width")}

    change(root, edit)
    change(root, edit, "fake_test_annotations.json")
    assert [(image.key, image.height, image.width) for image in opened(root).images] == sizes


def test_states(tmp_path):
    root = make_delftbikes(tmp_path / "copy")

    def edit(value):
        first, second, *_ = value.values()
        for k, part in enumerate(first["parts"].values()):
            part["object_state"] = ("intact", "damaged", "occluded", "absent", "missing")[k % 5]
        for part in second["parts"].values():
            part["object_state"] = "absent"
            part["absolute_bounding_box"] = None

    change(root, edit)
    source = opened(root)
    assert (source.objects.images == 0).sum() == 14  # of 22, two fifths of the last twenty absent
    assert list(source.notes) == [
        "left out 1 of 21 images, to learn from but without a box that counts: train/50192.jpg"
    ]


def test_the_validation_split_is_the_same_everywhere(tmp_path):
    """It depends on names and seed, not on the order in which a system lists files."""
    root = make_delftbikes(tmp_path / "copy")
    chosen = {pick.sample.key for pick in cut(opened(root), RULE) if pick.split == "val"}
    change(root, lambda value: [value.__setitem__(name, value.pop(name)) for name in sorted(value)[:7]])
    assert {pick.sample.key for pick in cut(opened(root), RULE) if pick.split == "val"} == chosen
    pinned = ("50200", "F0150f-2015000510", "F0150f-2015000512", "F0150f-2015000516")
    assert chosen == {f"train/{name}.jpg" for name in pinned}


def test_what_a_copy_lacks_is_said_at_once(tmp_path):
    root = make_delftbikes(tmp_path / "copy")
    for k in (1, 3, 5, 7):
        (root / "train" / f"{50191 + k}.jpg").unlink()
    (root / "test" / "50192.jpg").write_bytes(b"")
    fix = "or has them empty: 50192.jpg{}; expected each that the annotations name"
    assert problems(opened, root) == [
        f"{root}/train: lacks 4 of the 16 images of train, {fix.format(', 50194.jpg, 50196.jpg and 1 more')}",
        f"{root}/test: lacks 1 of the 5 images of test, {fix.format('')}",
    ]


def test_what_is_no_copy_at_all(tmp_path):
    (tmp_path / "file").touch()
    assert problems(opened, tmp_path / "file") == [
        f"{tmp_path / 'file'}: is a file; expected the folder of a copy"
    ]
    assert problems(opened, tmp_path, None, "instances") == [
        f"{tmp_path}: has no labels for task instances; expected task detection"
    ]
    assert problems(opened, tmp_path) == [
        f"{tmp_path}/train_annotations.json: cannot be read: No such file or directory",
        f"{tmp_path}/test: holds no images",
    ]


ENTRY = bike(SIZES[0], 0)
NUMBERS = "expected numbers of pixels as left, top, width, height"
STATES = "expected an object with an object_state of intact, damaged, occluded, absent"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "is 3; expected an object"),
        ({"a": 1, "b": 2}, "parts is null, beside the fields a, b; expected an object of parts"),
        ({"parts": [1]}, "parts is [1], beside the fields parts; expected an object of parts"),
        ({"parts": {"bell": None}}, f"part bell is null; {STATES}"),
        ({"parts": {"bell": {"state": "intact"}}}, f'part bell is {{"state": "intact"}}; {STATES}'),
        ({"parts": {"bell": {"object_state": "old"}}}, f'part bell is {{"object_state": "old"}}; {STATES}'),
        ({"parts": {"bell": {"object_state": "intact", "box": [1, 2, 3, 4]}}},
            f"absolute_bounding_box of part bell is null; {NUMBERS}"),
        ({"parts": {"bell": {"object_state": "damaged", "absolute_bounding_box": {"x": 1, "y": 2}}}},
            f'absolute_bounding_box of part bell is {{"x": 1, "y": 2}}; {NUMBERS}'),
        ({"parts": {"\n": {"object_state": "absent"}}}, 'has a part called "\\n"; expected a name'),
    ],
)  # fmt: skip
def test_wrong_entries_are_placed(tmp_path, entry, message):
    root = make_delftbikes(tmp_path / "copy")
    change(root, lambda value: value.__setitem__("50194.jpg", entry))
    assert problems(opened, root) == [f'{root}/train_annotations.json, "50194.jpg": {message}']


def test_damaged_and_foreign_files(tmp_path):
    root = make_delftbikes(tmp_path / "copy")
    good = (root / "train_annotations.json").read_bytes()
    for content, message in (
        (good[:1000], ", row 1: is not JSON at column "),
        (b"[]", ": holds []; expected an object with an entry for each image"),
        (b"{}", ": holds {}; expected an object with an entry for each image"),
        (b"\xff", ": byte 0 is not UTF-8; expected JSON in UTF-8"),
    ):
        (root / "train_annotations.json").write_bytes(content)
        (found,) = problems(opened, root)
        assert found.startswith(f"{root}/train_annotations.json{message}")
    (root / "train_annotations.json").write_text(json.dumps(dict.fromkeys([f"{k}.jpg" for k in range(9)], 3)))
    found = problems(opened, root)
    assert len(found) == 6
    assert found[5] == f"{root}/train_annotations.json: 9 entries are wrong in all; the first are listed"


def test_the_parts_must_be_the_published_number(tmp_path):
    root = make_delftbikes(tmp_path / "copy")
    assert list(opened(root, PARTS).names) == PARTS
    place, other = f"{root}/train_annotations.json", PARTS[::-1]
    assert problems(opened, root, other) == [
        f"{place}: names 22 parts: {', '.join(PARTS)}; expected {', '.join(other)}"
    ]
    change(root, lambda value: [entry["parts"].pop("bell") for entry in value.values()])
    rest = ", ".join(part for part in PARTS if part != "bell")
    assert problems(opened, root) == [f"{place}: names 21 parts: {rest}; expected 22 as published"]


def test_a_damaged_image_is_named(tmp_path):
    root = make_delftbikes(tmp_path / "copy")
    (root / "train" / "50192.jpg").write_bytes(picture((4, 5))[:100])
    (found,) = problems(lambda: prepare(opened(root), RULE, tmp_path / "out", challenge="x", channels=3))
    assert found.startswith(f"{root}, train/50192.jpg: ")
