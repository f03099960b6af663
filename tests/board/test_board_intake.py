"""What may be around a predictions file, and what is said of everything else."""

import io
import stat
import zipfile

import pytest

from vipriors import tasks
from vipriors.board.intake import unwrap
from vipriors.problems import BadInput
from vipriors.runs import bridges

SUFFIXES = {task: bridges.find(task).SUFFIX for task in tasks.names()}
CSV = b"Image IDs,Predictions\na,0\n"


def packed(*files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content, method)
    return stream.getvalue()


def problems_of(data: bytes) -> list[str]:
    with pytest.raises(BadInput) as caught:
        unwrap(data, "classification", "up.zip")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("data", [CSV, b"[]", b"", b"\x89PNG", b"PK but no archive"])
def test_a_bare_file_stays_as_it_is(data: bytes) -> None:
    assert unwrap(data, "classification", "a.csv") == (data, "a.csv")


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ([("p.csv", CSV)], "p.csv"),
        ([("folder/p.csv", CSV)], "p.csv"),
        ([("run/", b""), ("run/p.json", CSV)], "p.json"),
        ([("run/p.txt", CSV), ("__MACOSX/run/._p.txt", b"x"), ("run/.DS_Store", b"x")], "p.txt"),
        ([("Thumbs.db", b"x"), ("desktop.ini", b"x"), ("p.csv", CSV)], "p.csv"),
    ],
)
def test_one_file_in_a_zip(files: list[tuple[str, bytes]], name: str) -> None:
    assert unwrap(packed(*files), "detection", "up.zip") == (CSV, f"up.zip, {name}")


@pytest.mark.parametrize(("task", "suffix"), [("segmentation", "png"), ("generation", "npy")])
def test_what_is_an_archive_itself_stays_as_it_is(task: str, suffix: str) -> None:
    data = packed((f"a.{suffix}", b"x"), (f"b.{suffix}", b"y"))
    assert unwrap(data, task, "up.zip") == (data, "up.zip")


@pytest.mark.parametrize("task", SUFFIXES)
def test_what_a_run_writes_for_a_task_is_taken(task: str) -> None:
    """Its suffix says whether it is an archive; then there may be several files in it."""
    data = packed(("a.npy", b"x"), ("b.npy", b"y")) if SUFFIXES[task] in (".zip", ".npz") else CSV
    assert unwrap(data, task, "up") == (data, "up")


def test_too_many_or_none() -> None:
    assert problems_of(packed(("a.csv", CSV), ("b.csv", CSV))) == [
        "up.zip: holds 2 files: 'a.csv', 'b.csv'; expected exactly one, the predictions"
    ]
    assert problems_of(packed(*((f"{n}.csv", CSV) for n in range(5)))) == [
        "up.zip: holds 5 files: '0.csv', '1.csv', '2.csv', …; expected exactly one, the predictions"
    ]
    assert problems_of(packed((".DS_Store", b"x"))) == [
        "up.zip: holds no file; expected exactly one, the predictions"
    ]
    assert problems_of(packed()) == ["up.zip: holds no file; expected exactly one, the predictions"]


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("p.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            packed(("../p.csv", CSV)),
            "up.zip, '../p.csv': climbs out of the archive; expected a path without '..'",
        ),
        (packed(("/etc/p.csv", CSV)), "up.zip, '/etc/p.csv': is an absolute path; expected a relative one"),
        (packed((link(), b"/etc/passwd")), "up.zip, 'p.csv': is a link or a device; expected only files"),
        (packed(("p.zip", CSV)), "up.zip, 'p.zip': is an archive inside the archive; expected only files"),
        (
            packed(("p.csv", bytes(100 * 2**20))),
            f"up.zip: the archive unpacks to {100 * 2**20 / len(packed(('p.csv', bytes(100 * 2**20)))):,.0f} "
            "times its size; expected at most 200",
        ),
        (
            packed(("p.csv", CSV))[:-30],
            "up.zip: a damaged zip archive: its end is missing; expected a whole one",
        ),
    ],
    ids=["climbing", "absolute", "link", "nested", "bomb", "half"],
)
def test_hostile_archives(data: bytes, problem: str) -> None:
    assert problems_of(data) == [problem]


def test_very_many_entries_are_counted_before_they_are_read() -> None:
    data = packed(*((f"{n}", b"") for n in range(100_000)), method=zipfile.ZIP_STORED)
    assert problems_of(data) == ["up.zip: the archive has 100,000 entries; expected at most 1,000"]
