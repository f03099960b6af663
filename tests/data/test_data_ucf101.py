"""The source kind `ucf101`: whole copies, lacking ones, and clips that do not decode."""

import hashlib
import re
import shutil
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from replica_clips import make_ucf101, tiny_clips

from vipriors.data.lists import Listed, ListRule
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import AnnotatedSource, open_annotated
from vipriors.data.sources.ucf101 import all_clips, open_ucf101
from vipriors.data.subset import SubsetRule, cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput

CLIPS = tiny_clips(7)
NAME = re.compile(r"([A-Za-z]+)/v_([A-Za-z]+)_g(\d\d)_c(\d\d)\.avi")
KEYS = [f"{action}/v_{action}_g{group:02}_c01.avi" for action in ("YoYo", "Archery") for group in range(1, 9)]
ROWS = tuple(
    Listed(("train", "val", "test", "train")[k % 4], key, f"clip_{k}.avi") for k, key in enumerate(KEYS)
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return make_ucf101(tmp_path_factory.mktemp("ucf") / "UCF-101", CLIPS)


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def make(root: Path, out: Path, **options):
    return prepare(open_ucf101(root, "actions"), ListRule(ROWS), out, challenge="toy", channels=3, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_clips_of_the_data_set():
    """What its owner says of it, and the hash of all names on the lists of its first split, sorted."""
    keys = [clip.key for clip in all_clips()]
    assert len(keys) == len(set(keys)) == 13_320
    digest = "111e60a9952c7097db62c5d9277c33605cea4f9518a817d4f6dfd2f4884d347e"
    assert hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest() == digest
    parts = [NAME.fullmatch(key).groups() for key in keys]
    assert len({action for action, *_ in parts}) == 101
    assert {(a, b) for a, b, *_ in parts if a != b} == {("HandstandPushups", "HandStandPushups")}
    takes = Counter((action, int(group)) for action, _, group, _ in parts)
    assert {group for _, group in takes} == set(range(1, 26)) and len(takes) == 101 * 25
    assert set(takes.values()) == {4, 5, 6, 7}
    assert set(parts) == {
        (a, "HandStandPushups" if a == "HandstandPushups" else a, f"{group:02}", f"{take:02}")
        for (a, group), n in takes.items()
        for take in range(1, n + 1)
    }
    assert sum(n for (_, group), n in takes.items() if group <= 7) == 3783
    of_action = Counter(action for action, *_ in parts)
    assert (of_action["ApplyEyeMakeup"], of_action["YoYo"], max(of_action.values())) == (145, 128, 167)


def test_a_whole_copy(root):
    names = sorted({clip.action for clip in all_clips()}, reverse=True)
    for path, given in ((root, None), (root.parent, names)):
        source = open_annotated("ucf101", path, "actions", given)
        assert isinstance(source, AnnotatedSource) and source.media == "clips"
        assert (source.name, source.root) == (str(path), path)
        assert list(source.names) == list(source.classes)
        assert len(source.samples) == 13_320
        for sample in source.samples:
            action, _, group, _ = NAME.fullmatch(sample.key).groups()
            assert source.names[sample.label] == action and sample.id is None
            assert sample.split == ("test" if int(group) <= 7 else "train")
        k = 5000
        suffix, place = source.content(source.samples[k])
        assert suffix == ".avi" and place == root / source.samples[k].key
        assert place.read_bytes() == CLIPS[k % 7]
    assert list(source.names) == names
    by_name = {sample.key: sample for sample in source.samples}
    first, second = by_name["YoYo/v_YoYo_g08_c01.avi"], by_name["ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi"]
    labels = list(source.annotations([("b.avi", first), ("a.avi", second)]))
    assert labels == [("labels.txt", b"a.avi 101\nb.avi 1\n")]
    assert list(source.test_index([("a.avi", second)])) == []


def test_the_owner_numbers_the_actions(root, shared_data):
    lines = (shared_data / "vipriors_subsets/ucf101_classInd.txt").read_text().splitlines()
    assert list(open_ucf101(root, "actions").names) == [line.split()[1] for line in lines]


def test_a_subset_drawn_by_number_has_names_that_tell_nothing(root):
    picks = cut(open_ucf101(root, "actions"), SubsetRule(10, 0, 0.4, 3), test_key="a secret")
    assert Counter(pick.split for pick in picks) == {"train": 606, "val": 404, "test": 303}
    tests = [pick for pick in picks if pick.split == "test"]
    assert [pick.id for pick in tests] == [f"img_{k}" for k in range(303)]
    labels = [pick.sample.label for pick in tests]
    assert sum(a == b for a, b in pairwise(labels)) < 20


def test_what_a_copy_lacks_is_said_with_counts(tmp_path):
    root = make_ucf101(tmp_path / "UCF-101", CLIPS)
    shutil.rmtree(root / "ApplyEyeMakeup")
    one, other = root / "YoYo/v_YoYo_g01_c01.avi", root / "Archery/v_Archery_g25_c01.avi"
    one.unlink()
    one.write_bytes(b"")
    other.rename(other.with_name("v_archery_g25_c01.avi"))
    first = ", ".join(f"ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c0{take}.avi" for take in (1, 2, 3))
    said = (
        f"{root}: lacks 147 of the 13320 clips of UCF101, or has them empty: {first} and 144 more; "
        "expected the folder UCF-101 that UCF101.rar unpacks to, whole"
    )
    assert problems(open_ucf101, root, "actions") == problems(open_ucf101, tmp_path, "actions") == [said]


def test_what_is_no_copy(tmp_path, root):
    expected = "expected the folder UCF-101 that UCF101.rar unpacks to"
    (tmp_path / "empty").mkdir()
    assert problems(open_ucf101, tmp_path / "empty", "actions") == [
        f"{tmp_path}/empty: holds no clip of UCF101; {expected}"
    ]
    rar = tmp_path / "UCF101.rar"
    rar.write_bytes(b"Rar!")
    for path in (rar, tmp_path):
        assert problems(open_ucf101, path, "actions") == [
            f"{path}: is not unpacked: unpack it (`unrar x UCF101.rar`); {expected}"
        ]
    assert problems(open_ucf101, root, "classification") == [
        f"{root}: has no labels for task classification; expected task actions"
    ]
    assert problems(open_ucf101, tmp_path / "empty", "actions", ["YoYo", "Running", "YoYo"]) == [
        f"{tmp_path}/empty: holds no clip of UCF101; {expected}",
        "names of classes: found 3 names, 1 of them known; expected the 101 actions, each once",
    ]


def test_without_pyav_nothing_is_begun(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (said,) = problems(open_ucf101, root, "actions")
    assert said.endswith("pip install vipriors[video]")


@pytest.mark.parametrize("mode", ["copy", "link", "pack"])
def test_a_prepared_copy(root, tmp_path, mode):
    out = tmp_path / "out"
    prepared = make(root, out, mode=mode)
    assert verify(out) == [] and read_prepared(out) == prepared
    assert prepared.dataset.media == "clips" and prepared.dataset.counts == {"train": 8, "val": 4, "test": 4}
    numbers = {"YoYo": 101, "Archery": 3}
    for split in ("train", "val", "test"):
        rows = {row.id: row.source.partition("/")[0] for row in ROWS if row.split == split}
        labels = prepared.labels_of(split).read_text()
        assert labels == "".join(f"{id} {numbers[rows[id]]}\n" for id in sorted(rows))
    if mode == "link":
        assert (out / "clips/train/clip_0.avi").samefile(root / KEYS[0])


def test_an_interrupted_preparation_goes_on(root, tmp_path):
    make(root, tmp_path / "straight")

    def interrupt(done, total):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make(root, out, progress=interrupt)
    assert not (out / "dataset.json").exists()
    (out / "clips/train/clip_0.avi").unlink()
    (out / "clips/test/clip_2.avi").write_bytes(b"half")
    make(root, out)
    assert contents(out) == contents(tmp_path / "straight")


def test_every_damaged_clip_is_named(tmp_path, capfd):
    root, out = make_ucf101(tmp_path / "UCF-101", CLIPS), tmp_path / "out"
    cut_short = CLIPS[0][:-40]
    noise = CLIPS[1][:3000] + bytes(len(CLIPS[1]) - 3000)
    for key, content in ((KEYS[0], cut_short), (KEYS[5], b"<html></html>"), (KEYS[9], noise)):
        (root / key).unlink()
        (root / key).write_bytes(content)
    said = problems(make, root, out)
    assert [line.partition(": ")[0] for line in said] == [f"{root}, {KEYS[k]}" for k in (0, 5, 9)]
    assert said[0].endswith(f"is cut short: {len(cut_short)} of {len(CLIPS[0])} bytes are there")
    assert "not a clip: starts with b'<html></html>'" in said[1]
    assert "damaged video: " in said[2]
    assert not (out / "dataset.json").exists()
    assert capfd.readouterr() == ("", "")
