import io
import struct
import zipfile

import pytest

from vipriors.tasks.archive import ALWAYS, RATIO, Limits, open_archive, pack
from vipriors.tasks.findings import Findings

LIMITS = Limits(archive_bytes=2**26, entries=50, entry_bytes=2**25, total_bytes=2**28)


def zipped(*entries, method=zipfile.ZIP_DEFLATED):
    """A zip of (path or ZipInfo, content) pairs."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for path, content in entries:
            archive.writestr(path, content)
    return stream.getvalue()


def opened(data, limits=LIMITS):
    findings = Findings("file.zip")
    archive = open_archive(data, limits, findings)
    return archive, [str(problem) for problem in findings.problems()]


def contents(data):
    archive, problems = opened(data)
    findings = Findings("file.zip")
    read = {path: archive.read(path, findings) for path in archive.files}
    return read, problems + [str(problem) for problem in findings.problems()]


def info(path, mode=0):
    entry = zipfile.ZipInfo(path)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry


def patched(data, offset_in_directory, form, value):
    """The archive with one field of its first directory entry replaced."""
    data = bytearray(data)
    struct.pack_into(form, data, data.index(b"PK\x01\x02") + offset_in_directory, value)
    return bytes(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_are_read(method):
    assert contents(zipped(("a.txt", b"one"), ("b/c.txt", b""), method=method)) == (
        {"a.txt": b"one", "b/c.txt": b""},
        [],
    )


def test_stray_files_and_one_top_folder_are_passed_over():
    stray = ["__MACOSX/top/._a.txt", "top/.DS_Store", "Thumbs.db", "top/DESKTOP.INI", "top/._b.txt"]
    data = zipped(
        ("top/", b""), ("top/a.txt", b"1"), ("top/b/c.txt", b"2"), *((path, b"x") for path in stray)
    )
    assert contents(data) == ({"a.txt": b"1", "b/c.txt": b"2"}, [])


def test_two_top_folders_stay():
    assert list(opened(zipped(("a/1", b""), ("b/2", b"")))[0].files) == ["a/1", "b/2"]


def test_archive_of_nothing_is_empty():
    archive, problems = opened(zipped())
    assert (archive.files, problems) == ({}, [])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("../a", "climbs out of the archive; expected a path without '..'"),
        ("a/../../b", "climbs out of the archive; expected a path without '..'"),
        ("../", "climbs out of the archive; expected a path without '..'"),
        ("/etc/passwd", "is an absolute path; expected a relative one"),
        ("C:/a", "is an absolute path; expected a relative one"),
        ("..\\a", "has a backslash in its name; expected / between folders"),
        ("a//b", "has an empty part in its path; expected folder/file"),
        ("./a", "has an empty part in its path; expected folder/file"),
        ("a\n\x1b[31mb", "has control characters in its name; expected plain text"),
        ("inner.ZIP", "is an archive inside the archive; expected only files"),
        ("inner.tar.gz", "is an archive inside the archive; expected only files"),
        (info("link", 0o120777), "is a link or a device; expected only files"),
        (info("pipe", 0o010644), "is a link or a device; expected only files"),
    ],
)
def test_unfit_entries_are_listed_and_left_out(entry, expected):
    name = entry if isinstance(entry, str) else entry.filename
    archive, problems = opened(zipped(("good", b""), (entry, b"/etc/passwd")))
    assert list(archive.files) == ["good"]
    assert problems == [f"file.zip, {name!r}: {expected}"]


def test_nul_in_a_name_does_not_hide_its_end():
    archive, problems = opened(
        zipped(("good", b""), ("a.png0.exe", b"")).replace(b"a.png0.exe", b"a.png\0.exe")
    )
    assert list(archive.files) == ["good"]
    expected = "has control characters in its name; expected plain text"
    assert problems == [f"file.zip, 'a.png\\x00.exe': {expected}"]


def test_duplicate_entries():
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped(("a", b"1"), ("a", b"2"))
    assert opened(data)[1] == ["file.zip, 'a': occurs twice; expected once"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "the file is empty; expected a zip archive"),
        (
            b"\x1f\x8b\x08rest",
            "not a zip archive: starts with b'\\x1f\\x8b\\x08rest'; "
            "expected one that starts with b'PK\\x03\\x04'",
        ),
        (bytes(2**26 + 1), "the file has 67,108,865 bytes; expected at most 67,108,864"),
        (zipped(*((str(i), b"") for i in range(51))), "the archive has 51 entries; expected at most 50"),
        (patched(zipped(("a", b"")), 0, "4s", b"XXXX"), None),
        (zipped(("a", b""))[:-5], "a damaged zip archive: its end is missing; expected a whole one"),
    ],
    ids=["empty", "gzip", "large", "crowd", "directory", "cut"],
)
def test_files_that_are_no_archive(data, expected):
    archive, problems = opened(data)
    assert archive is None
    if expected is None:
        (problem,) = problems
        assert problem.startswith("file.zip: a damaged zip archive: ")
    else:
        assert problems == [f"file.zip: {expected}"]


def test_entries_are_counted_before_the_directory_is_read(monkeypatch):
    monkeypatch.setattr(zipfile, "ZipFile", None)
    crowd = b"PK\x01\x02" + bytes(42)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, 46_000, 0, 0)
    assert opened(crowd * 1000 + end)[1] == ["file.zip: the archive has 1,000 entries; expected at most 50"]


def test_total_size_and_ratio_are_capped_before_anything_is_unpacked():
    data = zipped(("a", bytes(2**25)), ("b", bytes(1)))
    limits = Limits(2**26, 50, 2**25, 2**25)
    total = "the archive unpacks to 33,554,433 bytes; expected at most 33,554,432"
    assert opened(data, limits) == (None, [f"file.zip: {total}"])
    times = f"{(2**25 + 1) / len(data):,.0f}"
    assert opened(data) == (
        None,
        [f"file.zip: the archive unpacks to {times} times its size; expected at most {RATIO}"],
    )
    assert opened(zipped(("a", bytes(ALWAYS))))[1] == []


def test_entries_that_share_bytes_are_refused():
    """Many entries over the same compressed data would make the work quadratic."""
    data = zipped(("a", b"x" * 1000), ("b", b"y"), method=zipfile.ZIP_STORED)
    start = data.index(b"PK\x01\x02")
    expected = "together they are larger than the archive; expected each to have its bytes"
    assert opened(patched(data, 20, "<L", len(data) - start + 2000)) == (
        None,
        [f"file.zip: entries overlap: {expected}"],
    )


BAD_CRC = "damaged: \"Bad CRC-32 for file 'a'\"; expected a whole file"
METHODS = "expected 0 (stored) or 8 (deflated)"
BAD_START = "damaged: 'Bad magic number for file header'; expected a whole file"
PASSWORD = "is encrypted; expected a file that can be read without a password"
LARGE = bytes(33_600_000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (zipped(("a", b"x"), method=zipfile.ZIP_BZIP2), f"is compressed by method 12; {METHODS}"),
        (zipped(("a", b"x"), method=zipfile.ZIP_LZMA), f"is compressed by method 14; {METHODS}"),
        (patched(zipped(("a", b"x")), 8, "<H", 1), PASSWORD),
        (
            zipped(("a", LARGE), method=zipfile.ZIP_STORED),
            "has 33,600,000 bytes; expected at most 33,554,432",
        ),
        (patched(zipped(("a", b"x" * 9)), 16, "<L", 7), BAD_CRC),
        (patched(zipped(("a", b"x" * 9)), 24, "<L", 8), BAD_CRC),
        (zipped(("a", b"")).replace(b"PK\x03\x04", b"PKPK"), BAD_START),
        (patched(zipped(("a", b"")), 24, "<L", 8), "damaged: unpacks to 0 bytes; expected 8"),
    ],
    ids=["bzip2", "lzma", "encrypted", "large", "crc", "size", "start", "short"],
)
def test_files_that_cannot_be_read(data, expected):
    assert contents(data) == ({"a": None}, [f"file.zip, 'a': {expected}"])


def test_pack_gives_the_same_bytes_for_the_same_files_in_any_order():
    files = [("b", b"2"), ("a", b"1")]
    data = pack(files)
    assert data == pack(reversed(files))
    assert contents(data) == ({"a": b"1", "b": b"2"}, [])
    (first, _) = zipfile.ZipFile(io.BytesIO(data)).infolist()
    assert (first.date_time, first.external_attr >> 16, first.create_system) == (
        (1980, 1, 1, 0, 0, 0),
        0o100644,
        3,
    )
