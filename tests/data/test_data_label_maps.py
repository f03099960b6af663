"""The source kind `label-maps`: every layout and form of label map, and what does not fit; CamVid."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from vipriors.challenges import hidden
from vipriors.challenges.schema import read_challenge
from vipriors.cli import main
from vipriors.data.images import read_image
from vipriors.data.lists import Listed, ListRule
from vipriors.data.prepare import prepare
from vipriors.data.prepared import read_prepared
from vipriors.data.sources import AnnotatedSource, SourceSample, open_annotated
from vipriors.data.sources.label_maps import LabelMapSource, open_label_maps
from vipriors.data.subset import SubsetRule
from vipriors.data.verify import verify
from vipriors.problems import BadInput
from vipriors.tasks import segmentation

CAMVID = Path(__file__).parents[2] / "examples/challenges/camvid.yaml"
NAMES = ("sky", "road", "car")
SIZE = (6, 9)
COUNTS = {"train": 5, "val": 2, "test": 3}
LAYOUTS = {
    "segnet": ("{split}/{stem}.jpg", "{split}annot/{stem}.png"),
    "split": ("images/{split}/{stem}.jpg", "labels/{split}/{stem}.png"),
    "deep": ("images/{split}/town/{stem}.jpg", "labels/{split}/town/{stem}.png"),
    "flat": ("images/{split}-{stem}.jpg", "labels/{split}-{stem}.png"),
}


def ids(k: int, most: int = 4) -> np.ndarray:
    return np.random.default_rng(k).integers(0, most, SIZE, dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def make_source(root: Path, layout: str = "segnet", counts=COUNTS) -> Path:
    """Image k has the label map `ids(k)`."""
    image, label = LAYOUTS[layout]
    splits = [(split, number) for split, count in counts.items() for number in range(count)]
    for k, (split, number) in enumerate(splits):
        rng = np.random.default_rng(k)
        save(root / image.format(split=split, stem=number), rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
        save(root / label.format(split=split, stem=number), ids(k))
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    return make_source(tmp_path / "source")


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def problems(function, *arguments, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def faults(root: Path) -> list[str]:
    return problems(open_label_maps, root, "segmentation", NAMES)


def prepared_map(label: bytes, names=NAMES, folder: Path | None = None) -> np.ndarray:
    """What becomes of one label map."""
    assert folder is not None
    (folder / "map.png").write_bytes(label)
    sample = SourceSample("a.jpg", 0, None)
    source = LabelMapSource("s", folder, names, [sample], {"a.jpg": folder / "map.png"})
    ((name, content),) = source.annotations([("image_0.jpg", sample)])
    assert name == "image_0.png"
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "L"
        return np.array(image)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(tmp_path, layout):
    root, out = make_source(tmp_path / "source", layout), tmp_path / "out"
    before = tree(root)
    source = open_annotated("label-maps", root, "segmentation", NAMES)
    assert isinstance(source, AnnotatedSource)
    assert (source.classes, source.names, source.media) == (("image",), NAMES, "images")
    splits = [split for split, count in COUNTS.items() for _ in range(count)]
    image = LAYOUTS[layout][0]
    keys = [image.format(split=split, stem=n) for split, count in COUNTS.items() for n in range(count)]
    expected = [None] * 10 if layout == "flat" else splits
    assert {(s.key, s.label, s.split) for s in source.samples} == {
        (key, 0, split) for key, split in zip(keys, expected, strict=True)
    }
    flat = layout == "flat"
    rule = SubsetRule(7 if flat else None, 0, 0.3 if flat else None, 3 if flat else None)
    prepared = prepare(source, rule, out, challenge="toy", channels=3)
    assert tree(root) == before and verify(out) == [] and read_prepared(out) == prepared
    assert prepared.dataset.counts == COUNTS and prepared.dataset.classes == list(NAMES)

    assert all(row.label is None for row in prepared.rows)
    tested = dict(line.split(",") for line in (out / "labels/test_sources.csv").read_text().split()[2:])
    for split in COUNTS:
        truth = segmentation.open_truth(prepared.labels_of(split), NAMES)
        rows = prepared.split(split)
        assert truth.classes == NAMES
        assert set(truth.index.ids) == {row.id.removesuffix(".jpg") for row in rows}
        for row in rows:
            key = row.source or tested[row.id]
            assert (out / row.file).read_bytes() == before[key][0]
            labels, instances = truth.labels.images[row.id[:-4]].load(row.id)
            wanted = ids(keys.index(key))
            assert np.array_equal(labels, np.where(wanted == 3, 255, wanted)) and instances is None


def test_splits_may_be_left_out(tmp_path):
    root = make_source(tmp_path / "source", "split", {"train": 2, "test": 1})
    source = open_label_maps(root, "segmentation", NAMES)
    assert [(s.key, s.split) for s in source.samples] == [
        ("images/train/0.jpg", "train"), ("images/train/1.jpg", "train"), ("images/test/0.jpg", "test")
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, SIZE), st.integers(1, 255))
def test_ids_without_a_name_have_no_class(tmp_path_factory, pixels, classes):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    names = [f"class {k}" for k in range(classes)]
    found = prepared_map(stream.getvalue(), names, tmp_path_factory.getbasetemp())
    for id_, become in zip(pixels.ravel().tolist(), found.ravel().tolist(), strict=True):
        assert become == (id_ if id_ < classes else 255)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_of_a_palette_count_and_not_its_colours(tmp_path, bits):
    pixels = np.arange(54, dtype=np.uint8).reshape(SIZE) & (2**bits - 1)
    image = Image.fromarray(pixels, "P")
    colours = np.random.default_rng(0).permutation(256).repeat(3)
    image.putpalette(colours[: 3 * 2**bits].astype(np.uint8).tobytes())
    for transparency in ({}, {"transparency": 1}):
        stream = io.BytesIO()
        image.save(stream, "PNG", bits=bits, **transparency)
        assert stream.getvalue()[24:26] == bytes([bits, 3])
        names = [f"class {k}" for k in range(100)]
        assert np.array_equal(prepared_map(stream.getvalue(), names, tmp_path), pixels)


def test_transparent_grey_stays_as_it_is(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(ids(0)).save(stream, "PNG", transparency=1)
    assert np.array_equal(prepared_map(stream.getvalue(), folder=tmp_path), np.where(ids(0) > 2, 255, ids(0)))


def test_what_is_alone_is_listed(tmp_path, root):
    for number in (0, 2, 3, 4):
        (root / f"trainannot/{number}.png").unlink()
    (root / "val/1.jpg").unlink()
    save(root / "testannot/stray.png", ids(0))
    shutil.rmtree(root / "valannot")
    assert faults(root) == [
        f"{root}/train: has 4 of 5 images without a label map: 0, 2, 3 and 1 more; expected PNGs of these "
        f"names in {root}/trainannot",
        f"{root}/val: has 1 of 1 images without a label map: 0; expected PNGs of these names in "
        f"{root}/valannot",
        f"{root}/testannot: has 1 of 4 label maps without an image: stray; expected images of these names in "
        f"{root}/test",
    ]


def test_headers_are_read_before_anything_is_written(root):
    (root / "train/0.jpg").write_bytes(b"")
    (root / "train/3.jpg").write_bytes(b"<html>Sign in</html>")
    save(root / "trainannot/1.png", np.stack([ids(1)] * 3, axis=2))
    save(root / "trainannot/2.png", ids(2).astype(np.uint16))
    (root / "trainannot/3.png").write_bytes(b"")
    save(root / "trainannot/4.png", ids(4)[:, :5])
    save(root / "val/0.jpg", np.zeros((9, 6, 3), np.uint8))
    assert faults(root) == [
        f"{root}/train: has 2 of 5 images that cannot be read: 0.jpg, 3.jpg; expected whole images",
        f"{root}/trainannot: has 3 of 5 label maps of another form: 1.png (8-bit colour), 2.png (16-bit "
        "grey), 3.png (no PNG); expected 8-bit grey or palette PNGs",
        f"{root}/trainannot: has 1 of 5 label maps of another size than the image: 4.png is 5 x 6, its image "
        "9 x 6; expected the same size",
        f"{root}/valannot: has 1 of 2 label maps of another size than the image: 0.png is 9 x 6, its image "
        "6 x 9; expected the same size",
    ]


def test_one_file_of_each_name(root):
    save(root / "train/2.png", np.zeros((*SIZE, 3), np.uint8))
    save(root / "valannot/1.PNG", ids(0), format="PNG")
    (root / "test/3\n.jpg").write_bytes((root / "test/2.jpg").read_bytes())
    (root / "testannot/3\n.png").write_bytes((root / "testannot/2.png").read_bytes())
    assert faults(root) == [
        f"{root}/train: has 1 of 5 images in several files: 2; expected one file of each name",
        f"{root}/valannot: has 1 of 2 label maps in several files: 1; expected one file of each name",
        f"{root}/test: has 1 of 4 images with an odd name: '3\\n'; expected one line of plain text",
        f"{root}/testannot: has 1 of 4 label maps with an odd name: '3\\n'; expected one line of plain text",
    ]


def test_other_files_are_passed_over(tmp_path, root):
    for name in (
        "train/.DS_Store",
        "train/._0.jpg",
        "train/.cache/9.jpg",
        "trainannot/__MACOSX/9.png",
        "README.md",
        "train/x.txt",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"what tools leave")
    assert len(open_label_maps(root, "segmentation", NAMES).samples) == 10


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_maps_lie_as_the_image_is_shown(root, orientation):
    """A photograph on its side is turned upright when it is read, and its map must fit that."""
    pixels = np.zeros((*SIZE, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(root / "train/0.jpg", pixels, exif=exif)
    shown = read_image(root / "train/0.jpg").shape[:2]
    assert shown == (SIZE if orientation == 3 else SIZE[::-1])
    if orientation == 3:
        open_label_maps(root, "segmentation", NAMES)
    else:
        (found,) = faults(root)
        assert "0.png is 9 x 6, its image 6 x 9; expected the same size" in found
        save(root / "trainannot/0.png", ids(0).T)
        open_label_maps(root, "segmentation", NAMES)


def test_names_and_task_are_needed(root):
    expected = "expected 1 to 255 names in the challenge's source.classes"
    for names, found in (
        (None, "label maps only number their classes"),
        ((), "label maps only number their classes"),
        ([str(k) for k in range(256)], "found 256 names"),
    ):
        assert problems(open_label_maps, root, "segmentation", names) == [f"{root}: {found}; {expected}"]
    assert problems(open_label_maps, root, "detection", NAMES) == [
        f"{root}: label maps are for task segmentation; found task detection"
    ]


def test_what_is_no_such_source(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "photos").mkdir()
    for name in ("file", "photos"):
        assert faults(tmp_path / name) == [
            f"{tmp_path / name}: holds no folders of images and label maps; expected images/ and labels/, or "
            "train/ and trainannot/ (and the same of val and test)"
        ]
    (tmp_path / "empty/train").mkdir(parents=True)
    assert faults(tmp_path / "empty") == [
        f"{tmp_path}/empty/train: holds no image; expected images, and their label maps in "
        f"{tmp_path}/empty/trainannot"
    ]


def test_damage_behind_the_header_stops_and_is_gone_on_from(tmp_path, root):
    out = tmp_path / "out"
    rule = SubsetRule(None, 0, None, None)
    whole = {}
    for number in (1, 4):
        path = root / f"trainannot/{number}.png"
        whole[path] = path.read_bytes()
        path.write_bytes(whole[path][:-25])

    def make(folder: Path):
        source = open_label_maps(root, "segmentation", NAMES)
        return prepare(source, rule, folder, challenge="toy", channels=3)

    found = problems(make, out)
    assert sorted(message.partition(": damaged image")[0] for message in found) == [
        str(path) for path in whole
    ]
    assert not (out / "dataset.json").exists()
    for path, content in whole.items():
        path.write_bytes(content)
    make(out)
    make(tmp_path / "straight")
    files = [
        {name: data for name, (data, _) in tree(folder).items()} for folder in (out, tmp_path / "straight")
    ]
    assert files[0] == files[1] and verify(out) == []


def test_ids_must_give_maps_names_of_their_own(tmp_path, root):
    """A list may give ids that differ in what follows the dot alone."""
    save(root / "train/1.bmp", np.zeros((*SIZE, 3), np.uint8))
    (root / "train/1.jpg").unlink()
    source = open_label_maps(root, "segmentation", NAMES)
    rows = (Listed("train", "train/0.jpg", "Ab.jpg"), Listed("train", "train/1.bmp", "aB.bmp"))
    found = problems(prepare, source, ListRule(rows), tmp_path / "out", challenge="toy", channels=3)
    assert found == ["id aB.bmp: its labels would be called aB.png, as those of Ab.jpg; expected another id"]


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
def test_no_header_is_a_traceback(root):
    """Three hundred damaged headers of every format: each is read, or said to be unreadable."""
    rng = np.random.default_rng(0)
    file = root / "train/0.jpg"
    pixels = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    refused = 0
    for form in ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM"):
        save(file, pixels, format=form)
        whole = file.read_bytes()
        for _ in range(43):
            data = bytearray(whole[: rng.integers(1, len(whole) + 1)])
            for place in rng.integers(0, min(len(data), 80), rng.integers(0, 4)):
                data[place] = rng.integers(0, 256)
            file.write_bytes(data)
            try:
                open_label_maps(root, "segmentation", NAMES)
            except BadInput as error:
                (message,) = map(str, error.problems)
                assert "that cannot be read: 0.jpg" in message or "0.png is 9 x 6, its image" in message
                refused += 1
    assert 50 < refused < 280


def test_the_example_through_the_commands(tmp_path, capsys):
    root, out = make_source(tmp_path / "source"), tmp_path / "out"
    command = ["data", "prepare", str(CAMVID), "--source", str(root), "--out", str(out), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == COUNTS
    assert main(["data", "verify", str(out)]) == 0
    challenge = read_challenge(CAMVID)
    assert read_prepared(out).dataset.classes == list(challenge.source.classes or ())
    from_copy = hidden.find_hidden_test(str(CAMVID), source=root).truth
    from_folder = hidden.find_hidden_test(str(CAMVID), out / "labels/test").truth
    assert from_copy.index == from_folder.index and len(from_copy.index.ids) == 3
    assert from_copy.classes == challenge.source.classes
    (root / "trainannot/0.png").unlink()
    assert main([*command[:-2], str(tmp_path / "other")]) == 1
    assert "has 1 of 5 images without a label map: 0;" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_camvid(tmp_path, shared_data):
    root, out = shared_data / "camvid_240x180", tmp_path / "out"
    challenge = read_challenge(CAMVID)
    source = challenge.open(root)
    prepared = prepare(source, challenge.rule(), out, challenge="camvid", channels=3)
    assert prepared.dataset.counts == {"train": 367, "val": 101, "test": 233}
    assert verify(out) == []
    names = challenge.source.classes
    for split, folder in (("train", "trainannot"), ("val", "valannot"), ("test", "testannot")):
        pixels, expected = np.zeros(256, int), np.zeros(256, int)
        truth = segmentation.open_truth(prepared.labels_of(split), names)
        for id_, image in truth.labels.images.items():
            pixels += np.bincount(image.load(id_)[0].ravel(), minlength=256)
        for path in (root / folder).iterdir():
            expected += np.bincount(np.frombuffer(Image.open(path).tobytes(), np.uint8), minlength=256)
        assert set(truth.index.sizes) == {(180, 240)} and np.flatnonzero(expected).tolist() == list(range(12))
        expected[[11, 255]] = expected[[255, 11]]
        assert np.array_equal(pixels, expected)
    for row in prepared.split("train")[::50]:
        assert (out / row.file).read_bytes() == (root / row.source).read_bytes()
        own = Image.open(root / row.source.replace("train/", "trainannot/").replace(".jpg", ".png"))
        stored = Image.open(out / "annotations/train" / row.id.replace(".jpg", ".png"))
        assert stored.tobytes() == own.tobytes().replace(b"\x0b", b"\xff")
