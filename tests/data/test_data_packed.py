"""Packed folders: the same data set as a loose one, and resumable wherever it was cut off."""

import io
import tarfile

import numpy as np
import pytest

from vipriors.data.loader import Form, load_split
from vipriors.data.packed import Packer, members
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import ArrayPart, ArraySource
from vipriors.data.subset import SubsetRule, read_test_key
from vipriors.data.verify import verify
from vipriors.problems import BadInput

RULE = SubsetRule(images_per_class=6, seed=0, validation=0.5, test_per_class=4)


@pytest.fixture
def source():
    images = np.random.default_rng(0).integers(0, 256, (30, 5, 7, 3), dtype=np.uint8)
    return ArraySource("noise", ("a", "b", "c"), (ArrayPart("a", None, images, np.arange(30) % 3),))


def packed(source, out, **options):
    return prepare(source, RULE, out, **{"challenge": "toy", "channels": 3, "mode": "pack"} | options)


def problems(function, *arguments, **options):
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def test_packed_and_loose_are_the_same_data_set(source, tmp_path):
    loose = prepare(source, RULE, tmp_path / "loose", challenge="toy", channels=3)
    tight = packed(source, tmp_path / "tight")
    names = sorted(path.name for path in (tmp_path / "tight/images").iterdir())
    assert names == ["test.tar", "train.tar", "val.tar"]
    assert tight.dataset == loose.dataset and tight.rows == loose.rows
    for split in ("train", "val", "test"):
        one, two = (load_split(p.root, p.split(split), Form((5, 7), 3)) for p in (loose, tight))
        assert np.array_equal(one.images, two.images) and one.ids == two.ids
    assert verify(tmp_path / "tight") == []
    assert read_prepared(tmp_path / "tight").rows == loose.rows


def test_the_tar_is_one_for_every_reader(source, tmp_path):
    prepared = packed(source, tmp_path / "out")
    with tarfile.open(tmp_path / "out/images/train.tar") as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}
    loose = prepare(source, RULE, tmp_path / "loose", challenge="toy", channels=3)
    assert found == {row.id: (loose.root / row.file).read_bytes() for row in prepared.split("train")}


@pytest.mark.parametrize("cut", [0, 1, 300, 512, 700, 1400, 5000, -1, -1024, -1025])
def test_wherever_a_tar_is_cut_off_packing_goes_on(source, tmp_path, cut):
    packed(source, tmp_path / "out")
    tar = tmp_path / "out/images/train.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:cut])
    packed(source, tmp_path / "out")
    assert tar.read_bytes() == whole and verify(tmp_path / "out") == []


def test_what_is_there_is_kept_and_a_changed_member_is_mended(source, tmp_path):
    packed(source, tmp_path / "out")
    tar = tmp_path / "out/images/test.tar"
    whole = tar.read_bytes()
    part = members(tar)["img_3.png"]
    tar.write_bytes(whole[: part.offset + 60] + b"?" + whole[part.offset + 61 :])
    assert verify(tmp_path / "out") == problems_of_change(tmp_path / "out/images/test/img_3.png")
    packed(source, tmp_path / "out")
    assert tar.read_bytes() == whole


def problems_of_change(path):
    from vipriors.problems import Problem

    return [Problem(str(path), "is damaged or changed: its SHA-256 is not the one in the manifest")]


def test_an_interrupted_call_goes_on(source, tmp_path, monkeypatch):
    monkeypatch.setattr("vipriors.data.place.AT_ONCE", 2)

    def stop(done, total):
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed(source, tmp_path / "out", progress=stop)
    assert len(members(tmp_path / "out/images/train.tar")) == 6
    assert not (tmp_path / "out/dataset.json").exists()
    packed(source, tmp_path / "out")
    assert verify(tmp_path / "out") == []


def test_packed_and_loose_do_not_mix(source, tmp_path):
    packed(source, tmp_path / "tight")
    folder = tmp_path / "tight/images"
    assert problems(packed, source, tmp_path / "tight", mode="copy") == [
        f"{folder}: holds packed images; go on with mode pack, or choose another folder"
    ]
    packed(source, tmp_path / "loose", mode="copy")
    folder = tmp_path / "loose/images"
    assert problems(packed, source, tmp_path / "loose") == [
        f"{folder}: holds loose images; go on without packing, or choose another folder"
    ]


def test_every_image_that_does_not_decode_is_listed(tmp_path, source, monkeypatch):
    from vipriors.data.sources import open_source

    monkeypatch.setattr("vipriors.data.place.AT_ONCE", 4)
    packed(source, tmp_path / "good", mode="copy")
    for row in read_prepared(tmp_path / "good").split("train"):
        target = tmp_path / "photos" / str(row.label) / row.id
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "good" / row.file).read_bytes())
    for name in ("0/a_0.png", "2/c_4.png"):
        (tmp_path / "photos" / name).write_bytes(b"no image")
    rule = SubsetRule(images_per_class=None, seed=0, validation=0.0, test_per_class=0)
    found = problems(
        prepare,
        open_source("folder", tmp_path / "photos"),
        rule,
        tmp_path / "out",
        challenge="t",
        channels=3,
        mode="pack",
    )
    assert len(found) == 2 and "0/a_0.png" in found[0] and "2/c_4.png" in found[1]


def test_members_of_what_is_no_tar(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no tar at all")
    assert members(tmp_path / "a.tar") == {} == members(tmp_path / "none.tar")


def test_long_names_and_empty_files(tmp_path):
    content = {"n" * 150 + ".png": b"long", "empty.png": b"", "x.png": bytes(512)}
    with Packer(tmp_path / "a.tar") as packer:
        packer.add(content.items())
    assert {name: part.read_bytes() for name, part in members(tmp_path / "a.tar").items()} == content
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "a.tar").read_bytes())) as archive:
        assert archive.getnames() == list(content)


def test_a_test_key_shuffles_the_test_images_and_is_kept(source, tmp_path):
    key = read_test_key(tmp_path / "key")
    assert read_test_key(tmp_path / "key") == key and len(key) == 64
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    (tmp_path / "other").write_text("another organizer's secret\n")
    outs = []
    for name in ("key", "key", "other"):
        out = tmp_path / f"out{len(outs)}"
        packed(source, out, mode="copy", test_key=read_test_key(tmp_path / name))
        outs.append((out / "labels/test_sources.csv").read_text())
    assert outs[0] == outs[1] != outs[2]
    assert sorted(line.partition(",")[2] for line in outs[0].splitlines()) == sorted(
        line.partition(",")[2] for line in outs[2].splitlines()
    )


def test_a_short_key_is_refused(tmp_path):
    (tmp_path / "key").write_text("  1234 \n")
    assert problems(read_test_key, tmp_path / "key") == [
        f"{tmp_path / 'key'}: has a key of 4 characters; expected 16 or more, or no file"
    ]
