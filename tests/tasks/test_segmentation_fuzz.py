"""Whatever bytes come in, `check` answers; and what it accepts is what zipfile and PIL read from it."""

import io
import os
import random
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vipriors.problems import BadInput
from vipriors.tasks.class_map import plain
from vipriors.tasks.label_map import encode
from vipriors.tasks.segmentation import MapIndex, check, read_labels, score

FILES = int(os.environ.get("VIPRIORS_FUZZ", "6000"))
SIZES = {"1": (3, 5), "22": (4, 4), "größe": (1, 7)}
INDEX = MapIndex(tuple(SIZES), tuple(SIZES.values()), plain(["a", "b", "c", "d"]))
PIECES = [b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"IHDR", b"IDAT", bytes(4), b"\xff" * 4, b"../"]


def png(rng, size):
    pixels = np.array([rng.choice([0, 1, 2, 3, 3, 255]) for _ in range(size[0] * size[1])], np.uint8)
    pixels = pixels.reshape(size)
    if rng.random() < 0.3:
        stream = io.BytesIO()
        image = Image.fromarray(pixels, "P")
        image.putpalette(bytes(range(256)) * 3)
        image.save(stream, "PNG")
        return stream.getvalue()
    return encode(pixels)


def good_file(rng, change_maps=False):
    stream = io.BytesIO()
    folder = rng.choice(["", "results/"])
    method = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(stream, "w", method) as archive:
        for id_ in rng.sample(INDEX.ids, 3):
            content = png(rng, SIZES[id_])
            if change_maps and rng.random() < 0.5:  # else the checksum of the zip stops nearly all of them
                content = mutated(rng, content)
            archive.writestr(f"{folder}{id_}.png", content)
        if rng.random() < 0.2:
            archive.writestr("__MACOSX/._1.png", b"stray" * rng.randrange(9))
    return stream.getvalue()


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at, end = sorted(rng.choices(range(len(data) + 1), k=2))
        end = min(end, at + rng.choice([1, 1, 3, 40, 400]))
        change = rng.choice(["flip", "flip", "byte", "insert", "delete", "duplicate", "truncate"])
        if change == "flip" and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif change == "byte" and at < len(data):
            data[at] = rng.choice([0, 1, 8, 16, 127, 128, 255])
        elif change == "insert":
            data[at:at] = rng.choice(PIECES)
        elif change == "delete":
            del data[at:end]
        elif change == "duplicate":
            data[at:at] = data[at:end]
        elif change == "truncate" and rng.random() < 0.3:
            del data[at:]
        if not data:
            break
    return bytes(data)


def agrees_with_zipfile_and_pil(data, allow_missing):
    """Checks `data`; if accepted, compares with an independent reading. Returns whether it was accepted."""
    predictions, problems = check(data, INDEX, allow_missing=allow_missing)
    assert (predictions is None) == bool(problems)
    assert all(problem.place and problem.message for problem in problems)
    assert len(problems) <= 21 * 12
    if predictions is None:
        return False
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = {
            name.rpartition("/")[2]: name for name in archive.namelist() if name.lower().endswith(".png")
        }
        for (id_, size), content in zip(SIZES.items(), predictions.maps, strict=True):
            if content is None:
                assert allow_missing
                continue
            (name,) = (name for file, name in names.items() if file.rpartition(".")[0].startswith(id_))
            assert archive.read(name) == content
            try:
                pixels = np.asarray(Image.open(io.BytesIO(content)))
            except (OSError, SyntaxError):  # a broken chunk that has no part in the pixels
                continue
            assert pixels.shape == size
            assert set(pixels.ravel().tolist()) <= {0, 1, 2, 3, 255}
    return True


@pytest.mark.parametrize("change_maps", [False, True])
def test_mutated_files(change_maps):
    accepted = 0
    for seed in range(FILES // 2):
        rng = random.Random(seed)
        data = good_file(rng, change_maps)
        data = data if change_maps else mutated(rng, data)
        accepted += agrees_with_zipfile_and_pil(data, seed % 2 == 1)
    assert FILES // 2 * 0.01 < accepted < FILES // 2 * 0.6  # the mutations reach both answers


def test_good_files_are_accepted_and_scored():
    labels = []
    for seed in range(20):
        data = good_file(random.Random(seed))
        assert agrees_with_zipfile_and_pil(data, allow_missing=False)
        labels = read_labels(data)
        predictions, _ = check(data, INDEX)
        assert score(predictions, labels, INDEX, INDEX.classes.names).estimates["iou_class"].value == 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data):
    agrees_with_zipfile_and_pil(data, allow_missing=True)


NAMES = st.sampled_from(["1.png", "1.PNG", "22.png", "größe.png", "x.png", "a/1.png", ".png", "..", "1.zip"])
TEXT = st.characters(min_codepoint=1, exclude_categories=["Cs"])  # zipfile cannot write NUL
CONTENTS = st.one_of(st.binary(max_size=40), st.just(encode(np.zeros((3, 5), np.uint8))))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.one_of(NAMES, st.text(TEXT, min_size=1, max_size=4)), CONTENTS), max_size=5))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_entries(entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    agrees_with_zipfile_and_pil(stream.getvalue(), allow_missing=True)


def test_labels_of_mutated_files():
    read = 0
    for seed in range(FILES // 10):
        rng = random.Random(seed)
        try:
            read += len(read_labels(mutated(rng, good_file(rng, change_maps=True))).images)
        except BadInput as error:
            assert error.problems
    assert read
