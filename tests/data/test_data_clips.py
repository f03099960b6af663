"""Reading clips: every format, frames picked while decoding, damage of all kinds."""

import io
import sys
import tracemalloc

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from replica_clips import FORMS, avi, moving, packets, repeated_frame, video

from vipriors.data import _video, clips
from vipriors.data.clips import check_clip, even_frames, read_clip
from vipriors.data.images import encode_npy, resize
from vipriors.data.loader import Form
from vipriors.problems import BadInput

PIXELS = moving(21)
VIDEOS = {form: video(PIXELS, form) for form in FORMS}
EXPECTED = "expected a video (AVI, MP4, WebM, Matroska) or an npy array (T, H, W, C)"


def plain(data: bytes) -> np.ndarray:
    """The frames as PyAV gives them when it is left to itself."""
    with av.open(io.BytesIO(data)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def picked(clip: np.ndarray, frames: int, size: tuple[int, int]) -> np.ndarray:
    """Decode all, then pick: the middles of `frames` equal parts, each resized."""
    middles = [int((k + 0.5) * len(clip) / frames) for k in range(frames)]
    return np.stack([resize(clip[k], size) for k in middles])


def problem(data, **options) -> str:
    """What is said of a clip, the same when it is read and when it is only checked."""
    said = []
    checked = {key: value for key, value in options.items() if key in ("channels", "name")}
    for read, given_options in (
        (read_clip, options),
        (read_clip, options | {"frames": 2}),
        (check_clip, checked),
    ):
        with pytest.raises(BadInput) as caught:
            read(data, **given_options)
        assert len(caught.value.problems) == 1
        said.append(str(caught.value))
    assert len(set(said)) == 1
    return said[0]


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_frames_of_plain_decoding(form, capfd):
    clip = read_clip(VIDEOS[form])
    assert clip.shape == (21, 24, 32, 3) and clip.dtype == np.uint8
    assert np.array_equal(clip, plain(VIDEOS[form]))
    # Lossy, but these frames in this order.
    in_order, backwards = (np.abs(clip.astype(int) - frames).mean() for frames in (PIXELS, PIXELS[::-1]))
    assert in_order < 0.6 * backwards
    check_clip(VIDEOS[form])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames", [1, 4, 20, 21, 22, 50])
def test_picking_is_decoding_all_and_then_picking(form, frames):
    expected = picked(plain(VIDEOS[form]), frames, (12, 20))
    assert np.array_equal(read_clip(VIDEOS[form], frames=frames, size=(12, 20)), expected)
    assert np.array_equal(Form((12, 20), 3, frames=frames).decode(VIDEOS[form], "a.avi"), expected)


@given(st.integers(1, 400), st.integers(1, 60))
def test_even_frames_are_in_order_and_spread(count, wanted):
    places = even_frames(count, wanted)
    assert len(places) == wanted and places[0] >= 0 and places[-1] < count
    steps = np.diff(places)
    assert not len(steps) or (steps.min() >= 0 and steps.max() - steps.min() <= 1)
    assert places[0] - (count - 1 - places[-1]) in (-1, 0, 1)


@pytest.mark.parametrize("every", [20, 4, 2])
def test_files_with_fewer_frames_than_packets(every):
    """A not coded frame shows nothing: how many frames there are is known at the end alone."""
    chunks = packets(video(moving(20)))
    for place in range(18, 0, -every):
        chunks.insert(place, repeated_frame(place))
    data = avi(chunks)
    everything = read_clip(data)
    assert np.array_equal(everything, plain(data))
    assert len(everything) == 20 and len(packets(data)) == 20 + -(-18 // every)
    for frames in (1, 3, 8, 16, 30):
        assert np.array_equal(read_clip(data, frames=frames), everything[even_frames(20, frames)])


def test_a_file_that_is_one_frame_short_is_decoded_once(monkeypatch):
    passes = []
    original = _video.open_video
    monkeypatch.setattr(_video, "open_video", lambda *given: passes.append(given) or original(*given))
    chunks = packets(video(moving(20)))
    read_clip(avi([*chunks[:9], repeated_frame(9), *chunks[9:]]), frames=8)
    assert len(passes) == 1


def test_no_more_memory_than_for_the_frames_that_are_picked(monkeypatch):
    pixels = moving(300, 240, 320)
    data = video(pixels)
    held = []
    original = clips._keep
    monkeypatch.setattr(clips, "_keep", lambda *given: held.append(original(*given)) or held[-1])
    tracemalloc.start()
    clip = read_clip(data, frames=8, size=(112, 112))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert clip.shape == (8, 112, 112, 3)
    assert peak < pixels.nbytes / 15  # of 69 MB; the frames themselves are 1.8 MB at full size
    ((frames, count),) = held  # Python does not see the memory of decoded frames.
    assert count == 300 and len(frames) <= 16


def test_files_are_read_by_their_content(tmp_path):
    file = tmp_path / "clip.npy"
    file.write_bytes(VIDEOS["h264"])
    assert np.array_equal(read_clip(file), plain(VIDEOS["h264"]))
    assert problem(tmp_path / "no.avi") == f"{tmp_path / 'no.avi'}: No such file or directory"


def test_grey():
    grey = np.repeat(moving(5)[..., :1], 3, axis=3)
    clip = read_clip(video(grey, "mjpeg"), channels=1)
    assert clip.shape == (5, 24, 32, 1)
    colour = read_clip(video(grey, "mjpeg"), channels=3)
    assert np.abs(clip.astype(int) - colour).max() <= 2  # black to white over the full range
    assert problem(VIDEOS["xvid"], channels=4) == "clip: is a video, which has 3 channels; expected 4"


def test_a_camera_that_was_turned():
    """Of the matrix (a b c d) of the track the picture is shown at (a x + c y, b x + d y)."""
    upright = VIDEOS["h264"]
    place = upright.index(b"tkhd") + 44
    unit, minus = (1 << 16).to_bytes(4), (2**32 - (1 << 16)).to_bytes(4)
    zero = bytes(4)
    assert upright[place : place + 20] == unit + 3 * zero + unit
    frames = plain(upright)
    for a, b, c, d, expected in (
        (zero, unit, minus, zero, np.rot90(frames, -1, (1, 2))),
        (minus, zero, zero, minus, frames[:, ::-1, ::-1]),
        (zero, minus, unit, zero, np.rot90(frames, 1, (1, 2))),
    ):
        turned = upright[:place] + a + b + zero + c + d + upright[place + 20 :]
        assert np.array_equal(read_clip(turned), expected)
        assert np.array_equal(read_clip(turned, frames=3), expected[even_frames(21, 3)])


def test_sound_is_left_aside():
    data = video(PIXELS, "h264", sound=True)
    assert np.array_equal(read_clip(data), read_clip(VIDEOS["h264"]))


def test_names_in_other_encodings_do_not_matter():
    data = VIDEOS["xvid"]
    place = data.index(b"ISFT") + 8
    data = data[:place] + b"\xc4\xff\xfe" + data[place + 3 :]
    assert np.array_equal(read_clip(data), read_clip(VIDEOS["xvid"]))


def test_a_box_with_a_long_length():
    """Of files over 4 GB; the encoder leaves room for it, an empty box of 8 bytes."""
    data = VIDEOS["h264"]
    place = data.index(b"\0\0\0\x08free")
    assert data[place + 12 : place + 16] == b"mdat"
    length = int.from_bytes(data[place + 8 : place + 12]) + 8
    longer = data[:place] + b"\0\0\0\1mdat" + length.to_bytes(8) + data[place + 16 :]
    assert np.array_equal(read_clip(longer), read_clip(data))
    assert problem(longer[:-1]) == f"clip: is cut short: {len(data) - 1} of {len(data)} bytes are there"


# damage


@given(st.sampled_from(sorted(FORMS)), st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None)
def test_what_is_cut_short_is_refused(form, share):
    data = VIDEOS[form]
    with pytest.raises(BadInput, match=r"clip: (is cut short|damaged video|not a clip|found an empty file)"):
        check_clip(data[: int(len(data) * share)])


@pytest.mark.parametrize("form", FORMS)
def test_one_byte_is_missing(form, capfd):
    data = VIDEOS[form]
    assert problem(data[:-1]) == f"clip: is cut short: {len(data) - 1} of {len(data)} bytes are there"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", ["h264-mkv", "webm"])
def test_a_stream_of_no_known_length(form):
    """What is written to a pipe says no length; it is read to its end."""
    data = VIDEOS[form]
    place = data.index(b"\x18\x53\x80\x67") + 4
    assert data[place] == 1
    assert np.array_equal(read_clip(data[:place] + b"\x01" + b"\xff" * 7 + data[place + 8 :]), plain(data))


@pytest.mark.parametrize("form", ["xvid", "mjpeg"])
def test_most_of_it_is_overwritten(form, capfd):
    start, end = VIDEOS[form].index(b"movi") + 4, VIDEOS[form].index(b"idx1")
    middle = start + (end - start) // 4
    data = VIDEOS[form][:middle] + bytes(end - middle) + VIDEOS[form][end:]
    said = problem(data, name="a/b.avi")
    assert said.startswith("a/b.avi: damaged video: ")
    assert said.endswith(" of 21 frames can be decoded undamaged")
    assert int(said.split()[3]) < 11
    assert capfd.readouterr() == ("", "")


def test_packets_that_do_not_decode_are_counted():
    noise = np.random.default_rng(0).bytes(200)
    chunks = packets(VIDEOS["mjpeg"])
    few = [chunk if k % 5 else noise for k, chunk in enumerate(chunks)]
    assert len(read_clip(avi(few, b"MJPG"))) == 16
    many = [chunk if k % 3 else noise for k, chunk in enumerate(chunks)]
    said = "clip: damaged video: 14 of 21 frames can be decoded undamaged"
    assert problem(avi(many, b"MJPG")) == said
    assert problem(avi([noise] * 9, b"MJPG")).endswith("0 of 9 frames can be decoded undamaged")


def test_frames_that_are_patched_up_are_shown_and_counted():
    chunks = packets(VIDEOS["xvid"])
    few = avi([chunk if k % 5 else chunk[: len(chunk) // 2] for k, chunk in enumerate(chunks)])
    assert np.array_equal(read_clip(few), plain(few)) and len(plain(few)) == 21
    many = avi([chunk if k % 3 else chunk[: len(chunk) // 2] for k, chunk in enumerate(chunks)])
    assert problem(many) == "clip: damaged video: 14 of 21 frames can be decoded undamaged"


def test_frames_that_are_not_stored():
    """A chunk of no bytes repeats the frame before it: old encoders store those up to half."""
    chunks = packets(VIDEOS["xvid"])
    half = [content for chunk in chunks for content in (chunk, b"")]
    assert np.array_equal(read_clip(avi(half)), plain(VIDEOS["xvid"]))
    said = "clip: damaged video: 21 of 43 frames can be decoded undamaged"
    assert problem(avi([*half, b""])) == said
    assert problem(avi([])).startswith("clip: damaged video: ")


def test_frames_of_different_sizes():
    chunks = packets(VIDEOS["mjpeg"])[:3] + packets(video(moving(3, 32, 40), "mjpeg"))
    with pytest.raises(BadInput, match="changes its size from 32 x 24 to 40 x 32 pixels at frame 3"):
        read_clip(avi(chunks, b"MJPG"))


def test_sound_alone():
    stream = io.BytesIO()
    with av.open(stream, "w", format="avi") as output:
        sound = output.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        output.mux(sound.encode(frame))
    assert problem(stream.getvalue()) == "clip: holds no video, but sound"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", f"found an empty file (0 bytes); {EXPECTED}"),
        (bytes(100), f"not a clip: starts with {bytes(16)!r}; {EXPECTED}"),
        (b"<html>Sign in</html>", f"not a clip: starts with b'<html>Sign in</h'; {EXPECTED}"),
        (b"ffconcat version 1.0\nfile /x", f"not a clip: starts with b'ffconcat version'; {EXPECTED}"),
        (b"#EXTM3U\n/etc/passwd\n", f"not a clip: starts with b'#EXTM3U\\n/etc/pas'; {EXPECTED}"),
        (b"RIFF\4\0\0\0AVI ", "damaged video: Invalid data found when processing input"),
        (b"RIFF\4\0\0\0WAVE", f"not a clip: starts with b'RIFF\\x04\\x00\\x00\\x00WAVE'; {EXPECTED}"),
    ],
)  # fmt: skip
def test_what_is_no_clip(data, said, capfd):
    assert problem(data, name="v.avi") == f"v.avi: {said}"
    assert capfd.readouterr() == ("", "")


def test_an_unknown_codec():
    said = problem(VIDEOS["xvid"].replace(b"XVID", b"Zz0q"))
    assert said.startswith("clip: has an unknown codec; expected one of mpeg1video, ")


def test_a_codec_that_is_not_on_the_list(monkeypatch):
    monkeypatch.setattr(_video, "_CODECS", ("h264",))
    assert problem(VIDEOS["xvid"]) == "clip: has codec mpeg4; expected one of h264"


def test_what_is_too_large_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(_video, "picture", None)  # Decoding a frame would fail.
    with monkeypatch.context() as patch:
        patch.setattr(_video, "MAX_FRAMES", 20)
        assert problem(VIDEOS["xvid"]) == "clip: has more than 20 frames; expected a short clip"
    with monkeypatch.context() as patch:
        patch.setattr(clips, "MAX_VALUES", 3 * 21 * 24 * 32 - 1)
        with pytest.raises(BadInput) as caught:
            read_clip(VIDEOS["xvid"])
        found = "has 21 frames of 32 x 24 pixels; expected at most 16127 pixels in all"
        assert str(caught.value) == f"clip: {found}"
        places = {*even_frames(21, 2).tolist(), *even_frames(20, 2).tolist()}
        patch.setattr(clips, "MAX_VALUES", 3 * len(places) * 24 * 32 - 1)
        with pytest.raises(BadInput) as caught:
            read_clip(VIDEOS["xvid"], frames=2)
        said = f"is too large for {len(places)} frames of 32 x 24 pixels to be held"
        assert str(caught.value) == f"clip: {said}"
    huge = VIDEOS["h264"]
    with monkeypatch.context() as patch:
        patch.setattr(_video, "MAX_PIXELS", 24 * 32 - 1)
        assert problem(huge).endswith("0 of 21 frames can be decoded undamaged")


def test_without_pyav(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    how = "video files are read with PyAV, which is not installed: pip install vipriors[video]"
    assert problem(VIDEOS["xvid"], name="a.avi") == f"a.avi: {how}"
    assert read_clip(encode_npy(PIXELS)).shape == PIXELS.shape


@given(st.sampled_from(sorted(FORMS)), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_give_a_clip_or_a_problem(form, data):
    content = bytearray(VIDEOS[form])
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 400))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        clip = read_clip(bytes(content), frames=3, size=(8, 8))
    except BadInput:
        return
    assert clip.shape == (3, 8, 8, 3) and clip.dtype == np.uint8


# arrays


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def test_arrays():
    for pixels in (PIXELS, PIXELS[..., :1], np.concatenate([PIXELS] * 2, axis=3)):
        assert np.array_equal(read_clip(encode_npy(pixels)), pixels)
        assert np.array_equal(read_clip(npy(pixels), frames=4, size=(8, 8)), picked(pixels, 4, (8, 8)))
        check_clip(npy(pixels), channels=pixels.shape[3])
    luma = [np.asarray(Image.fromarray(frame).convert("L"))[:, :, None] for frame in PIXELS]
    assert np.array_equal(read_clip(npy(PIXELS), channels=1), np.stack(luma))
    assert np.array_equal(read_clip(npy(PIXELS[..., :1]), channels=3), PIXELS[..., [0, 0, 0]])
    assert problem(npy(PIXELS), channels=4) == "clip: found 3 channels; expected 4"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npy(PIXELS)[:-1], "damaged clip: "),
        (npy(PIXELS)[:40], "damaged clip: "),
        (b"\x93NUMPY\x01\x00\xff", "damaged clip: "),
        (npy(PIXELS.astype(np.int16)), "found int16 of shape (21, 24, 32, 3); expected uint8 (T, H, W, C)"),
        (npy(PIXELS[0]), "found uint8 of shape (24, 32, 3); expected uint8 (T, H, W, C)"),
        (npy(PIXELS[:0]), "found uint8 of shape (0, 24, 32, 3); expected uint8 (T, H, W, C)"),
        (npy(np.array([{}])), "found object of shape (1,); expected uint8 (T, H, W, C)"),
        (npy(PIXELS).replace(b"(21, 24", b"(2100000000, 24"), "found uint8 of shape (2100000000, 24, 32, 3)"),
        (b"\x93NUMPY\x02\x00" + npy(PIXELS)[8:], "is an npy file of another version; expected 1.0"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_clip(data, said):
    assert problem(data, name="c.npy").startswith(f"c.npy: {said}")
