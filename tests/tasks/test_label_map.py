import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from vipriors.tasks.findings import Findings
from vipriors.tasks.label_map import count_values, decode, decode_instances, encode

MAP = np.array([[0, 1, 2, 3], [33, 255, 7, 0]], dtype=np.uint8)
EXPECTED = "expected an 8-bit grey or palette PNG of label ids"


def png_of(image, **options):
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def problems_of(data, size=None, decoder=decode):
    findings = Findings("file.zip")
    assert decoder(data, findings, "a.png", size) is None
    return [str(problem) for problem in findings.problems()]


def decoded(data, size=None, decoder=decode):
    findings = Findings("file.zip")
    pixels = decoder(data, findings, "a.png", size)
    assert findings.problems() == []
    return pixels


def palette_image(pixels, colours=256):
    image = Image.fromarray(pixels, "P")
    image.putpalette(bytes(np.random.default_rng(0).integers(0, 256, 3 * colours, dtype=np.uint8)))
    return image


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_round_trip(pixels):
    data = encode(pixels)
    assert data == encode(pixels.copy())
    found = decoded(data, pixels.shape)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize(("largest", "colours", "bits"), [(255, 256, 8), (15, 16, 4), (3, 4, 2), (1, 2, 1)])
def test_indices_of_a_palette_are_the_ids(largest, colours, bits):
    pixels = MAP % (largest + 1) if largest < 255 else MAP
    data = png_of(palette_image(pixels, colours))
    assert (data[24], data[25]) == (bits, 3)
    np.testing.assert_array_equal(decoded(data), pixels)


@pytest.mark.parametrize("mode", ["grey", "interlaced"])
def test_forms_of_grey(mode):
    if mode == "grey":
        data = png_of(Image.fromarray(MAP), compress_level=0)
    else:  # Adam7 of a single pixel: one pass
        raw = zlib.compress(b"\x00\x21")
        header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", raw) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decoded(data), MAP if mode == "grey" else [[33]])


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (Image.new("RGB", (4, 2)), "8-bit colour"),
        (Image.new("RGBA", (4, 2)), "8-bit colour with alpha"),
        (Image.new("LA", (4, 2)), "8-bit grey with alpha"),
        (Image.new("1", (4, 2)), "1-bit grey"),
        (Image.new("I;16", (4, 2)), "16-bit grey"),
    ],
)
def test_other_forms_are_named(image, found):
    assert problems_of(png_of(image)) == [f"file.zip, 'a.png': {found}; {EXPECTED}"]


def test_other_sizes_and_files():
    data = encode(MAP)
    assert problems_of(data, (4, 2)) == ["file.zip, 'a.png': 4 x 2 pixels; expected 2 x 4"]
    jpeg = io.BytesIO()
    Image.fromarray(MAP).save(jpeg, "JPEG")
    (problem,) = problems_of(jpeg.getvalue())
    assert problem.startswith("file.zip, 'a.png': not a PNG: starts with b'\\xff\\xd8\\xff")
    assert problems_of(b"") == [f"file.zip, 'a.png': not a PNG: starts with b''; {EXPECTED}"]
    (problem,) = problems_of(data[:-30])
    assert problem.startswith("file.zip, 'a.png': damaged: ")


def test_a_bomb_is_refused_by_its_header():
    header = struct.pack(">IIBBBBB", 65536, 65536, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert problems_of(data) == ["file.zip, 'a.png': 65536 x 65536 pixels; expected 1 to 67,108,864"]


def test_a_second_header_cannot_enlarge_the_image():
    data = encode(MAP)
    large = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
    np.testing.assert_array_equal(decoded(data[:33] + large + data[33:]), MAP)


def test_texts_are_not_unpacked():
    """In PIL one small image can unpack 64 MB of them."""
    data = encode(MAP)
    text = chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(2**20 + 1)))
    with pytest.raises(ValueError, match="too large"):
        Image.open(io.BytesIO(data[:33] + text + data[33:])).load()
    np.testing.assert_array_equal(decoded(data[:33] + text + data[33:]), MAP)


def test_a_flood_of_chunks_is_refused():
    data = encode(MAP)
    flood = data[:33] + chunk(b"teSt", b"") * 20_000 + data[33:]
    assert problems_of(flood) == [f"file.zip, 'a.png': more than 20,000 chunks; {EXPECTED}"]
    np.testing.assert_array_equal(decoded(data[:33] + chunk(b"teSt", b"") * 100 + data[33:]), MAP)


def test_instance_maps_have_8_or_16_bits():
    ids = np.array([[7, 24000, 65535]], dtype=np.uint16)
    found = decoded(png_of(Image.fromarray(ids)), decoder=decode_instances)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, ids)
    np.testing.assert_array_equal(decoded(encode(MAP), decoder=decode_instances), MAP)
    assert problems_of(png_of(Image.new("RGB", (1, 1))), decoder=decode_instances) == [
        "file.zip, 'a.png': 8-bit colour; expected a 16-bit grey PNG of instance ids"
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 30)), min_size=1), st.booleans())
def test_values_are_counted(runs, noise):
    values = np.repeat([value for value, _ in runs], 1 if noise else [length for _, length in runs])
    values = values.astype(np.uint16)
    np.testing.assert_array_equal(count_values(values, 301), np.bincount(values, minlength=301))
