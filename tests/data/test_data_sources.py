"""Sources: folders, IDX, CIFAR, npz, and arrays in memory."""

import contextlib
import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vipriors.data.images import encode_png, read_image
from vipriors.data.sources import ArrayPart, ArraySource, detect_kind, open_source
from vipriors.data.sources.pickled import read_pickle
from vipriors.problems import BadInput

PIXEL = encode_png(np.zeros((1, 1), np.uint8))


def problems(kind: str, path: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        open_source(kind, path)
    return [str(problem).replace(str(path), "ROOT") for problem in caught.value.problems]


def touch(root: Path, *names: str, content: bytes = PIXEL) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def test_kinds_and_paths(tmp_path):
    assert problems("zip", tmp_path) == [
        "ROOT: unknown kind of source 'zip'; expected one of folder, idx, cifar-binary, cifar-python, numpy, "
        "points"
    ]
    assert problems("idx", tmp_path / "no") == [
        "ROOT: does not exist; expected the folder or file of the source data"
    ]
    touch(tmp_path, "file")
    assert problems("folder", tmp_path / "file") == [
        "ROOT: is a file; expected the folder of a source of kind folder"
    ]


# folder


def test_a_folder_per_class(tmp_path):
    touch(tmp_path, "b/2.png", "b/10.JPG", "a/deep/er/x.tif", "B/1.npy", "a/.hidden.png", "a/notes.txt")
    touch(tmp_path, "README.md", ".git/x.png", "__MACOSX/a/x.png", "b/.cache/y.png", "b/Thumbs.db")
    source = open_source("folder", tmp_path)
    assert list(source.classes) == ["B", "a", "b"]
    found = [(sample.key, sample.label, sample.split) for sample in source.samples]
    assert found == [
        ("B/1.npy", 0, None),
        ("a/deep/er/x.tif", 1, None),
        ("b/10.JPG", 2, None),
        ("b/2.png", 2, None),
    ]
    assert source.ignored == 3
    assert source.content(source.samples[2]) == (".jpg", tmp_path / "b/10.JPG")


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (["train", "test"], ["train", "test"]),
        (["train", "val"], ["train", "test"]),
        (["train", "validation"], ["train", "test"]),
        (["train", "val", "test"], ["train", "val", "test"]),
        (["train"], ["train"]),
    ],
)
def test_split_folders(tmp_path, folders, splits):
    touch(tmp_path, *(f"{folder}/{name}/1.png" for folder in folders for name in "ab"), "extra/a/1.png")
    source = open_source("folder", tmp_path)
    assert list(source.classes) == ["a", "b"]
    assert [(s.key, s.split) for s in source.samples if s.label == 0] == [
        (f"{folder}/a/1.png", split) for folder, split in zip(folders, splits, strict=True)
    ]


def test_a_class_may_be_called_train(tmp_path):
    touch(tmp_path, "train/1.png", "bus/1.png", "test/1.png")
    assert list(open_source("folder", tmp_path).classes) == ["bus", "test", "train"]


def test_every_problem_of_a_folder_is_listed(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/readme.txt", "test/a/1.png", "test/c/1.png")
    assert problems("folder", tmp_path) == [
        "ROOT/train/b: holds no image (1 other files); expected at least one",
        "ROOT/test/c: is a class that train lacks",
    ]
    touch(tmp_path / "flat", "1.png", "2.png")
    assert problems("folder", tmp_path / "flat") == [
        "ROOT: found 0 class folders (none); expected at least 2"
    ]


def test_names_that_are_no_text_are_listed(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", "b/2\n.png", "b/Größe 3\u202fPM.png")
    (tmp_path / "a" / b"\xff.png".decode("utf-8", "surrogateescape")).write_bytes(PIXEL)
    assert problems("folder", tmp_path) == [
        "'ROOT/a/\\udcff.png': the name is not one line of Unicode; rename it",
        "'ROOT/b/2\\n.png': the name is not one line of Unicode; rename it",
    ]


# idx

IMAGES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
LABELS = np.array([0, 1, 1, 0, 2], np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def write_idx(root: Path, compress: bool = False) -> None:
    for name, split in (("train", slice(None)), ("t10k", slice(2))):
        for what, array in (("images-idx3", IMAGES[split]), ("labels-idx1", LABELS[split])):
            content = gzip.compress(idx(array)) if compress else idx(array)
            touch(root, f"{name}-{what}-ubyte{'.gz' if compress else ''}", content=content)


@pytest.mark.parametrize("compress", [False, True])
def test_idx(tmp_path, compress):
    write_idx(tmp_path, compress)
    source = open_source("idx", tmp_path)
    assert source.classes == ("0", "1", "2")
    assert [(s.label, s.split) for s in source.samples] == [
        *((int(label), "train") for label in LABELS),
        (0, "test"),
        (1, "test"),
    ]
    suffix = ".gz" if compress else ""
    assert source.samples[3].key == f"train-images-idx3-ubyte{suffix}#3"
    assert source.content(source.samples[3]) == (".png", encode_png(IMAGES[3]))


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        (
            "train-images-idx3-ubyte",
            idx(np.tile(LABELS, 3)),
            "magic number is 0x00000801; expected 0x00000803 (3 dimensions",
        ),
        ("train-labels-idx1-ubyte", b"\0\0", "ends after 2 bytes; expected a header of 8"),
        ("train-labels-idx1-ubyte", idx(LABELS)[:-1], "header says (5,) = 5 bytes, but only 4 follow"),
        (
            "t10k-labels-idx1-ubyte",
            idx(LABELS[:2]) + b"x",
            "header says (2,) = 2 bytes, but more bytes follow",
        ),
        ("train-labels-idx1-ubyte", idx(LABELS[:4]), "found 4 labels for 5 images"),
        (
            "train-labels-idx1-ubyte",
            idx(LABELS * 2),
            "labels skip from 2 to 4; expected every class from 0 on",
        ),
        (
            "train-images-idx3-ubyte",
            struct.pack(">4I", 0x803, *[1 << 31] * 3),
            "expected at most 17179869184",
        ),
    ],
)
def test_idx_faults(tmp_path, file, content, expected):
    write_idx(tmp_path)
    (tmp_path / file).write_bytes(content)
    assert expected in problems("idx", tmp_path)[0]


def test_idx_faults_of_files(tmp_path):
    assert problems("idx", tmp_path) == ["ROOT: has no train-images-idx3-ubyte, plain or .gz"]
    write_idx(tmp_path, compress=True)
    cut = tmp_path / "train-images-idx3-ubyte.gz"
    cut.write_bytes(cut.read_bytes()[:-9])
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"plain")
    first, second = problems("idx", tmp_path)
    assert first.startswith("ROOT/train-images-idx3-ubyte.gz: cannot be read: Compressed file ended")
    assert second.startswith("ROOT/t10k-labels-idx1-ubyte.gz: cannot be read: Not a gzipped file")


# cifar

PLANES = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
DIGITS = [1, 0, 1, 0]
TEN_FILES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def write_cifar_binary(root: Path, hundred: bool = False) -> None:
    labels = np.array([[9, label] if hundred else [label] for label in DIGITS], np.uint8)
    records = np.concatenate([labels, PLANES.reshape(4, -1)], axis=1).tobytes()
    touch(root, *(f"{file}.bin" for file in (("train", "test") if hundred else TEN_FILES)), content=records)
    touch(root, "fine_label_names.txt" if hundred else "batches.meta.txt", content=b"cat\ndog\n\n")


@pytest.mark.parametrize("hundred", [False, True])
def test_cifar_binary(tmp_path, hundred):
    write_cifar_binary(tmp_path, hundred)
    source = open_source("cifar-binary", tmp_path)
    assert list(source.classes) == ["cat", "dog"]
    assert [s.label for s in source.samples] == DIGITS * (2 if hundred else 6)
    assert source.samples[-1].split == "test" and source.samples[0].split == "train"
    assert source.samples[2].key == ("train.bin#2" if hundred else "data_batch_1.bin#2")
    suffix, content = source.content(source.samples[2])
    assert suffix == ".png" and np.array_equal(read_image(content), PLANES[2].transpose(1, 2, 0))


def test_cifar_binary_faults(tmp_path):
    write_cifar_binary(tmp_path)
    (tmp_path / "data_batch_2.bin").unlink()
    (tmp_path / "test_batch.bin").write_bytes(bytes(3072))
    assert problems("cifar-binary", tmp_path) == [
        "ROOT/data_batch_2.bin: cannot be read: No such file or directory",
        "ROOT/test_batch.bin: found 3072 bytes; expected a multiple of 3073",
    ]
    (tmp_path / "batches.meta.txt").unlink()
    assert "expected a class name a line" in problems("cifar-binary", tmp_path)[0]


def write_cifar_python(root: Path, hundred: bool = False, protocol: int = 2, old_numpy: bool = True) -> None:
    batch = {b"fine_labels" if hundred else b"labels": DIGITS, b"data": PLANES.reshape(4, -1)}
    meta = {"fine_label_names" if hundred else "label_names": ["cat", "dog"]}
    for file in ("train", "test") if hundred else TEN_FILES:
        content = pickle.dumps(batch, protocol)
        if old_numpy:
            content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        touch(root, file, content=content)
    touch(root, "meta" if hundred else "batches.meta", content=pickle.dumps(meta, protocol))


@pytest.mark.parametrize("old_numpy", [False, True])
@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("hundred", [False, True])
def test_cifar_python_equals_cifar_binary(tmp_path, hundred, protocol, old_numpy):
    write_cifar_python(tmp_path / "python", hundred, protocol, old_numpy)
    write_cifar_binary(tmp_path / "binary", hundred)
    ours, other = (
        open_source("cifar-python", tmp_path / "python"),
        open_source("cifar-binary", tmp_path / "binary"),
    )
    assert list(ours.classes) == list(other.classes)
    for a, b in zip(ours.samples, other.samples, strict=True):
        assert (a.key, a.label, a.split) == (b.key.replace(".bin", ""), b.label, b.split)
        assert ours.content(a) == other.content(b)


def test_a_batch_that_python_2_wrote(tmp_path):
    """Protocol 2 by hand, with Python 2's byte strings, as the CIFAR authors' files are."""

    def text(value: bytes) -> bytes:
        return (
            b"U" + bytes([len(value)]) + value
            if len(value) < 256
            else b"T" + struct.pack("<I", len(value)) + value
        )

    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85" + text(b"b") + b"tR"
    dtype = (
        b"cnumpy\ndtype\n("
        + text(b"u1")
        + b"K\0K\1tR(K\3"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    array += b"(K\1K\4M\0\x0c\x86" + dtype + b"\x89" + text(PLANES.tobytes()) + b"tb"
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in DIGITS) + b"e"
    write_cifar_python(tmp_path)
    batch = b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels + b"u."
    (tmp_path / "data_batch_1").write_bytes(batch)
    source = open_source("cifar-python", tmp_path)
    assert source.content(source.samples[0]) == (".png", encode_png(PLANES[0].transpose(1, 2, 0)))


class Malicious:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_not_run(tmp_path, protocol):
    trap = tmp_path / "trap"
    write_cifar_python(tmp_path)
    attacks = {
        "data_batch_1": Malicious(Path.touch, trap),
        "data_batch_2": {b"data": Malicious(exec, f"open({str(trap)!r}, 'w')")},
        "data_batch_3": Malicious(getattr, trap, "touch"),
    }
    for file, attack in attacks.items():
        content = pickle.dumps(attack, protocol)
        (tmp_path / file).write_bytes(content)
        with pytest.raises(BadInput, match="which no data needs; nothing was run"):
            read_pickle(tmp_path / file)
    pickle.loads(pickle.dumps(attacks["data_batch_1"], protocol))
    assert trap.exists(), "the attack must work on an ordinary unpickler"
    trap.unlink()
    assert len(problems("cifar-python", tmp_path)) == 3
    assert not trap.exists()


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([], "holds a list; expected a dictionary"),
        ({"labels": [1], "data": 5}, "`data` is not an array"),
        ({"labels": "no", "data": PLANES.reshape(4, -1)}, "`labels` is not a list of integers"),
        ({"labels": DIGITS, "data": PLANES}, "`data` is u1 (4, 3, 32, 32); expected u1 (N, 3072)"),
        ({"labels": DIGITS, "data": np.ones((4, 3072))}, "expected one unsigned byte (u1) a value"),
        ({"labels": [0, 1, 5, 0], "data": PLANES.reshape(4, -1)}, "labels are 0 to 5; expected 0 to 1"),
        ({"labels": [0, 1, 10**30, 0], "data": PLANES.reshape(4, -1)}, "expected 0 to 1"),
        ({"labels": [0], "data": PLANES.reshape(4, -1)}, "found 1 labels for 4 images"),
    ],
)
def test_cifar_python_faults(tmp_path, batch, expected):
    write_cifar_python(tmp_path)
    (tmp_path / "data_batch_4").write_bytes(pickle.dumps(batch, 2))
    (found,) = problems("cifar-python", tmp_path)
    assert expected in found and "data_batch_4" in found


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
def test_damaged_pickles_never_raise_anything_but_bad_input(tmp_path_factory, junk, place, value):
    valid = bytearray(pickle.dumps({b"data": PLANES[:1, 0, :1, :9], b"labels": [1]}, 2))
    valid[place % len(valid)] = value
    file = tmp_path_factory.getbasetemp() / "junk"
    for content in (junk, bytes(valid), bytes(valid)[:place]):
        file.write_bytes(content)
        with contextlib.suppress(BadInput):
            read_pickle(file)


# numpy


def test_numpy_folder_and_single_file(tmp_path):
    images = np.random.default_rng(0).integers(0, 65536, (3, 4, 5, 13), dtype=np.uint16)
    np.savez(tmp_path / "train.npz", images=images, labels=np.array([0, 1, 1]), classes=np.array(["a", "b"]))
    np.savez_compressed(tmp_path / "test.npz", images=images[:1], labels=np.array([1]))
    source = open_source("numpy", tmp_path)
    assert source.classes == ("a", "b")
    assert [(s.key, s.label, s.split) for s in source.samples][2:] == [
        ("train.npz#2", 1, "train"),
        ("test.npz#0", 1, "test"),
    ]
    suffix, content = source.content(source.samples[2])
    assert suffix == ".npy" and np.array_equal(read_image(content), np.rint(images[2] / 257))
    single = open_source("numpy", tmp_path / "train.npz")
    assert [s.split for s in single.samples] == [None] * 3


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"images": IMAGES}, "ROOT: has no array `labels`"),
        (
            {"images": IMAGES, "labels": LABELS.astype(float)},
            "found labels [0.0, 1.0, 2.0]; expected integers",
        ),
        ({"images": IMAGES.astype(float), "labels": LABELS}, "images are float64 (5, 2, 3); expected uint8"),
        ({"images": IMAGES, "labels": LABELS[:3]}, "found 3 labels for 5 images"),
        ({"images": IMAGES, "labels": LABELS + 1}, "the smallest label is 1; expected every class from 0 on"),
        (
            {"images": IMAGES, "labels": LABELS - 1, "classes": ["a", "b"]},
            "labels are 0 to 255; expected 0 to 1",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "classes": [1, 2, 3]},
            "classes are int64 (3,); expected strings",
        ),
        ({"images": IMAGES, "labels": LABELS * 0}, "found 1 classes; expected at least 2"),
        (
            {"images": np.array([{}]), "labels": LABELS},
            "cannot be read as .npz: Object arrays cannot be loaded",
        ),
    ],
)
def test_numpy_faults(tmp_path, arrays, expected):
    np.savez(tmp_path / "x.npz", **arrays)
    (found,) = problems("numpy", tmp_path / "x.npz")
    assert expected in found


def test_numpy_faults_of_files(tmp_path):
    assert problems("numpy", tmp_path) == [
        "ROOT: has no train.npz; expected train.npz, and test.npz if there is one"
    ]
    np.savez(tmp_path / "train.npz", images=IMAGES, labels=LABELS, classes=["a", "b", "c"])
    np.savez(tmp_path / "test.npz", images=IMAGES, labels=LABELS, classes=["a", "c", "b"])
    assert problems("numpy", tmp_path) == ["ROOT: classes differ between train.npz and test.npz"]
    (tmp_path / "train.npz").write_bytes((tmp_path / "train.npz").read_bytes()[:-30])
    (tmp_path / "test.npz").write_bytes(b"")
    assert [found.split(":")[0] for found in problems("numpy", tmp_path)] == [
        "ROOT/train.npz",
        "ROOT/test.npz",
    ]


def test_array_source_lists_every_array_that_does_not_fit():
    parts = [ArrayPart("a", None, IMAGES, LABELS[:2]), ArrayPart("b", None, IMAGES[0], LABELS[:2])]
    with pytest.raises(BadInput) as caught:
        ArraySource("x", ("a", "b", "c"), parts)
    assert [problem.place for problem in caught.value.problems] == ["a", "b"]


# real data


def test_real_sources(shared_data):
    fashion = open_source("idx", shared_data / "fashion_mnist")
    assert np.bincount([s.label for s in fashion.samples if s.split == "test"]).tolist() == [1000] * 10
    assert len(fashion.samples) == 70_000 and fashion.samples[0].label == 9  # An ankle boot comes first.
    insects = open_source("folder", shared_data / "hymenoptera_256")
    counts = {split: [0, 0] for split in ("train", "test")}
    for sample in insects.samples:
        counts[sample.split][sample.label] += 1
    assert counts == {"train": [123, 121], "test": [70, 83]}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["train.npz"], "numpy"),
        (["train-images-idx3-ubyte.gz"], "idx"),
        (["data_batch_1.bin"], "cifar-binary"),
        (["train.bin", "test.bin"], "cifar-binary"),
        (["data_batch_1"], "cifar-python"),
        (["train", "test", "meta"], "cifar-python"),
        (["ants/1.jpg"], "folder"),
        (["train/ants/1.jpg", "val/ants/2.jpg"], "folder"),
    ],
)
def test_the_kind_is_told_by_the_names_of_the_files(tmp_path: Path, names: list[str], kind: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert detect_kind(tmp_path) == kind
