"""Reading, resizing and writing one image."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from vipriors.data.images import encode, encode_png, image_size, read_image, resize
from vipriors.problems import BadInput


def saved(image: Image.Image, format: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


RGB = noise(5, 7, 3)
GREY = noise(5, 7)


def problem(source, **options) -> str:
    with pytest.raises(BadInput) as caught:
        read_image(source, **options)
    assert len(caught.value.problems) == 1
    return str(caught.value)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "WEBP"])
def test_lossless_formats_give_the_pixels_back(format):
    options = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(read_image(saved(Image.fromarray(RGB), format, **options)), RGB)
    if format != "WEBP":
        assert np.array_equal(read_image(saved(Image.fromarray(GREY), format)), GREY[:, :, None])


def test_channels_convert_between_grey_and_colour():
    colour, grey = saved(Image.fromarray(RGB), "PNG"), saved(Image.fromarray(GREY), "PNG")
    luma = np.asarray(Image.fromarray(RGB).convert("L"))[:, :, None]
    assert np.array_equal(read_image(colour, channels=1), luma)
    exact = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(colour, channels=1)[:, :, 0] - exact).max() <= 1
    assert np.array_equal(read_image(grey, channels=3), np.stack([GREY] * 3, axis=2))
    assert problem(colour, channels=13, name="a.png") == "a.png: found 3 channels; expected 13"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG"])
def test_exif_orientation_is_applied(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(RGB), format, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_image(data), expected)
    assert read_image(data).shape == ((7, 5, 3) if orientation > 4 else (5, 7, 3))


def test_a_damaged_exif_block_does_not_cost_the_image():
    data = saved(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0not a tiff header at all")
    assert read_image(data).shape == (5, 7, 3)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_colour_spaces_become_rgb(mode):
    image = Image.fromarray(noise(8, 8, 3)).convert(mode)
    format = "TIFF" if mode == "CMYK" else "JPEG"
    with Image.open(io.BytesIO(saved(image, format))) as opened:
        expected = np.asarray(opened.convert("RGB"))
    assert np.array_equal(read_image(saved(image, format)), expected)


def test_palette_and_one_bit_images():
    palette = Image.fromarray(RGB).quantize(8)
    assert np.array_equal(read_image(saved(palette, "PNG")), np.asarray(palette.convert("RGB")))
    bits = GREY > 127
    assert np.array_equal(read_image(saved(Image.fromarray(bits), "PNG")), bits[:, :, None] * np.uint8(255))


def test_transparent_pixels_show_white():
    rgba = np.dstack([RGB, noise(5, 7)])
    alpha = rgba[:, :, 3:] / 255
    expected = rgba[:, :, :3] * alpha + 255 * (1 - alpha)
    assert np.abs(read_image(saved(Image.fromarray(rgba), "PNG")) - expected).max() <= 1
    ink = np.zeros((4, 4, 2), np.uint8)
    ink[1, 1, 1] = 255  # One opaque black pixel on a transparent black ground.
    read = read_image(saved(Image.fromarray(ink, "LA"), "PNG"))
    assert read.shape == (4, 4, 1)
    assert read[1, 1, 0] == 0 and read.sum() == 15 * 255
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 7, 7, 7])
    assert read_image(saved(palette, "PNG", transparency=0)).tolist() == [[[255] * 3, [7] * 3]]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_not_clipped(format):
    values = np.array([[0, 128, 129, 255, 256, 257, 32768, 65406, 65407, 65535]], np.uint16)
    expected = np.array([round(v / 257) for v in values[0].tolist()])
    read = read_image(saved(Image.fromarray(values), format))
    assert read.dtype == np.uint8 and read[0, :, 0].tolist() == expected.tolist()


def test_float_and_32_bit_images_are_refused():
    assert "32-bit pixels (mode F)" in problem(saved(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"))
    assert "32-bit pixels (mode I)" in problem(saved(Image.fromarray(np.ones((2, 2), np.int32)), "TIFF"))


def test_npy_holds_any_number_of_channels():
    bands = noise(4, 6, 13, dtype=np.uint16)
    assert np.array_equal(read_image(npy(bands)), np.rint(bands / 257))
    assert np.array_equal(read_image(npy(bands.astype(">u2"))), np.rint(bands / 257))
    assert np.array_equal(read_image(npy(GREY)), GREY[:, :, None])
    assert "found 13 channels; expected 3" in problem(npy(bands), channels=3)


@pytest.mark.parametrize(
    "array", [np.ones((2, 2)), np.ones(4, np.uint8), np.ones((0, 3), np.uint8), np.array([[{}]], object)]
)
def test_npy_of_anything_else_is_refused(array):
    assert f"found {array.dtype} of shape {array.shape}" in problem(npy(array))


def test_what_is_no_image_is_named(tmp_path):
    missing, empty, page = tmp_path / "no.png", tmp_path / "empty.png", tmp_path / "page.jpg"
    empty.touch()
    page.write_bytes(b"<html>404 not found</html>")
    formats = "expected an image (PNG, JPEG, TIFF, BMP, GIF, WEBP, PPM or npy)"
    assert problem(missing) == f"{missing}: cannot be read: No such file or directory"
    assert problem(empty) == f"{empty}: found an empty file (0 bytes); {formats}"
    assert problem(page) == f"{page}: not an image: starts with b'<html>404 not fo'; {formats}"
    assert problem(tmp_path).endswith("cannot be read: Is a directory")
    assert "not an image" in problem(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
def test_truncated_images_are_refused(format):
    data = saved(Image.fromarray(noise(64, 64, 3)), format)
    assert "a.img" in problem(data[: len(data) * 2 // 3], name="a.img")
    assert "damaged image" in problem(npy(RGB)[:-1])


@pytest.mark.filterwarnings("ignore:Image size")
def test_large_images_are_refused_from_the_header():
    def header(width: int, height: int) -> bytes:
        data = bytearray(encode_png(np.zeros((1, 1), np.uint8)))
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        return bytes(data)

    found = "10001 x 10000 = 100010000 pixels is too large to decode; expected at most 100000000"
    assert found in problem(header(10_001, 10_000))
    assert "900000000 pixels" in problem(header(30_000, 30_000))
    small = encode_png(np.zeros((3, 4), np.uint8))
    assert "4 x 3 = 12 pixels is too large to decode; expected at most 11" in problem(small, max_pixels=11)
    assert read_image(small, max_pixels=12).shape == (3, 4, 1)
    claims = npy(np.zeros((1, 1), np.uint8)).replace(b"(1, 1), }      ", b"(99999, 99999), }")
    assert "too large to decode" in problem(claims)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_never_raise_anything_but_bad_input(data):
    makers = [saved(Image.fromarray(RGB), f) for f in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM")]
    content = bytearray(data.draw(st.sampled_from([*makers, npy(RGB)])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 200)))] = data.draw(st.integers(0, 255))
    try:
        pixels = read_image(bytes(content), max_pixels=10_000)
    except BadInput:
        return
    assert pixels.dtype == np.uint8 and pixels.ndim == 3


shapes = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3])),
)


@settings(deadline=None)
@given(hnp.arrays(np.uint8, shapes))
def test_png_reads_back_equal(pixels):
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        image.load()
        assert np.array_equal(np.asarray(image), pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)


def test_png_bytes_are_fixed():
    """Written out by hand from the PNG and deflate specifications."""
    head = bytes.fromhex("49484452 00000002 00000001 0800000000")
    body = bytes.fromhex("49444154 7801 01 0300 fcff 00 07 ff") + zlib.adler32(b"\0\x07\xff").to_bytes(
        4, "big"
    )
    expected = bytes.fromhex("89504e470d0a1a0a 0000000d") + head + zlib.crc32(head).to_bytes(4, "big")
    expected += bytes.fromhex("0000000e") + body + zlib.crc32(body).to_bytes(4, "big")
    expected += bytes.fromhex("00000000 49454e44 ae426082")
    assert encode_png(np.array([[7, 255]], np.uint8)) == expected


def test_png_of_more_than_one_block():
    pixels = noise(300, 300, 3)
    assert np.array_equal(read_image(encode_png(pixels)), pixels)
    exact = np.zeros((1, 65534), np.uint8)  # One block, filled to the last byte.
    assert np.array_equal(read_image(encode_png(exact))[:, :, 0], exact)


def test_other_channels_are_kept_as_npy():
    for pixels in (noise(3, 4, 13), noise(3, 4, 2, dtype=np.uint16), noise(3, 4, dtype=np.uint16)):
        suffix, data = encode(pixels)
        assert suffix == ".npy" and len(data) == 128 + pixels.nbytes
        assert np.array_equal(np.load(io.BytesIO(data), allow_pickle=False), pixels)
        assert encode(np.asfortranarray(pixels)) == (suffix, data)
    assert encode(RGB)[0] == encode(GREY)[0] == ".png"


def test_resize_covers_and_crops_the_centre():
    image = noise(40, 90, 3)
    assert resize(image, (40, 90)) is image
    expected = ImageOps.fit(Image.fromarray(image), (16, 20), Image.Resampling.BILINEAR)
    assert np.abs(resize(image, (20, 16)).astype(int) - np.asarray(expected)).max() <= 1
    bars = np.zeros((10, 30, 1), np.uint8)
    bars[:, 10:20] = 255
    assert (resize(bars, (10, 10)) == 255).all()  # Just the middle third, with no bleeding from its sides.


def test_resize_averages_when_it_shrinks():
    checks = np.indices((64, 64)).sum(axis=0, dtype=np.uint8)[:, :, None] % 2 * np.uint8(200)
    assert np.abs(resize(checks, (8, 8)).astype(int) - 100).max() <= 1


@settings(deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from([1, 2, 3, 5]),
)
def test_resize_keeps_flat_images_flat_at_any_size(height, width, to_height, to_width, channels):
    flat = np.broadcast_to(np.arange(channels, dtype=np.uint8) * 40 + 17, (height, width, channels))
    resized = resize(flat, (to_height, to_width))
    assert resized.shape == (to_height, to_width, channels)
    assert (resized == flat[0, 0]).all()


def test_channels_are_resized_alike_whatever_their_number():
    image = noise(21, 33, 3)
    five = np.concatenate([image, image[:, :, :2]], axis=2)
    assert np.array_equal(resize(five, (10, 8))[:, :, :3], resize(image, (10, 8)))
    assert np.array_equal(resize(image[:, :, :1], (10, 8)), resize(image, (10, 8))[:, :, :1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_the_size_in_the_header_is_the_size_of_what_is_read(tmp_path, orientation, suffix):
    file = tmp_path / f"turned.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (7, 4)).save(file, exif=exif)
    assert image_size(file) == read_image(file).shape[:2] == ((4, 7) if orientation < 5 else (7, 4))


def test_the_size_of_an_array_file(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros((5, 9, 3), np.uint8))
    assert image_size(tmp_path / "array.npy") == (5, 9)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY\x09\x09"])
def test_no_size_of_what_is_no_image(content):
    with pytest.raises(BadInput, match=r"^picture: "):
        image_size(content, name="picture")
