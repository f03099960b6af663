"""The source kind `cityscapes`: copies as folders and zips, whole, lacking and damaged."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from replica_cityscapes import FORMS, SIZE, make_copy, png, scene

from vipriors.data.lists import Listed, ListRule
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import AnnotatedSource, open_annotated
from vipriors.data.sources.cityscapes import MOST_LABEL_ID, NAMES, open_cityscapes
from vipriors.data.subset import SubsetRule
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.tasks import segmentation
from vipriors.tasks.class_map import CITYSCAPES

STEMS = [f"train/{city}/{city}_00000{k}_000019" for city in ("jena", "aachen") for k in (2, 0, 1)]
STEMS += [f"val/lindau/lindau_00000{k}_000019" for k in (1, 0)]
KEYS = [f"{stem}_leftImg8bit.png" for stem in STEMS]
IDS = [key.rpartition("/")[2] for key in KEYS[:6]] + ["18216822363510562746.png", "7.png"]
RULE = ListRule(
    tuple(
        Listed(split, key, id)
        for split, key, id in zip(["train"] * 4 + ["val"] * 2 + ["test"] * 2, KEYS, IDS, strict=True)
    ),
    name="my.csv",
)
PARTS = [
    ("leftImg8bit", "_leftImg8bit.png", "images"),
    ("gtFine", "_gtFine_labelIds.png", "label maps"),
    ("gtFine", "_gtFine_instanceIds.png", "instance maps"),
]


@pytest.fixture
def root(tmp_path) -> Path:
    return make_copy(tmp_path / "copy", STEMS)


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in tree(folder).items()}


def make(root: Path, out: Path, **options):
    source = open_cityscapes(root, "segmentation", None, KEYS)
    return prepare(source, RULE, out, challenge="toy", channels=3, **options)


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def faults(root: Path, keys: list[str] | None = KEYS) -> list[str]:
    return problems(open_cityscapes, root, "segmentation", None, keys)


def test_the_names_are_those_that_the_task_scores():
    assert CITYSCAPES.names == NAMES
    assert [class_.id for class_ in CITYSCAPES.all] == list(range(MOST_LABEL_ID + 1))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_files(tmp_path, form):
    root = make_copy(tmp_path / "copy", STEMS, form)
    source = open_cityscapes(root, "segmentation", None, KEYS)
    assert isinstance(source, AnnotatedSource)
    assert (source.name, source.root, source.media) == (str(root), root, "images")
    assert (source.classes, source.names) == (("image",), NAMES)
    assert [(s.key, s.label, s.split) for s in source.samples] == [
        (key, 0, "train" if key.startswith("train") else "test") for key in KEYS
    ]
    for k, sample in enumerate(source.samples):
        suffix, place = source.content(sample)
        data = place if isinstance(place, bytes) else place.read_bytes()
        assert (suffix, data) == (".png", png(scene(k)[0]))
    named = list(zip(IDS, source.samples, strict=True))
    files = dict(source.annotations(named))
    assert list(source.test_index(named)) == [] and len(files) == 2 * len(IDS)
    for k, id in enumerate(IDS):
        stem = id.removesuffix(".png").removesuffix("_leftImg8bit")
        assert files[f"{stem}_gtFine_labelIds.png"] == png(scene(k)[1])
        assert files[f"{stem}_gtFine_instanceIds.png"] == png(scene(k)[2])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_prepared_alike(tmp_path, form):
    root, out = make_copy(tmp_path / "copy", STEMS, form), tmp_path / "out"
    before = tree(root)
    prepared = make(root, out)
    assert tree(root) == before and verify(out) == [] and read_prepared(out) == prepared
    assert prepared.dataset.counts == {"train": 4, "val": 2, "test": 2}
    assert prepared.dataset.classes == list(NAMES)
    # The order of test images depends on their keys alone, not on that of the list.
    assert {row.id for row in prepared.split("test")} == set(IDS[6:])
    assert [(row.id, row.label) for row in prepared.rows[:6]] == [(id, None) for id in IDS[:6]]

    other = tmp_path / "other"
    make(make_copy(tmp_path / "plain", STEMS), other)
    assert contents(out) == contents(other)

    for split, first in (("train", 0), ("val", 4), ("test", 6)):
        labels = segmentation.read_labels(prepared.labels_of(split))
        ids = {segmentation.id_of(row.id): k for k, row in enumerate(RULE.rows) if row.split == split}
        assert labels.images.keys() == ids.keys() and min(ids.values()) == first
        for id_, image in labels.images.items():
            for found, expected in zip(image.load(id_), scene(ids[id_])[1:], strict=True):
                assert np.array_equal(found, expected)
    truth = segmentation.open_truth(out / "labels/test")
    assert truth.index.ids == ("18216822363510562746", "7") and truth.index.sizes == (SIZE, SIZE)


def test_links_where_there_are_files(tmp_path, root):
    prepared = make(root, tmp_path / "out", mode="link")
    for row in prepared.rows[:6]:
        assert (prepared.root / row.file).samefile(root / "leftImg8bit" / row.source)


def test_only_wanted_images_are_needed(tmp_path, root):
    """A copy may be a part, and its parts different ones."""
    shutil.rmtree(root / "gtFine/train/jena")
    (root / "leftImg8bit/train/jena/jena_000000_000019_leftImg8bit.png").write_bytes(b"")
    shutil.rmtree(root / "leftImg8bit/val")
    some = [KEYS[4], KEYS[3]]
    source = open_cityscapes(root, "segmentation", None, iter([*some, *some]))
    assert [sample.key for sample in source.samples] == some
    assert len(faults(root)) == 3 and len(faults(root, None)) == 3


def test_all_images_without_a_list(tmp_path, root):
    """Drawn by number, validation images are the test: nobody has the labels of the test images."""
    source = open_annotated("cityscapes", root, "segmentation")
    assert [sample.key for sample in source.samples] == sorted(KEYS)
    rule = SubsetRule(images_per_class=4, seed=1, validation=0.25, test_per_class=None)
    prepared = prepare(source, rule, tmp_path / "out", challenge="toy", channels=3)
    assert prepared.dataset.counts == {"train": 3, "val": 1, "test": 2}
    assert sorted(row.id for row in prepared.rows) == (
        ["image_0.png", "image_1.png", "image_2.png", "image_3.png", "img_0.png", "img_1.png"]
    )
    for split, ids in (("train", {"image_0", "image_1", "image_2"}), ("test", {"img_0", "img_1"})):
        assert segmentation.read_labels(prepared.labels_of(split)).images.keys() == ids


@pytest.mark.parametrize("form", ["folders", "stored zips"])
def test_what_a_copy_lacks_is_said_with_counts(tmp_path, form):
    root = make_copy(tmp_path / "copy", STEMS[:2], form)
    zips = form == "stored zips"
    found = []
    for top, ending, what in PARTS:
        where = root / (f"{top}_trainvaltest.zip" if zips else top)
        absent = ", ".join(f"{stem}{ending}" for stem in STEMS[2:5])
        found.append(
            f"{where}: lacks 6 of the 8 {what} needed, or has them empty: {absent} and 3 more; expected "
            f"{top}_trainvaltest.zip whole, unpacked or as it is"
        )
    assert faults(root) == found
    assert faults(root, KEYS[6:])[0].startswith(f"{root}/leftImg8bit") and faults(root, KEYS[6:])[0].endswith(
        f"lacks 2 of the 2 images needed, or has them empty: {KEYS[6]}, {KEYS[7]}; expected "
        "leftImg8bit_trainvaltest.zip whole, unpacked or as it is"
    )


@pytest.mark.parametrize("form", ["folders", "deflated zips"])
def test_empty_files_are_as_good_as_none(tmp_path, form, monkeypatch):
    import replica_cityscapes

    whole = replica_cityscapes.png
    empty = whole(scene(1)[2])
    monkeypatch.setattr(replica_cityscapes, "png", lambda a: b"" if whole(a) == empty else whole(a))
    root = make_copy(tmp_path / "copy", STEMS, form)
    where = root / ("gtFine" if form == "folders" else "gtFine_trainvaltest.zip")
    assert faults(root) == [
        f"{where}: lacks 1 of the 8 instance maps needed, or has them empty: "
        f"{STEMS[1]}_gtFine_instanceIds.png; expected gtFine_trainvaltest.zip whole, unpacked or as it is"
    ]


def test_what_is_no_copy_at_all(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert [message.partition(" needed")[0] for message in faults(tmp_path / "empty")] == [
        f"{tmp_path / 'empty'}: lacks 8 of the 8 {what}" for _, _, what in PARTS
    ]
    assert faults(tmp_path / "empty", None) == [
        f"{tmp_path / 'empty'}: holds no image of Cityscapes; expected leftImg8bit/train/<city>/, "
        "leftImg8bit/val/<city>/ and the same of gtFine"
    ]
    for name, found in (("file", "is a file"), ("none", "does not exist")):
        assert faults(tmp_path / name) == [
            f"{tmp_path / name}: {found}; expected the folder of a copy of Cityscapes"
        ]


def test_other_tasks_and_names(root):
    assert problems(open_cityscapes, root, "detection") == [
        f"{root}: Cityscapes is for task segmentation; found task detection"
    ]
    assert problems(open_cityscapes, root, "segmentation", ["road"]) == [
        f"{root}: Cityscapes has names of its own; found 1 names in the challenge's source.classes, "
        "expected none"
    ]
    assert open_cityscapes(root, "segmentation", NAMES, KEYS).names == NAMES


@pytest.mark.parametrize("form", ["folders", "stored zips", "deflated zips"])
def test_files_of_another_form(tmp_path, form, monkeypatch):
    """Coloured maps, swapped maps and web pages are known by their headers, before anything is written."""
    import replica_cityscapes

    def odd(k: int):
        image, labels, instances = scene(k)
        if k == 1:
            return image, np.stack([labels] * 3, axis=2), labels
        return (image[:4] if k == 2 else image), (labels[:, :3] if k == 3 else labels), instances

    monkeypatch.setattr(replica_cityscapes, "scene", odd)
    root = make_copy(tmp_path / "copy", STEMS, form)
    images, maps = (
        root / (top if form == "folders" else f"{top}_trainvaltest.zip") for top in ("leftImg8bit", "gtFine")
    )
    assert faults(root) == [
        f"{maps}: has 1 of 8 label maps of another form: {STEMS[1]}_gtFine_labelIds.png (8-bit colour); "
        "expected 8-bit grey PNGs",
        f"{maps}: has 2 of 8 label maps of another size than the image: {STEMS[2]}_gtFine_labelIds.png is "
        f"16 x 8, its image 16 x 4, {STEMS[3]}_gtFine_labelIds.png is 3 x 8, its image 16 x 8; expected the "
        "same size",
        f"{maps}: has 1 of 8 instance maps of another form: {STEMS[1]}_gtFine_instanceIds.png (8-bit grey); "
        "expected 16-bit grey PNGs",
        f"{maps}: has 1 of 8 instance maps of another size than the image: "
        f"{STEMS[2]}_gtFine_instanceIds.png is 16 x 8, its image 16 x 4; expected the same size",
    ]
    if form == "folders":
        (images / KEYS[0]).write_bytes(b"<html>Sign in</html>")
        assert faults(root, KEYS[:1]) == [
            f"{images}: has 1 of 1 images of another form: {KEYS[0]} (damaged, or no PNG); expected 8-bit "
            "colour PNGs"
        ]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_zip_is_said_to_be_damaged(tmp_path, share):
    root = make_copy(tmp_path / "copy", STEMS, "deflated zips")
    for archive in root.iterdir():
        data = archive.read_bytes()
        archive.write_bytes(data[: int(share * len(data))])
    found = faults(root)
    assert len(found) == 2 and found[0].startswith(
        f"{root}/leftImg8bit_trainvaltest.zip: cannot be read as a"
    )
    assert found[1].startswith(f"{root}/gtFine_trainvaltest.zip: cannot be read as a zip")


def test_damage_inside_of_a_zip(tmp_path):
    root = make_copy(tmp_path / "copy", STEMS, "deflated zips")
    archive = root / "leftImg8bit_trainvaltest.zip"
    name = f"leftImg8bit/{KEYS[1]}"
    with zipfile.ZipFile(archive) as opened:
        place = opened.getinfo(name).header_offset
    data = bytearray(archive.read_bytes())
    start = place + 30 + len(name)
    data[start : start + 40] = b"\xff" * 40
    archive.write_bytes(data)
    assert faults(root) == [
        f"{archive}: has 1 of 8 images of another form: {KEYS[1]} (damaged, or no PNG); expected 8-bit "
        "colour PNGs"
    ]


def test_damage_behind_the_header_stops_and_is_gone_on_from(tmp_path, root):
    out = tmp_path / "out"
    labels = [root / "gtFine" / f"{stem}_gtFine_labelIds.png" for stem in STEMS]
    whole = contents(root)
    for k in (0, 2, 4, 7):
        labels[k].write_bytes(labels[k].read_bytes()[:-30])
    strange = scene(1)[1].copy()
    strange[3, 5] = 255
    labels[1].write_bytes(png(strange))
    found = problems(make, root, out)
    assert [message.partition(": ")[0] for message in found] == [
        f"{root}, {STEMS[7]}_gtFine_labelIds.png"
    ]  # the test's labels are written first
    labels[7].write_bytes(whole[labels[7].relative_to(root).as_posix()])
    found = problems(make, root, out)
    assert found[1] == f"{root}, {STEMS[1]}_gtFine_labelIds.png: holds label id 255; expected 0 to 33"
    assert [message.partition(": ")[2].partition(":")[0] for message in (found[0], found[2])] == (
        ["damaged image"] * 2
    )
    for k in range(5):
        labels[k].write_bytes(whole[labels[k].relative_to(root).as_posix()])
    make(root, out)
    make(root, tmp_path / "straight")
    assert contents(out) == contents(tmp_path / "straight") and verify(out) == []


@pytest.mark.parametrize("form", ["folders", "deflated zips"])
def test_an_interrupted_preparation_goes_on(tmp_path, form):
    root, out = make_copy(tmp_path / "copy", STEMS, form), tmp_path / "out"

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(root, out, progress=interrupt)
    assert not (out / "dataset.json").exists() and not (out / "annotations").exists()
    (out / "images/train" / IDS[0]).unlink()
    (out / "images/test" / IDS[7]).write_bytes(b"half")
    make(root, out)
    make(root, tmp_path / "straight")
    assert contents(out) == contents(tmp_path / "straight")


@pytest.mark.parametrize("key", [
    "jena/jena_000002_000019_leftImg8bit.png", "test/berlin/berlin_0_leftImg8bit.png", STEMS[0], "",
    f"{STEMS[0]}_gtFine_labelIds.png",
])  # fmt: skip
def test_what_is_no_key_is_not_in_the_source(tmp_path, root, key):
    source = open_cityscapes(root, "segmentation", None, [key])
    assert source.samples == []
    rule = ListRule((Listed("train", key),), name="my.csv")
    found = problems(prepare, source, rule, tmp_path / "out", challenge="x", channels=3)
    assert found == [f"my.csv, row 2: source {key!r} is not in {root}"]
    assert not (tmp_path / "out").exists()


def test_a_key_does_not_climb_out_of_the_copy(root):
    secret = root / "secret_leftImg8bit.png"
    secret.write_bytes(png(scene(0)[0]))
    key = "train/../../secret_leftImg8bit.png"
    assert (root / "leftImg8bit" / key).resolve() == secret
    assert [message.partition(" of")[0] for message in faults(root, [key])] == [
        f"{root}/leftImg8bit: lacks 1", f"{root}/gtFine: lacks 1", f"{root}/gtFine: lacks 1"
    ]  # fmt: skip


def test_palette_label_maps_are_refused(root):
    """Their indices may be train ids, as in some copies that people hand on."""
    file = root / "gtFine" / f"{STEMS[0]}_gtFine_labelIds.png"
    image = Image.fromarray(scene(0)[1]).convert("P")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    file.write_bytes(stream.getvalue())
    (found,) = faults(root)
    assert f"of another form: {STEMS[0]}_gtFine_labelIds.png (8-bit palette);" in found
