"""The source kind `imagenet`: copies of ILSVRC2012 in every form, whole, lacking and damaged."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest
from replica_imagenet import FORMS, make_copy, pictures

from vipriors.data.files import FilePart
from vipriors.data.lists import Listed, ListRule
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import open_imagenet
from vipriors.data.verify import verify
from vipriors.problems import BadInput

WNIDS = [f"n{number:08d}" for number in (7, 1440764, 15075141)]
TRAINING = [(wnid, f"{wnid}_{number}.JPEG") for wnid in reversed(WNIDS) for number in (3, 10, 2)]
VALIDATION = [(WNIDS[k % 3], f"ILSVRC2012_val_{k + 1:08d}.JPEG") for k in (4, 0, 2, 5, 1, 3)]
CLASS_OF = {file: wnid for wnid, file in VALIDATION}
KEYS = [f"{wnid}/{file}" for wnid, file in TRAINING] + list(CLASS_OF)
LABELS = [WNIDS.index(wnid) for wnid, _ in TRAINING + VALIDATION]
JPEGS = pictures(15)

ROWS = tuple(
    [Listed("val" if "_2." in file else "train", f"{wnid}/{file}", file) for wnid, file in TRAINING]
    + [Listed("test", file, f"img_{k}.JPEG") for k, file in enumerate(CLASS_OF)]
)


def copy(root: Path, form: str) -> Path:
    return make_copy(root, TRAINING, VALIDATION, form, JPEGS)


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def make(source, out: Path, **options):
    return prepare(source, ListRule(ROWS), out, challenge="toy", channels=3, **options)


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images(tmp_path, form):
    root = copy(tmp_path / "copy", form)
    source = open_imagenet(root, KEYS, CLASS_OF)
    assert (source.name, source.root, list(source.classes)) == (str(root), root, WNIDS)
    assert [(s.key, s.label) for s in source.samples] == list(zip(KEYS, LABELS, strict=True))
    assert [s.split for s in source.samples] == ["train"] * 9 + ["val"] * 6
    for sample, content in zip(source.samples, JPEGS, strict=True):
        suffix, place = source.content(sample)
        assert (suffix, place.read_bytes()) == (".jpeg", content)
        assert isinstance(place, FilePart if form == "tars" else Path)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_prepared_alike(tmp_path, form):
    root = copy(tmp_path / "copy", form)
    before = tree(root)
    out = tmp_path / "out"
    prepared = make(open_imagenet(root, KEYS, CLASS_OF), out)
    assert tree(root) == before and verify(out) == [] and read_prepared(out) == prepared

    train = [row for row in ROWS if row.split == "train"]
    val = [row for row in ROWS if row.split == "val"]
    learned = [row for row in prepared.rows if row.split != "test"]
    assert [(r.split, r.source, r.id) for r in learned] == [(r.split, r.source, r.id) for r in train + val]
    assert [row.label for row in learned] == [WNIDS.index(row.source[:9]) for row in train + val]
    content = dict(zip(KEYS, JPEGS, strict=True))
    for row in ROWS:
        assert (out / "images" / row.split / row.id).read_bytes() == content[row.source]
    labels = dict(line.split(",") for line in (out / "labels/test.csv").read_text().split()[2:])
    assert labels == {f"img_{k}.JPEG": str(WNIDS.index(wnid)) for k, wnid in enumerate(CLASS_OF.values())}
    copied = {file: content for file, (content, _) in tree(out).items()}
    other = tmp_path / "other"
    make(open_imagenet(copy(tmp_path / "flat", "flat"), KEYS, CLASS_OF), other)
    assert copied == {file: content for file, (content, _) in tree(other).items()}


@pytest.mark.parametrize("form", ["sorted", "tars"])
def test_links(tmp_path, form):
    """A tar has nothing to link: its images are copied."""
    root, out = copy(tmp_path / "copy", form), tmp_path / "out"
    source = open_imagenet(root, KEYS, CLASS_OF)
    make(source, out, mode="link")
    for sample, row in zip(source.samples, ROWS, strict=True):
        file, (_, place) = out / "images" / row.split / row.id, source.content(sample)
        assert file.samefile(place) if isinstance(place, Path) else file.stat().st_nlink == 1


@pytest.mark.parametrize("form", ["flat", "tars"])
def test_an_interrupted_preparation_goes_on(tmp_path, monkeypatch, form):
    root, out = copy(tmp_path / "copy", form), tmp_path / "out"
    make(open_imagenet(root, KEYS, CLASS_OF), tmp_path / "straight")

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(open_imagenet(root, KEYS, CLASS_OF), out, progress=interrupt)
    assert not (out / "dataset.json").exists()
    (out / "images/train" / ROWS[0].id).unlink()
    (out / "images/test/img_3.JPEG").write_bytes(b"half")
    make(open_imagenet(root, KEYS, CLASS_OF), out)
    contents = [
        {name: file for name, (file, _) in tree(tmp_path / name).items()} for name in ("out", "straight")
    ]
    assert contents[0] == contents[1]


def test_only_listed_images_are_wanted_or_looked_for(tmp_path):
    root = copy(tmp_path / "copy", "flat")
    shutil.rmtree(root / "train" / WNIDS[0])
    some = [key for key in KEYS if WNIDS[0] not in key]
    source = open_imagenet(root, some, CLASS_OF)
    assert [sample.key for sample in source.samples] == some
    assert list(source.classes) == WNIDS  # numbers do not depend on what is listed


@pytest.mark.parametrize("key", [
    "n00000007/../secret.JPEG", "n00000007/n01440764_1.JPEG", "n99999999/n99999999_1.JPEG", "../x.JPEG",
    "ILSVRC2012_val_00000099.JPEG", "n00000007_3.JPEG", "",
])  # fmt: skip
def test_what_is_no_image_of_it_is_not_in_the_source(tmp_path, key):
    source = open_imagenet(copy(tmp_path / "copy", "flat"), [key], CLASS_OF)
    assert source.samples == []
    rule = ListRule((Listed("train", key),), name="my.csv")
    found = problems(prepare, source, rule, tmp_path / "out", challenge="x", channels=3)
    assert found == [f"my.csv, row 2: source {key!r} is not in {tmp_path / 'copy'}"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("nested", ["", "ILSVRC/Data/CLS-LOC/"])
def test_what_a_copy_lacks_is_said_with_counts(tmp_path, nested):
    root = copy(tmp_path / "copy", "nested" if nested else "flat")
    shutil.rmtree(root / f"{nested}train" / WNIDS[1])
    (root / f"{nested}train/{KEYS[0]}").write_bytes(b"")
    (root / f"{nested}val/{VALIDATION[2][1]}").unlink()
    absent = ", ".join([KEYS[0], *KEYS[3:5]])
    assert problems(open_imagenet, root, KEYS, CLASS_OF) == [
        f"{root}/{nested}train: lacks 4 of the 9 training images needed, or has them empty: {absent} and 1 "
        "more; expected ILSVRC2012_img_train.tar unpacked whole to train/<wnid>/, or that tar itself instead",
        f"{root}/{nested}val: lacks 1 of the 6 validation images needed, or has them empty: "
        f"{VALIDATION[2][1]}; expected ILSVRC2012_img_val.tar unpacked whole to val/, or that tar itself "
        "instead",
    ]


def test_what_is_no_copy_at_all(tmp_path):
    assert [p.partition(" needed")[0] for p in problems(open_imagenet, tmp_path, KEYS, CLASS_OF)] == [
        f"{tmp_path}: lacks 9 of the 9 training images",
        f"{tmp_path}: lacks 6 of the 6 validation images",
    ]
    (tmp_path / "file").touch()
    for name, found in (("file", "is a file"), ("none", "does not exist")):
        assert problems(open_imagenet, tmp_path / name, KEYS, CLASS_OF) == [
            f"{tmp_path / name}: {found}; expected the folder of a copy of ILSVRC2012"
        ]


def test_validation_images_in_other_classes_than_published(tmp_path):
    root = copy(tmp_path / "copy", "sorted")
    (wnid, moved), (_, lost) = VALIDATION[0], VALIDATION[3]
    wrong = next(name for name in WNIDS if name != wnid)
    (root / "val" / wnid / moved).rename(root / "val" / wrong / moved)
    (root / "val" / CLASS_OF[lost] / lost).write_bytes(b"")
    sorting, lacking = problems(open_imagenet, root, KEYS, CLASS_OF)
    assert sorting == (
        f"{root}/val: sorts 1 validation images into other classes than the published list: {moved} is in "
        f"{wrong}, not {wnid}; sort them again by the list, or put ILSVRC2012_img_val.tar there instead"
    )
    assert lacking.startswith(
        f"{root}/val: lacks 1 of the 5 validation images needed, or has them empty: {lost};"
    )


def test_a_cut_tar_lacks_what_is_behind_the_cut(tmp_path):
    root = copy(tmp_path / "copy", "tars")
    for name in ("train", "val"):
        tar = root / f"ILSVRC2012_img_{name}.tar"
        with tarfile.open(tar) as archive:
            middle = archive.getmembers()[1]
        # Whole members before, half a member at the end.
        tar.write_bytes(tar.read_bytes()[: middle.offset_data + middle.size // 2])
    train, val = problems(open_imagenet, root, KEYS, CLASS_OF)
    # Classes lie in the order of their names in the tar, of which the first alone is whole.
    assert train == (
        f"{root}/ILSVRC2012_img_train.tar: lacks 6 of the 9 training images needed, or has them empty: "
        f"{', '.join(KEYS[:3])} and 3 more; the file is incomplete or damaged: "
        "its MD5 should be 1d675b47d978889d74fa0da5fadfb00e"
    )
    assert "lacks 5 of the 6 validation images needed" in val and "29b22e2961454d5413ddabcf34fc5622" in val


def test_a_damaged_class_in_a_tar_takes_nothing_from_the_next(tmp_path):
    root = copy(tmp_path / "copy", "tars")
    tar = root / "ILSVRC2012_img_train.tar"
    with tarfile.open(tar) as archive:
        first, second, _ = archive.getmembers()
    content = bytearray(tar.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content[first.offset_data : second.offset])) as archive:
        last = archive.getmembers()[2]
    # The last image of the first class claims to reach far into the second class.
    header = tarfile.TarInfo(last.name)
    header.size = 20_000
    start = first.offset_data + last.offset
    content[start : start + 512] = header.tobuf()
    tar.write_bytes(content)
    (found,) = problems(open_imagenet, root, KEYS, CLASS_OF)
    assert f"lacks 1 of the 9 training images needed, or has them empty: {WNIDS[0]}/{last.name};" in found


@pytest.mark.parametrize("content", [b"", b"not a tar " * 100, bytes(2048)])
def test_what_is_no_tar(tmp_path, content):
    root = copy(tmp_path / "copy", "tars")
    (root / "ILSVRC2012_img_val.tar").write_bytes(content)
    (found,) = problems(open_imagenet, root, KEYS, CLASS_OF)
    assert "lacks 6 of the 6 validation images needed" in found


def test_a_damaged_image_is_named_and_the_rest_is_kept(tmp_path):
    root, out = copy(tmp_path / "copy", "flat"), tmp_path / "out"
    good = (root / "train" / KEYS[0]).read_bytes()
    (root / "train" / KEYS[0]).write_bytes(b"<html>Sign in</html>")
    found = problems(make, open_imagenet(root, KEYS, CLASS_OF), out)
    assert len(found) == 1 and found[0].startswith(f"{root}, {KEYS[0]}: not an image: starts with b'<html>")
    assert not (out / "dataset.json").exists()
    (root / "train" / KEYS[0]).write_bytes(good)
    assert make(open_imagenet(root, KEYS, CLASS_OF), out).dataset.counts == {"train": 6, "val": 3, "test": 6}


def test_names_and_labels_need_no_copy():
    source = open_imagenet(None, KEYS, CLASS_OF)
    assert source.root is None
    assert [(s.key, s.label) for s in source.samples] == list(zip(KEYS, LABELS, strict=True))
