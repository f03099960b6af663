"""Prepared folders: making, resuming, verifying, loading."""

import csv
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors.data import files
from vipriors.data.images import read_image, resize
from vipriors.data.lists import Listed, ListRule
from vipriors.data.loader import Form, load_split
from vipriors.data.manifest import manifest_hash
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import ArrayPart, ArraySource, open_source
from vipriors.data.subset import SubsetRule, cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput

RULE = SubsetRule(images_per_class=5, seed=0, validation=0.4, test_per_class=3)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Ten JPEG photos of each of two classes."""
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(0, 256, (12 + index, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.JPG")
    return tmp_path / "photos"


def arrays(classes: int = 3, n: int = 20, shape=(4, 5, 3), dtype=np.uint8) -> ArraySource:
    images = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (classes * n, *shape), dtype=dtype)
    names = [f"c{k}" for k in range(classes)]
    return ArraySource("arrays", names, [ArrayPart("a", None, images, np.tile(np.arange(classes), n))])


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def make(source, out, rule=RULE, **options):
    return prepare(source, rule, out, challenge="toy", **{"channels": 3} | options)


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def test_a_prepared_folder(photos, tmp_path):
    before = tree(photos)
    source, out = open_source("folder", photos), tmp_path / "deep" / "out"
    steps = []
    prepared = make(source, out, progress=lambda done, total: steps.append((done, total)))
    assert tree(photos) == before
    assert steps[-1] == (16, 16) and steps == sorted(steps)
    assert read_prepared(out) == prepared and verify(out) == []

    picks = cut(source, RULE)
    assert [row.id for row in prepared.rows] == [f"{pick.id}.jpg" for pick in picks]
    for row, pick in zip(prepared.rows, picks, strict=True):
        copied = (out / row.file).read_bytes()
        assert copied == before[pick.sample.key]
        assert row.sha256 == hashlib.sha256(copied).hexdigest()
        assert (row.label, row.source) == (
            (None, "") if row.split == "test" else (pick.sample.label, pick.sample.key)
        )
    listed = {row.file for row in prepared.rows}
    others = {
        "dataset.json",
        "manifest.csv",
        "labels/test.csv",
        "labels/test_sources.csv",
        "labels/SHA256SUMS",
    }
    assert set(tree(out)) == listed | others

    described = json.loads((out / "dataset.json").read_bytes())
    assert described["format"] == 1 and described["challenge"] == "toy" and described["channels"] == 3
    assert described["classes"] == ["ant", "bee"]
    assert described["counts"] == {"train": 6, "val": 4, "test": 6}
    assert described["rule"] == {
        "images_per_class": 5, "seed": 0, "validation": 0.4, "test_per_class": 3, "test_seed": 0
    }  # fmt: skip
    assert described["manifest_sha256"] == manifest_hash(prepared.rows)
    assert described["manifest_sha256"] == hashlib.sha256((out / "manifest.csv").read_bytes()).hexdigest()


def test_test_labels_are_only_in_labels(photos, tmp_path):
    out = tmp_path / "out"
    make(open_source("folder", photos), out)
    with (out / "labels/test.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["Image IDs", "Labels"] and [id for id, _ in rows] == [f"img_{k}.jpg" for k in range(6)]
    for id, label in rows:
        original = next(
            p for p in photos.rglob("*.JPG") if p.read_bytes() == (out / "images/test" / id).read_bytes()
        )
        assert original.parent.name == ["ant", "bee"][int(label)]
        assert original.name not in {
            Path(line.split(",")[4]).name
            for line in (out / "manifest.csv").read_text().splitlines()
            if line.startswith("img_")
        }


def test_without_a_test_split_there_are_no_labels(tmp_path):
    prepared = make(arrays(), tmp_path / "out", SubsetRule(4, 0, 0.25, 0))
    assert prepared.dataset.counts == {"train": 9, "val": 3, "test": 0}
    assert not (tmp_path / "out/labels").exists() and verify(tmp_path / "out") == []


def test_the_same_cut_is_the_same_to_the_byte(tmp_path):
    make(arrays(), tmp_path / "a")
    make(arrays(), tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    # Pins the order, the ids, the PNG bytes and the CSV form, on every machine and version.
    pixels = np.arange(60 * 4, dtype=np.uint8).reshape(60, 2, 2)
    fixed = ArraySource("f", ("a", "b"), [ArrayPart("f", None, pixels, np.tile([0, 1], 30))])
    prepared = make(fixed, tmp_path / "c", channels=1)
    pinned = "8c5cc1babbc7a87bbf77e72fd55ef8bec7b6c96a2ab9d2afa91a414367666815"
    assert prepared.dataset.manifest_sha256 == pinned


def test_prepare_by_list(photos, tmp_path):
    rows = (
        Listed("train", "ant/3.JPG"),
        Listed("train", "bee/3.JPG"),
        Listed("test", "bee/1.JPG", "img_7.JPG"),
    )
    prepared = make(open_source("folder", photos), tmp_path / "out", ListRule(rows))
    assert [row.id for row in prepared.rows] == ["ant_0.jpg", "bee_0.jpg", "img_7.JPG"]
    content = [["train", "ant/3.JPG", None], ["train", "bee/3.JPG", None], ["test", "bee/1.JPG", "img_7.JPG"]]
    assert prepared.dataset.rule == {
        "listed": 3,
        "list_sha256": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        "images_per_class": None,
        "seed": 0,
    }
    clash = ListRule((Listed("train", "ant/3.JPG", "x"), Listed("val", "ant/4.JPG", "X.jpg")))
    assert problems(make, open_source("folder", photos), tmp_path / "clash", clash) == [
        "id X.jpg: is not unique; give every row an id or none",
        "id x.jpg: is not unique; give every row an id or none",
    ]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, error):
    source, out = arrays(n=60), tmp_path / "out"
    rule = SubsetRule(40, 0, 0.4, 10)

    def interrupt(done, total):
        raise error

    with pytest.raises(error):
        make(source, out, rule, progress=interrupt)
    assert not (out / "dataset.json").exists() and not (out / "manifest.csv").exists()
    assert problems(read_prepared, out) == [
        f"{out}: preparing it was interrupted; run `vipriors data prepare` again to go on"
    ]
    assert [str(problem) for problem in verify(out)] == problems(read_prepared, out)
    done = sorted((out / "images").rglob("*.png"))
    assert 32 <= len(done) < 150
    done[0].write_bytes(b"damaged")
    done[1].write_bytes(done[1].read_bytes()[:-1] + b"?")
    (done[2].parent / f".{done[2].name}.tmp").write_bytes(b"half")
    done[2].unlink()

    written = []
    write = files.write_atomic
    monkeypatch.setattr("vipriors.data.place.write_atomic", lambda p, d: (written.append(p), write(p, d)))
    make(source, out, rule)
    monkeypatch.undo()
    make(source, tmp_path / "straight", rule)
    assert tree(out) == tree(tmp_path / "straight")
    kept = set(done[3:])
    assert kept and not kept & set(written) and set(done[:3]) <= set(written)


def test_a_finished_folder_is_repaired(photos, tmp_path):
    source, out = open_source("folder", photos), tmp_path / "out"
    make(source, out)
    before = tree(out)
    (out / "images/train/ant_0.jpg").write_bytes(b"")
    (out / "manifest.csv").unlink()
    (out / "labels/test.csv").unlink()
    make(source, out)
    assert tree(out) == before


def test_another_data_set_is_not_overwritten(tmp_path):
    source, out = arrays(), tmp_path / "out"
    make(source, out)
    before = tree(out)
    for rule, options, other in [
        (SubsetRule(5, 1, 0.4, 3), {}, "rule, cut_sha256"),
        (RULE, {"channels": 1}, "channels"),
        (RULE, {"test_key": "secret"}, "cut_sha256"),
    ]:
        assert problems(make, source, out, rule, **options) == [
            f"{out}: holds another data set (other {other}); expected a new or empty folder"
        ]
    strange = tmp_path / "strange"
    strange.mkdir()
    make(source, strange)  # An empty folder will do.
    assert tree(out) == before == tree(strange)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.tex").touch()
    assert problems(make, source, tmp_path / "home") == [
        f"{tmp_path}/home: holds other files (thesis.tex); expected a new or empty folder"
    ]
    (out / "dataset.json").write_text("{")
    assert problems(make, source, out) == [
        f"{out}/dataset.json: cannot be read; expected a new or empty folder"
    ]


def test_out_must_lie_apart_from_the_source(photos, tmp_path):
    source = open_source("folder", photos)
    lies = f"lies in the source {photos}, which is never written to"
    assert problems(make, source, photos) == [f"{photos}: {lies}"]
    assert problems(make, source, photos / "x") == [f"{photos}/x: {lies}"]
    (tmp_path / "alias").symlink_to(photos)
    assert problems(make, source, tmp_path / "alias/x") == [f"{tmp_path}/alias/x: {lies}"]
    assert problems(make, source, tmp_path) == [
        f"{tmp_path}: contains the source {photos}; expected a folder of its own"
    ]
    (tmp_path / "file").touch()
    assert problems(make, source, tmp_path / "file") == [
        f"{tmp_path}/file: is a file; expected a folder to write to"
    ]
    assert not (photos / "x").exists()


def test_room_is_checked_first(photos, tmp_path):
    source, out = open_source("folder", photos), tmp_path / "out"
    sizes = [(photos / pick.sample.key).stat().st_size for pick in cut(source, RULE)]
    needed = sum(-(-size // 4096) * 4096 for size in sizes)
    assert problems(make, source, out, free_bytes=lambda folder: needed - 1) == [
        f"{out}: the images need {needed} bytes, but {needed - 1} are free on its disk"
    ]
    assert not out.exists()
    make(source, out, free_bytes=lambda folder: needed)
    make(source, out, free_bytes=lambda folder: 0)  # Nothing is missing, so nothing is needed.
    assert files.free_bytes(tmp_path / "not" / "yet") > 0


def test_links_share_the_file_and_fall_back_to_copies(photos, tmp_path, monkeypatch):
    source = open_source("folder", photos)
    prepared = make(source, tmp_path / "linked", mode="link", free_bytes=lambda folder: 0)
    row, pick = prepared.rows[0], cut(source, RULE)[0]
    assert (tmp_path / "linked" / row.file).samefile(photos / pick.sample.key)

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    make(source, tmp_path / "copied", mode="link")
    assert tree(tmp_path / "copied") == tree(tmp_path / "linked")
    assert not (tmp_path / "copied" / row.file).samefile(photos / pick.sample.key)


def test_all_unusable_images_are_listed(photos, tmp_path):
    source, out = open_source("folder", photos), tmp_path / "out"
    first, second, third = (pick.sample.key for pick in cut(source, RULE)[:3])
    (photos / first).write_bytes((photos / first).read_bytes()[:-200])
    (photos / second).write_bytes(b"<html>")
    (photos / third).unlink()
    found = problems(make, source, out)
    # A vanished file is found before anything is written.
    assert found == [f"{photos / third}: No such file or directory"] and not out.exists()
    Image.new("RGB", (9, 9)).save(photos / third)
    found = problems(make, source, out)
    assert [line.split(": ")[0] for line in found] == [f"{photos}, {first}", f"{photos}, {second}"]
    assert "damaged image" in found[0] and "not an image: starts with b'<html>'" in found[1]
    assert not (out / "dataset.json").exists() and not (out / "manifest.csv").exists()


def test_channels_that_do_not_fit_are_found_while_preparing(tmp_path):
    found = problems(make, arrays(classes=2, shape=(4, 5, 13)), tmp_path / "out", SubsetRule(1, 0, 0, 0))
    assert len(found) == 2 and all(line.endswith("found 13 channels; expected 3") for line in found)


def test_an_unwritable_folder_is_one_message(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "out"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert problems(make, arrays(), tmp_path / "out") == [f"{tmp_path}/out: Permission denied"]


# verify


def test_verify_names_every_difference(photos, tmp_path):
    out = tmp_path / "out"
    make(open_source("folder", photos), out)
    (out / "images/train/ant_0.jpg").unlink()
    damaged = out / "images/test/img_3.jpg"
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)
    (out / "images/val/extra.jpg").write_bytes(b"x")
    (out / "images/more").mkdir()
    (out / "images/more/.hidden").touch()
    (out / "labels/test.csv").write_text("Image IDs,Labels\nimg_0.jpg,1\n")
    (out / "labels/test_sources.csv").unlink()
    assert [str(problem).replace(str(out), "OUT") for problem in verify(out)] == [
        "OUT/images/train/ant_0.jpg: is missing",
        "OUT/images/test/img_3.jpg: is damaged or changed: its SHA-256 is not the one in the manifest",
        "OUT/images/more/.hidden: is not in the manifest; expected no such file",
        "OUT/images/val/extra.jpg: is not in the manifest; expected no such file",
        "OUT/labels/test.csv: is damaged or changed: its SHA-256 is not in SHA256SUMS",
        "OUT/labels/test_sources.csv: is missing",
    ]
    (out / "labels/SHA256SUMS").unlink()
    assert str(verify(out)[-1]) == f"{out}/labels/SHA256SUMS: is missing"


def test_verify_finds_a_changed_manifest(tmp_path):
    out = tmp_path / "out"
    make(arrays(), out)
    manifest = out / "manifest.csv"
    original = manifest.read_text()
    manifest.write_text(original.replace("c0_0.png,train,0", "c0_0.png,train,1"))
    changed = f"{manifest}: has changed: its SHA-256 is not the one in dataset.json"
    assert [str(problem) for problem in verify(out)] == [changed] == problems(read_prepared, out)
    manifest.unlink()
    assert [str(problem) for problem in verify(out)] == [
        f"{manifest}: cannot be read: No such file or directory"
    ]


def test_hidden_labels_are_no_fault(tmp_path):
    out = tmp_path / "out"
    make(arrays(), out)
    for file in (out / "labels").iterdir():
        file.unlink()
    (out / "labels").rmdir()
    assert verify(out) == []


def test_folders_that_are_not_prepared(tmp_path):
    assert problems(read_prepared, tmp_path / "no") == [
        f"{tmp_path}/no: does not exist; make it with `vipriors data prepare`"
    ]
    assert problems(read_prepared, tmp_path) == [
        f"{tmp_path}: is no prepared folder: it has no dataset.json; make one with `vipriors data prepare`"
    ]
    make(arrays(), tmp_path / "out")
    described = tmp_path / "out/dataset.json"
    content = json.loads(described.read_bytes())
    described.write_text(json.dumps(content | {"format": 2, "channels": "3"}))
    found = problems(read_prepared, tmp_path / "out")
    assert [line.split(": ")[0] for line in found] == [f"{described}, format", f"{described}, channels"]
    described.write_text(json.dumps(content | {"classes": ["c0", "c1"]}))
    assert "class 2 is out of range; expected 0 to 1" in problems(read_prepared, tmp_path / "out")[0]
    described.write_text("[" * 100_000)
    assert "is not JSON" in problems(read_prepared, tmp_path / "out")[0]


# loader


def test_load_split_decodes_and_resizes(photos, tmp_path):
    prepared = make(open_source("folder", photos), tmp_path / "out")
    rows = prepared.split("train")
    for channels in (1, 3):
        split = load_split(prepared.root, rows, Form((8, 10), channels))
        assert split.images.shape == (6, 8, 10, channels) and split.images.dtype == np.uint8
        assert split.ids == [row.id for row in rows]
        assert split.labels is not None and split.labels.dtype == np.int64
        assert split.labels.tolist() == [0, 0, 0, 1, 1, 1]
        for image, row in zip(split.images, rows, strict=True):
            expected = resize(read_image(tmp_path / "out" / row.file, channels=channels), (8, 10))
            assert np.array_equal(image, expected)
    assert load_split(prepared.root, prepared.split("test"), Form((8, 10), 3)).labels is None


def test_load_split_of_many_channels(tmp_path):
    source = arrays(shape=(4, 5, 13), dtype=np.uint16)
    prepared = make(source, tmp_path / "out", channels=13)
    split = load_split(prepared.root, prepared.split("val"), Form((4, 5), 13))
    by_key = dict(zip([s.key for s in source.samples], source.parts[0].images, strict=True))
    for image, row in zip(split.images, prepared.split("val"), strict=True):
        assert row.id.endswith(".npy") and np.array_equal(image, np.rint(by_key[row.source] / 257))


def test_the_cache_is_used_mapped_and_keyed(photos, tmp_path, monkeypatch):
    prepared, cache = make(open_source("folder", photos), tmp_path / "out"), tmp_path / "cache"
    rows = prepared.split("train")

    def load(rows=rows, size=(8, 10), channels=3, **options):
        return load_split(prepared.root, rows, Form(size, channels), cache=cache, **options).images

    plain = load_split(prepared.root, rows, Form((8, 10), 3)).images
    first = load()
    assert not isinstance(first, np.memmap) and np.array_equal(first, plain)
    (file,) = cache.iterdir()
    mapped = load(memory_limit=plain.nbytes - 1)
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable and np.array_equal(mapped, plain)
    assert not isinstance(load(memory_limit=plain.nbytes), np.memmap)
    with monkeypatch.context() as patch:
        patch.setattr("vipriors.data.loader.read_image", None)  # Decoding again would fail.
        assert np.array_equal(load(), plain)
    load(size=(10, 8)), load(channels=1), load(rows=rows[::-1]), load(rows=rows[1:])
    assert len(list(cache.iterdir())) == 5
    for junk in (b"", file.read_bytes()[:-1], b"\x93NUMPY junk"):
        file.write_bytes(junk)
        assert np.array_equal(load(), plain)
    assert load(rows=[]).shape == (0, 8, 10, 3)


def test_images_that_fit_nowhere(photos, tmp_path, monkeypatch):
    prepared = make(open_source("folder", photos), tmp_path / "out")
    rows = prepared.split("train")
    with pytest.raises(
        BadInput, match="take 1440 bytes, more than the limit of 1439; expected a cache folder"
    ):
        load_split(prepared.root, rows, Form((8, 10), 3), memory_limit=1439)
    monkeypatch.setattr("vipriors.data.loader.free_bytes", lambda folder: 1439)
    with pytest.raises(BadInput, match="the images need 1440 bytes, but 1439 are free"):
        load_split(prepared.root, rows, Form((8, 10), 3), cache=tmp_path / "cache")


def test_every_file_that_cannot_be_loaded_is_listed(photos, tmp_path):
    prepared, cache = make(open_source("folder", photos), tmp_path / "out"), tmp_path / "cache"
    rows = prepared.split("train")
    first, second = (prepared.root / row.file for row in rows[:2])
    first.unlink()
    second.write_bytes(b"not what was prepared")
    assert problems(load_split, prepared.root, rows, Form((8, 10), 3), cache=cache) == [
        f"{first}: is missing",
        f"{second}: is damaged or changed: its SHA-256 is not the one in the manifest",
    ]
    assert list(cache.iterdir()) == []


# threads


def test_map_all_keeps_the_order_and_lists_all_problems():
    def third(number: int) -> int:
        if number % 100 == 33:
            raise BadInput.single(number, "bad")
        if number % 100 == 66:
            raise FileNotFoundError(2, "No such file or directory", f"f{number}")
        return number * 3

    assert files.map_all(third, [1, 2]) == [3, 6] and files.map_all(third, []) == []
    assert files.map_all(lambda n: n, list(range(1000))) == list(range(1000))
    assert problems(files.map_all, third, list(range(200))) == [
        "33: bad", "f66: No such file or directory", "133: bad", "f166: No such file or directory"
    ]  # fmt: skip


def test_write_atomic_leaves_the_old_content_when_it_fails(tmp_path, monkeypatch):
    file = tmp_path / "a"
    files.write_atomic(file, b"old")

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(file, b"new")
    assert file.read_bytes() == b"old"


# real data


def test_real_photos(shared_data, tmp_path):
    source = open_source("folder", shared_data / "hymenoptera_256")
    prepared = make(source, tmp_path / "out", SubsetRule(20, 0, 0.4, 30))
    assert prepared.dataset.counts == {"train": 24, "val": 16, "test": 60}
    assert verify(tmp_path / "out") == []
    split = load_split(prepared.root, prepared.split("train"), Form((64, 64), 3))
    assert split.images.shape == (24, 64, 64, 3) and 80 < split.images.mean() < 160
