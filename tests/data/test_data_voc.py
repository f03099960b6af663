"""The source kind `voc`: the layout of Pascal VOC, whole, lacking and damaged; and the blood cells in it."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from replica_coco import make_voc, picture, voc_annotation, voc_object

from vipriors.data.prepare import prepare
from vipriors.data.sources import open_annotated
from vipriors.data.subset import SubsetRule
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.tasks import detection

WHOLE = SubsetRule(images_per_class=None, seed=0, validation=None, test_per_class=None)


def opened(root: Path, names=None, task: str = "detection"):
    return open_annotated("voc", root, task, names)


def problems(function, *arguments) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments)
    return [str(problem) for problem in caught.value.problems]


def labels_of(source, key: str) -> list[dict]:
    sample = next(sample for sample in source.samples if sample.key == key)
    ((_, content),) = source.annotations([("img_1.jpg", sample)])
    return json.loads(content)["annotations"]


def test_splits_names_and_boxes(tmp_path):
    root = make_voc(tmp_path / "copy")
    source = opened(root)
    assert (source.names, list(source.classes)) == (("cat", "dog"), ["image"])
    # The first image has a flat box alone; the twelfth, of the test, none.
    splits = ["train"] * 7 + ["val"] * 3 + ["test"] * 3
    expected = [(f"JPEGImages/2007_{k + 1:06d}.jpg", split) for k, split in enumerate(splits)]
    assert [(sample.key, sample.split) for sample in source.samples] == expected
    assert source.content(source.samples[0]) == (".jpg", root / "JPEGImages/2007_000001.jpg")
    assert list(source.notes) == [
        "left out 1 of 14 boxes without an area inside their image: in JPEGImages/2007_000000.jpg",
        "left out 1 of 14 images, to learn from but without a box that counts: JPEGImages/2007_000000.jpg",
    ]
    boxes = labels_of(source, "JPEGImages/2007_000001.jpg")
    assert boxes == [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [2, 2, 8, 10], "area": 80, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [2.5, 3, 4.75, 5], "area": 23.75, "iscrowd": 1},
    ]


def test_it_is_prepared_and_read(tmp_path):
    root, out = make_voc(tmp_path / "copy"), tmp_path / "out"
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    prepared = prepare(opened(root), WHOLE, out, challenge="toy", channels=3)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert verify(out) == []
    assert prepared.dataset.counts == {"train": 7, "val": 3, "test": 3}
    for split, objects in (("train", 7), ("val", 3), ("test", 2)):
        truth = detection.open_truth(prepared.labels_of(split))
        coco = COCO(str(prepared.labels_of(split)))
        assert truth.classes == ("cat", "dog")
        assert (~truth.labels.objects.crowds).sum() == objects
        assert truth.labels.boxes.tolist() == [entry["bbox"] for entry in coco.dataset["annotations"]]


def test_classes_may_be_given(tmp_path):
    root = make_voc(tmp_path / "copy")
    source = opened(root, ["dog", "bird", "cat"])
    assert source.names == ("dog", "bird", "cat")
    assert [entry["category_id"] for entry in labels_of(source, "JPEGImages/2007_000001.jpg")] == [1, 3]
    assert problems(opened, root, ["dog", "bird"]) == [
        f"{root}/Annotations: has objects of other classes: cat; expected dog, bird"
    ]


def test_other_image_suffixes_and_names_with_dots(tmp_path):
    root = make_voc(tmp_path / "copy")
    (root / "JPEGImages/2007_000003.jpg").unlink()
    (root / "JPEGImages/2007_000003.PNG").write_bytes(picture((4, 5), kind="PNG"))
    (root / "JPEGImages/notes.txt").write_text("x")
    source = opened(root)
    assert source.samples[2].key == "JPEGImages/2007_000003.PNG"
    assert source.content(source.samples[2])[0] == ".png"
    for name in ("JPEGImages/2007_000004.jpg", "Annotations/2007_000004.xml"):
        (root / name).rename(root / name.replace("000004", "000004.v2"))
    file = root / "ImageSets/Main/train.txt"
    file.write_text(file.read_text().replace("000004", "000004.v2").replace("\n", "  1\n") + "\n")
    assert opened(root).samples[3].key == "JPEGImages/2007_000004.v2.jpg"


def test_val_and_test_may_be_missing(tmp_path):
    root = make_voc(tmp_path / "copy")
    for split in ("val", "test"):
        (root / f"ImageSets/Main/{split}.txt").unlink()
    assert Counter(sample.split for sample in opened(root).samples) == {"train": 7}
    (root / "ImageSets/Main/train.txt").unlink()
    assert problems(opened, root) == [
        f"{root}/ImageSets/Main/train.txt: is missing; expected a name of an image in each line"
    ]


def test_what_a_copy_lacks_is_said_at_once(tmp_path):
    root = make_voc(tmp_path / "copy")
    for k in (2, 3, 5, 9):
        (root / f"JPEGImages/2007_{k:06d}.jpg").unlink()
    (root / "Annotations/2007_000013.xml").write_text("")
    file = root / "ImageSets/Main/val.txt"
    file.write_text(file.read_text() + "2007_000001\n")
    fix = "expected one for each name in ImageSets/Main"
    assert problems(opened, root) == [
        f"{file}, row 4: 2007_000001 is also in train.txt, row 2; expected each image once",
        f"{root}/JPEGImages: lacks 4 of the 14 images, or has them empty: 2007_000002, 2007_000003, "
        f"2007_000005 and 1 more; {fix}",
        f"{root}/Annotations: lacks 1 of the 14 annotations, or has them empty: 2007_000013.xml; {fix}",
    ]
    shutil.rmtree(root / "JPEGImages")
    assert problems(opened, root)[1].startswith(f"{root}/JPEGImages: lacks 14 of the 14 images, ")


def test_what_is_no_copy_at_all(tmp_path):
    (tmp_path / "file").touch()
    assert problems(opened, tmp_path / "file") == [
        f"{tmp_path / 'file'}: is a file; expected the folder of a copy"
    ]
    assert problems(opened, tmp_path, None, "instances") == [
        f"{tmp_path}: has no labels for task instances; expected task detection"
    ]


def entity(text: str) -> str:
    return f'<!DOCTYPE a [<!ENTITY x "{text}">]>' + voc_annotation((9, 9), [voc_object("&x;", (1, 1, 2, 2))])


CAT = voc_object("cat", (1, 1, 2, 2))
SIZE = "<size><width>9</width><height>9</height></size>"
NUMBER = "expected a number of pixels"
MISSING = f" is missing; {NUMBER}"
WHOLE_NUMBERS = "expected whole numbers of pixels, 1 or more"
NO_BOX = [f", object 0: bndbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax")]
NO_NAME = ", object 0: has no name; expected that of its class"
DECLARES = ": declares a document type or entities; expected plain elements"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (voc_annotation((9, 9), [CAT])[:-5], [": is not XML: "]),
        ("not XML", [": is not XML: syntax error: line 1, column 0; is the file whole?"]),
        (entity("cat"), [DECLARES]),
        (entity("cat").encode("utf-16"), [": is not UTF-8; expected XML in UTF-8"]),
        (f"<a>{SIZE}&#60;!ENTITY<object/></a>", [*(f"{side}{MISSING}" for side in NO_BOX), NO_NAME]),
        ("<a/>" + " " * 2**20, [": has 1,048,580 bytes; expected at most 1,048,576"]),
        (f"<annotation>{CAT}</annotation>", [
            f", annotation: size/height{MISSING}",
            f", annotation: size/width{MISSING}",
        ]),
        (voc_annotation((0, 9), [CAT]), [f": size is 9 x 0; {WHOLE_NUMBERS}"]),
        (f"<a>{SIZE.replace('9', '9.5')}</a>", [f": size is 9.5 x 9.5; {WHOLE_NUMBERS}"]),
        (voc_annotation((9, 9), [CAT, voc_object("", (1, "x", 2, "nan"))]), [
            ", object 1: bndbox/ymin is 'x'; expected a number of pixels",
            ", object 1: bndbox/ymax is 'nan'; expected a number of pixels",
            ", object 1: has no name; expected that of its class",
        ]),
        (f"<a>{SIZE}<object><name>cat</name><part>{CAT}</part></object></a>", [
            f"{side}{MISSING}" for side in NO_BOX
        ]),
        (voc_annotation((9, 9), [voc_object("cat", (1, 1, 2, "1e9"))]), [
            ", object 0: bndbox/ymax is '1e9'; expected a number of pixels",
        ]),
    ],
)  # fmt: skip
def test_damaged_annotations(tmp_path, content, expected):
    root = make_voc(tmp_path / "copy")
    file = root / "Annotations/2007_000005.xml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    found = problems(opened, root)
    assert len(found) == len(expected)
    for one, start in zip(found, expected, strict=True):
        assert one.startswith(f"{file}{start}")


def test_many_faults_are_counted(tmp_path):
    root = make_voc(tmp_path / "copy")
    for k in range(14):
        (root / f"Annotations/2007_{k:06d}.xml").write_text("<")
    found = problems(opened, root)
    assert len(found) == 6
    assert found[5] == f"{root}/Annotations: 14 faults in all; the first are listed"


def test_parts_of_objects_are_no_objects(tmp_path):
    """Pascal VOC has boxes of heads and hands within those of persons."""
    root = make_voc(tmp_path / "copy")
    part = f"<part><name>head</name>{CAT[CAT.index('<bndbox>') : CAT.index('</object>')]}</part>"
    content = voc_annotation((20, 20), [voc_object("cat", (3, 4, 9, 9), part)])
    (root / "Annotations/2007_000005.xml").write_text(content)
    (one,) = labels_of(opened(root), "JPEGImages/2007_000005.jpg")
    assert one["bbox"] == [3, 4, 6, 5]


def test_blood_cells(shared_data):
    """Counts as its README states them, of which two boxes have no area."""
    source = opened(shared_data / "bccd")
    assert source.names == ("Platelets", "RBC", "WBC")
    assert Counter(sample.split for sample in source.samples) == {"train": 205, "val": 87, "test": 72}
    assert Counter(source.objects.categories.tolist()) == {1: 361, 2: 4155 - 2, 3: 372}
    assert list(source.notes) == [
        "left out 2 of 4,888 boxes without an area inside their image: in JPEGImages/BloodImage_00343.jpg, "
        "JPEGImages/BloodImage_00338.jpg"
    ]
