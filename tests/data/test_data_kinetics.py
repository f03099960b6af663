"""The source kind `kinetics400`: tables, clips that are left out, clips that are missing."""

import csv
import hashlib
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from replica_clips import make_kinetics, tiny_clips, write_table

from vipriors.data.prepare import prepare
from vipriors.data.sources import AnnotatedSource, kinetics400, open_annotated
from vipriors.data.sources.kinetics400 import DAMAGED, open_kinetics400
from vipriors.data.subset import SubsetRule, cut
from vipriors.data.verify import verify
from vipriors.problems import BadInput

CLIPS = tiny_clips(3, "h264")
ALL = SubsetRule(None, 0, None, None)


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def make(source, out: Path, rule: SubsetRule = ALL, **options):
    return prepare(source, rule, out, challenge="toy", channels=3, **options)


def test_a_whole_copy(tmp_path):
    root = tmp_path / "copy"
    clips = make_kinetics(root, CLIPS)
    source = open_annotated("kinetics400", root, "actions", None)
    assert isinstance(source, AnnotatedSource) and source.media == "clips"
    names = sorted({name for name, _ in clips["train"]})
    assert list(source.names) == list(source.classes) == names and names != [
        n for n, _ in clips["train"][::5]
    ]

    out = tmp_path / "out"
    prepared = make(source, out)
    assert verify(out) == [] and prepared.dataset.counts == {"train": 20, "val": 8, "test": 6}
    for split in ("train", "val"):
        assert {row.id: names[row.label] for row in prepared.split(split)} == {
            id: name for name, id in clips[split]
        }
        numbers = {id: str(names.index(name) + 1) for name, id in clips[split]}
        lines = prepared.labels_of(split).read_text().splitlines()
        assert lines == [f"{id} {numbers[id]}" for id in sorted(numbers)]
    assert {row.id for row in prepared.split("test")} == {id for _, id in clips["test"]}
    assert prepared.labels_of("test") is None
    for row in prepared.rows:
        assert (out / row.file).read_bytes() == (root / row.split / f"{row.id}.mp4").read_bytes()
        assert re.fullmatch("[A-Z]{10}", row.id) and row.file == f"clips/{row.split}/{row.id}"


def test_a_test_with_labels(tmp_path):
    clips = make_kinetics(tmp_path / "copy", CLIPS, test_labels=True)
    source = open_kinetics400(tmp_path / "copy", "actions")
    prepared = make(source, tmp_path / "out")
    numbers = {id: source.names.index(name) + 1 for name, id in clips["test"]}
    labels = prepared.labels_of("test").read_text()
    assert labels == "".join(f"{id} {numbers[id]}\n" for id in sorted(numbers))
    assert all(row.label is None for row in prepared.split("test"))


def test_numbers_of_the_actions(tmp_path):
    clips = make_kinetics(tmp_path, CLIPS)
    names = list(dict.fromkeys(name for name, _ in clips["train"]))
    order = [names[k] for k in (2, 0, 3, 1)]
    file = write_table(tmp_path, "clsIdx.csv", ["label,idx", *(f'"{n}",{order.index(n) + 1}' for n in names)])
    source = open_kinetics400(tmp_path, "actions")
    assert list(source.names) == order
    label = {sample.id: sample.label for sample in source.samples}
    assert all(label[id] == order.index(name) for split in ("train", "val") for name, id in clips[split])
    assert list(open_kinetics400(tmp_path, "actions", names).names) == names
    for wrong in (
        ["label,idx", *(f'"{n}",{k}' for k, n in enumerate(names))],
        ["label,idx", *(f'"{n}",1' for n in names)],
        ["label,idx", *(f"same,{k + 1}" for k, _ in enumerate(names))],
        ["idx,label", *(f'"{n}",{k + 1}' for k, n in enumerate(names))],
        ["label,idx", "one"],
        [],
    ):
        write_table(tmp_path, "clsIdx.csv", wrong)
        expected = "expected the header label,idx, and each action once with the numbers from 1 on"
        assert problems(open_kinetics400, tmp_path, "actions") == [
            f"{file}: does not number the actions; {expected}"
        ]


def test_tables_beside_the_clips(tmp_path):
    make_kinetics(tmp_path, CLIPS, test_labels=True)
    expected = open_kinetics400(tmp_path, "actions").samples
    for split in ("train", "val", "test"):
        table = tmp_path / f"annotations/kinetics400ViPriors-{split}.csv"
        rows = list(csv.reader(table.open()))
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(row[:2] for row in rows)
        table.unlink()
    assert open_kinetics400(tmp_path, "actions").samples == expected


def test_parts_are_nested_and_keep_the_whole_validation(tmp_path):
    make_kinetics(tmp_path, CLIPS)
    source = open_kinetics400(tmp_path, "actions")
    parts = [cut(source, SubsetRule(n, 1, None, None)) for n in (1, 2, 4, None)]
    for n, part in zip((1, 2, 4, 5), parts, strict=True):
        assert Counter(pick.split for pick in part) == {"train": 4 * n, "val": 8, "test": 6}
        train = Counter(pick.sample.label for pick in part if pick.split == "train")
        assert train == dict.fromkeys(range(4), n)
    assert all({p.id for p in small} < {p.id for p in large} for small, large in pairwise(parts))


def test_clips_to_leave_out(tmp_path):
    clips = make_kinetics(tmp_path / "copy", CLIPS)
    root = tmp_path / "copy"
    gone, damaged, held = clips["train"][3][1], clips["train"][9][1], clips["val"][0][1]
    (root / f"train/{gone}.mp4").unlink()
    (root / "exclude.txt").write_text(f"{gone}\n\n{damaged}.mp4\r\n/Users/x/data/val/{held}.mp4")
    prepared = make(open_kinetics400(root, "actions"), tmp_path / "out")
    assert prepared.dataset.counts == {"train": 18, "val": 7, "test": 6}
    assert not {gone, damaged, held} & {row.id for row in prepared.rows}

    test, other = clips["test"][0][1], clips["test"][1][1]
    (root / "exclude.txt").write_text(f"{gone}\n{test}\nabc\n")
    (root / f"test/{other}.mp4").unlink()
    assert problems(open_kinetics400, root, "actions") == [
        f"{root}/exclude.txt: names 1 unknown clips: abc; expected ids of the tables",
        f"{root}/exclude.txt: names 1 test clips: {test}; expected training and validation clips alone, "
        f"or the organizers' {DAMAGED} unchanged",
        f"{root}/test: lacks 1 of the 5 clips of its table, or has them empty: {other}.mp4; expected "
        "Kinetics400ViPriors.tar.gz unpacked whole, or exclude.txt to name training and validation clips",
    ]


def test_the_organizers_list_may_name_test_clips(tmp_path, monkeypatch):
    clips = make_kinetics(tmp_path, CLIPS)
    ids = [clips["train"][0][1], clips["val"][1][1], clips["test"][2][1]]
    file = write_table(tmp_path, DAMAGED, [f"/Users/somebody/data/test/{id}.mp4" for id in ids])
    assert problems(open_kinetics400, tmp_path, "actions") == [
        f"{file}: names 1 test clips: {ids[2]}; expected training and validation clips alone, or the "
        f"organizers' {DAMAGED} unchanged"
    ]
    digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    monkeypatch.setattr(kinetics400, "DAMAGED_SHA256", digest)
    kept = {sample.id for sample in open_kinetics400(tmp_path, "actions").samples}
    assert kept == {id for split in clips.values() for _, id in split} - set(ids)


def test_what_is_missing_is_said_with_counts(tmp_path):
    clips = make_kinetics(tmp_path, CLIPS)
    ids = [id for _, id in clips["train"]]
    for id in ids[:4]:
        (tmp_path / f"train/{id}.mp4").unlink()
    (tmp_path / f"train/{ids[4]}.mp4").unlink()
    (tmp_path / f"train/{ids[4]}.mp4").touch()
    (said,) = problems(open_kinetics400, tmp_path, "actions")
    shown = ", ".join(f"{id}.mp4" for id in ids[:3])
    assert said.startswith(
        f"{tmp_path}/train: lacks 5 of the 20 clips of its table, or has them empty: {shown} and 2 more; "
    )


def test_tables_that_are_missing_or_of_another_form(tmp_path):
    make_kinetics(tmp_path, CLIPS)
    annotations = tmp_path / "annotations"
    (annotations / "kinetics400ViPriors-test-public.csv").unlink()
    train = write_table(tmp_path, "kinetics400ViPriors-train.csv", ["label,youtube_id", "a,b"])
    val = write_table(tmp_path, "kinetics400ViPriors-val.csv", ["label,videoid", "a,b", "a", "a,b,c"])
    assert problems(open_kinetics400, tmp_path, "actions") == [
        f"{train}, row 1: header is 'label,youtube_id'; expected label,videoid,split or label,videoid",
        f"{val}: has 2 rows of another length: row 3, row 4; expected 2 values, label,videoid",
        f"{tmp_path}: has no table of the test clips; expected test.csv, or "
        "annotations/kinetics400ViPriors-test-public.csv",
    ]
    val.write_bytes(b"label,videoid\n\xff,b\n")
    assert "is not a CSV file in UTF-8" in problems(open_kinetics400, tmp_path, "actions")[1]


def test_rows_that_are_wrong(tmp_path):
    clips = make_kinetics(tmp_path, CLIPS)
    (name, one), (_, two), *_ = clips["val"]
    lines = [
        "label,videoid",
        f'"{name}",{one}',
        f'"{name}",../{two}',
        f"nobody,{two.lower()}",
        f'"{name}",{two}',
    ]
    val = write_table(tmp_path, "kinetics400ViPriors-val.csv", lines)
    (tmp_path / f"val/{two.lower()}.mp4").write_bytes(CLIPS[0])
    train = write_table(tmp_path, "kinetics400ViPriors-train.csv", ["label,videoid"])
    write_table(tmp_path, "clsIdx.csv", ["label,idx", f'"{name}",1'])
    found = problems(open_kinetics400, tmp_path, "actions")
    assert f"{train}: names no clip; expected a row for each" in found
    assert f"{val}: has 1 unknown labels: 'nobody' in row 4; expected one of 1 actions" in found
    unusable = f"has 1 ids that are no file names: '../{two}' in row 3; expected letters, digits, _ and -"
    assert f"{val}: {unusable}" in found
    twice = f"{two} in row 5 of val and row 4 of val"
    assert f"{val}: has 1 ids that are there already: {twice}; expected each once" in found


def test_what_is_no_copy(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    assert problems(open_kinetics400, tmp_path, "reid") == [
        f"{tmp_path}: has no labels for task reid; expected task actions"
    ]
    assert problems(open_kinetics400, file, "actions") == [
        f"{file}: is a file; expected the folder that holds train, val and test"
    ]
    assert len(problems(open_kinetics400, tmp_path, "actions")) == 3
    monkeypatch.setitem(sys.modules, "av", None)
    (said,) = problems(open_kinetics400, tmp_path, "actions")
    assert said.endswith("pip install vipriors[video]")


def test_a_damaged_clip_is_named_and_can_be_left_out(tmp_path):
    root = tmp_path / "copy"
    clips = make_kinetics(root, CLIPS)
    bad = clips["train"][7][1]
    (root / f"train/{bad}.mp4").unlink()
    (root / f"train/{bad}.mp4").write_bytes(CLIPS[1][:-100])
    (said,) = problems(make, open_kinetics400(root, "actions"), tmp_path / "out")
    assert said.startswith(f"{root}, train/{bad}.mp4: is cut short: ")
    (root / "exclude.txt").write_text(f"{bad}\n")
    assert make(open_kinetics400(root, "actions"), tmp_path / "new").dataset.counts["train"] == 19


@pytest.mark.slow
def test_as_many_as_were_published(tmp_path):
    clips = make_kinetics(tmp_path, CLIPS, actions=400, train=100, val=25, test=20_000)
    picks = cut(open_kinetics400(tmp_path, "actions"), ALL)
    assert Counter(pick.split for pick in picks) == {"train": 40_000, "val": 10_000, "test": 20_000}
    assert {pick.id for pick in picks} == {id for split in clips.values() for _, id in split}
