"""Clouds of points: read, refused, prepared, verified and loaded."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vipriors.data.images import encode_npy
from vipriors.data.loader import Form, load_split
from vipriors.data.points import MAX_POINTS, read_points
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import open_source
from vipriors.data.subset import SubsetRule
from vipriors.data.verify import verify
from vipriors.problems import BadInput

FORM = Form((16, 1), 3, media="points")


def npy(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def cloud(seed: int, points: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(points, 3)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays(dtype, order) -> None:
    expected = np.asarray(cloud(0), dtype, order=order)
    found = read_points(npy(expected))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_what_is_written_is_what_numpy_reads_and_is_read_back() -> None:
    data = encode_npy(cloud(1))
    assert np.array_equal(np.load(io.BytesIO(data), allow_pickle=False), cloud(1))
    assert np.array_equal(read_points(data), cloud(1))
    assert np.load(io.BytesIO(data)).dtype == np.dtype("<f4")


def test_text() -> None:
    text = b"# x y z\n1 2.5 -3e-1\r\n\n4,5,6,0.1,0.2,0.3\n\t7\t8 9 255 0 0\n"
    assert read_points(text).tolist() == [[1, 2.5, np.float32(-0.3)], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize(
    ("count", "wanted", "places"),
    [(20, 20, list(range(20))), (6, 3, [1, 3, 5]), (3, 6, [0, 0, 1, 1, 2, 2]), (1, 2, [0, 0])],
)
def test_a_number_of_points(count, wanted, places) -> None:
    found = read_points(npy(cloud(0, count)), points=wanted)
    assert np.array_equal(found, cloud(0, count)[places])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "found an empty file (0 bytes); expected an npy array"),
        (npy(cloud(0))[:-4], "damaged cloud: "),
        (npy(cloud(0))[:20], "damaged cloud: "),
        (b"\x93NUMPY\x03\x00" + npy(cloud(0))[8:], "is an npy file of another version; expected 1.0"),
        (npy(np.array([{"a": 1}], object), allow_pickle=True), "found object of shape (1,); expected floats"),
        (npy(np.zeros((4, 2))), "found float64 of shape (4, 2); expected floats (N, 3)"),
        (npy(np.zeros((4, 3), int)), "found int64 of shape (4, 3); expected floats (N, 3)"),
        (npy(np.zeros((0, 3))), "found float64 of shape (0, 3); expected floats (N, 3)"),
        (npy(np.full((2, 3), np.nan)), "2 points such as (nan, nan, nan) (number 0) are out of range"),
        (npy(np.array([[0, 0, 0], [0, 1e300, 0]])), "1 points such as (0.0, inf, 0.0) (number 1) are out of"),
        (npy(np.full((1, 3), -2e6)), "expected finite coordinates up to 1e+06"),
        (b"1 2 3\n4 5\n", "cloud, line 2: is no point: b'4 5'; expected"),
        (b"1 2 3\n4 nan 6\n", "cloud, line 2: is no point: b'4 nan 6'"),
        (b"1 2 1_0\n", "cloud, line 1: is no point"),
        (b"1 2 --3\n", "cloud, line 1: is no point"),
        (b"# nothing\n\n", "has no point in it"),
        (b"\x89PNG\r\n\x1a\n", "cloud, line 1: is no point"),
    ],
)
def test_what_is_no_cloud(data, message) -> None:
    with pytest.raises(BadInput) as caught:
        read_points(data)
    assert message in str(caught.value)


def test_a_header_that_claims_too_much_is_refused_unread() -> None:
    data = encode_npy(cloud(0)).replace(b"(20, 3)", b"(%d, 3)" % (MAX_POINTS + 1))
    with pytest.raises(
        BadInput, match=f"{MAX_POINTS + 1} points are too many; expected at most {MAX_POINTS}"
    ):
        read_points(data)
    with pytest.raises(BadInput, match="a point has 3 coordinates; expected 4"):
        read_points(encode_npy(cloud(0)), channels=4)


@settings(max_examples=150)
@given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=4))
def test_damaged_files_are_bad_input(noise, place, patch) -> None:
    good = encode_npy(cloud(0))
    for data in (noise, good[:place] + patch + good[place + len(patch) :], b"\x93NUMPY" + noise):
        try:
            found = read_points(data)
        except BadInput:
            continue
        assert found.ndim == 2 and found.shape[1] == 3 and np.isfinite(found).all()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A person's folder: two classes of arrays and text, and things that are no clouds."""
    for label, name in enumerate(("cube", "ring")):
        folder = tmp_path / "copy" / name
        folder.mkdir(parents=True)
        for number in range(8):
            points = cloud(10 * label + number, 12 + number)
            if number % 2:
                (folder / f"{number}.npy").write_bytes(npy(points))
            else:
                np.savetxt(folder / f"{number}.xyz", points)
        (folder / "readme.md").write_text("about")
        (folder / "picture.png").write_bytes(b"")
    return tmp_path / "copy"


def made(copy: Path, out: Path, mode="copy"):
    rule = SubsetRule(4, seed=1, validation=0.5, test_per_class=3)
    return prepare(
        open_source("points", copy), rule, out, challenge="mine", channels=3, mode=mode, test_key="secret" * 4
    )


def test_a_folder_of_clouds(copy: Path) -> None:
    source = open_source("points", copy)
    assert tuple(source.classes) == ("cube", "ring") and len(source.samples) == 16
    assert source.media == "points" and source.ignored == 4
    shutil.rmtree(copy / "ring")
    (copy / "ring").mkdir()
    with pytest.raises(BadInput) as caught:
        open_source("points", copy)
    assert "holds no cloud (0 other files); expected at least one" in str(caught.value)


@pytest.mark.parametrize("mode", ["copy", "link", "pack"])
def test_prepared_verified_and_loaded(copy: Path, tmp_path: Path, mode) -> None:
    out = tmp_path / "out"
    prepared = made(copy, out, mode)
    assert prepared.dataset.media == "points"
    assert prepared.dataset.counts == {"train": 4, "val": 4, "test": 6}
    assert all(row.file == f"points/{row.split}/{row.id}" for row in prepared.rows)
    assert verify(out) == []
    assert read_prepared(out).rows == prepared.rows
    train = prepared.split("train")
    found = load_split(out, train, FORM, cache=out / "cache")
    assert found.images.shape == (4, 16, 3) and found.images.dtype == np.float32
    for row, points in zip(train, found.images, strict=True):
        assert np.array_equal(points, read_points(copy / row.source, points=16))
        assert (copy / row.source).parent.name == prepared.dataset.classes[row.label]
    again = load_split(out, train, FORM, cache=out / "cache")
    assert np.array_equal(again.images, found.images) and len(list((out / "cache").iterdir())) == 1
    assert load_split(out, prepared.split("test"), FORM).labels is None


def test_no_label_of_the_test_is_told_outside_labels(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepared = made(copy, out)
    tests = prepared.split("test")
    assert all(row.label is None and row.source == "" and row.id.startswith("img_") for row in tests)
    text = (out / "manifest.csv").read_text() + json.dumps(prepared.dataset.model_dump())
    assert not any(f"{row.id},test," in text and "cube/" in text.split(row.id)[1][:20] for row in tests)
    labels = (out / "labels/test.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[1] for line in labels) == ["0"] * 3 + ["1"] * 3


def test_damage_is_found(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepared = made(copy, out)
    row = prepared.split("train")[0]
    file = out / row.file
    file.write_bytes(npy(cloud(99)))
    (out / "points" / "train" / "more.npy").write_bytes(b"")
    messages = [str(problem) for problem in verify(out)]
    assert messages == [
        f"{file}: is damaged or changed: its SHA-256 is not the one in the manifest",
        f"{out / 'points/train/more.npy'}: is not in the manifest; expected no such file",
    ]
    with pytest.raises(BadInput, match="is damaged or changed"):
        load_split(out, [row], FORM)


def test_a_damaged_cloud_of_the_source_is_listed(copy: Path, tmp_path: Path) -> None:
    for name in ("cube", "ring"):
        for number in range(8):
            for file in (copy / name).glob(f"{number}.*"):
                file.write_bytes(b"not a point")
    with pytest.raises(BadInput) as caught:
        made(copy, tmp_path / "out")
    assert len(caught.value.problems) == 14
    assert "line 1: is no point: b'not a point'" in str(caught.value.problems[0])


def test_too_much_for_memory_is_counted_in_bytes(copy: Path, tmp_path: Path) -> None:
    prepared = made(copy, tmp_path / "out")
    with pytest.raises(BadInput, match=f"take {4 * 16 * 3 * 4} bytes, more than the limit of 767"):
        load_split(tmp_path / "out", prepared.split("train"), FORM, memory_limit=767)
    mapped = load_split(
        tmp_path / "out", prepared.split("train"), FORM, memory_limit=767, cache=tmp_path / "cache"
    )
    assert isinstance(mapped.images, np.memmap)
