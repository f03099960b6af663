"""What the composed worlds share: handwriting, its division, how it is drawn; strokes, colours, places."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from vipriors.worlds import _compose, _digits
from vipriors.worlds._digits import OPAQUE, SIDE, draw, handwriting, pool, random_of


def middle_of(alpha: np.ndarray) -> tuple[float, float]:
    """Row and column of the centre of mass, from the middle of the array."""
    places = np.arange(len(alpha)) - (len(alpha) - 1) / 2
    return (
        float((alpha.sum(1) * places).sum() / alpha.sum()),
        float((alpha.sum(0) * places).sum() / alpha.sum()),
    )


def test_interpolation_is_the_bicubic_one_of_pillow() -> None:
    inks, classes = handwriting()
    original = load_digits()
    assert inks.shape == (1797, SIDE, SIDE) and classes.tolist() == original.target.tolist()
    for digit in (0, 5, 900, 1796):
        grey = np.pad(np.rint(original.images[digit] * 255 / 16), 3).astype(np.float32)
        expected = np.asarray(Image.fromarray(grey).resize((56, 56), Image.Resampling.BICUBIC))[8:-8, 8:-8]
        assert np.abs(inks[digit] - expected.clip(0, 255)).max() <= 1


def test_each_handwriting_is_in_one_part() -> None:
    training, test = ([digit for of_class in pool(test) for digit in of_class] for test in (False, True))
    assert sorted(training + test) == list(range(1797))
    assert len(training) == pytest.approx(0.65 * 1797, abs=10)
    for part in (False, True):
        for class_, members in enumerate(pool(part)):
            assert {int(handwriting()[1][member]) for member in members} == {class_}
    pictures = load_digits().data
    assert not {pictures[k].tobytes() for k in training} & {pictures[k].tobytes() for k in test}


def test_a_digit_of_the_size_of_its_ink_is_its_ink_made_sharper() -> None:
    ink = handwriting()[0][7]
    alpha = draw(ink, 8 * _digits.FINE, threshold=100)
    margin = (len(alpha) - SIDE) // 2
    sharpness = max(np.ceil(OPAQUE / 2 * 16 / 100), round(8 * _digits.FINE * 16 / 12))
    expected = np.floor((ink - 100) * sharpness / 16 + OPAQUE / 2).clip(0, OPAQUE)
    # Half a pixel is an exact place between the pixels, where the number of pixels is odd.
    assert len(alpha) % 2 == 0
    assert alpha[margin:-margin, margin:-margin].tolist() == expected.tolist()
    assert alpha[:margin].max() == alpha[-margin:].max() == alpha[:, :margin].max() == 0


@pytest.mark.parametrize("size", [14, 20, 31, 48])
def test_size_is_the_height_of_eight_pixels(size: int) -> None:
    ink = np.zeros((SIDE, SIDE), np.int64)
    ink[4:36, 12:28] = 255  # all eight rows, and four columns
    alpha = draw(ink, size)
    rows, columns = np.flatnonzero((alpha > 128).any(1)), np.flatnonzero((alpha > 128).any(0))
    assert len(rows) == pytest.approx(size, abs=1.6) and len(columns) == pytest.approx(size / 2, abs=1.6)
    wide = np.flatnonzero((draw(ink, size, aspect=1.5) > 128).any(0))
    assert len(wide) == pytest.approx(size * 0.75, abs=1.6)


@given(
    digit=st.integers(0, 1796),
    size=st.floats(12, 48),
    turn=st.floats(-360, 360),
    shear=st.floats(-0.25, 0.25),
    aspect=st.floats(0.8, 1.2),
    threshold=st.integers(67, 140),
    nudge=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
)
@settings(max_examples=60, deadline=None)
def test_where_there_is_no_ink_there_is_no_cover(digit: int, **how: object) -> None:
    bare = draw(np.zeros((SIDE, SIDE), np.int64), **how)  # type: ignore[arg-type]
    alpha = draw(handwriting()[0][digit], **how)  # type: ignore[arg-type]
    assert bare.max() == 0
    assert alpha.min() == 0 and alpha.max() <= OPAQUE
    assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) == 0


def test_poses() -> None:
    ink = handwriting()[0][7]
    plain = draw(ink, 24)
    assert np.abs(draw(ink, 24, turn=90) - np.rot90(plain)).max() <= 8  # counter-clockwise
    assert np.array_equal(draw(ink, 24, nudge=(1, 0))[1:], plain[:-1])
    assert np.array_equal(draw(ink, 24, nudge=(0, 1))[:, 1:], plain[:, :-1])
    quarter = np.subtract(
        middle_of(draw(ink, 24, turn=30, nudge=(0.25, -0.5))), middle_of(draw(ink, 24, turn=30))
    )
    assert quarter == pytest.approx((0.25, -0.5), abs=0.05)
    assert draw(ink, 24, threshold=80).sum() > plain.sum() > draw(ink, 24, threshold=140).sum()


def test_shear_leans_to_the_right() -> None:
    ink = np.zeros((SIDE, SIDE), np.int64)
    ink[4:36, 18:22] = 255
    alpha = draw(ink, 32, shear=0.25)
    rows = np.flatnonzero(alpha.any(1))[3:-3]
    columns = [float((alpha[row] * np.arange(len(alpha))).sum() / alpha[row].sum()) for row in rows]
    assert np.diff(columns).mean() == pytest.approx(-0.25, abs=0.02)


def test_random_numbers_are_those_that_numpy_promises_to_keep() -> None:
    assert random_of("a key").randint(0, 1000, 4).tolist() == [983, 268, 618, 647]
    assert random_of("a key").uniform() != random_of("another").uniform()


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 255), min_size=1, max_size=3), st.integers(1, 150))
def test_colours_can_be_told_apart(seed: int, beneath: list[int], strength: int) -> None:
    colour = _compose.contrasting(np.random.RandomState(seed), np.array(beneath), strength)
    assert colour.min() >= 0 and colour.max() <= 255
    difference = np.abs(colour - beneath).max()
    assert strength * 3 // 4 <= difference <= strength


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 140), min_size=3, max_size=3), st.integers(70, 189))
def test_chalk_is_lighter_than_the_board(seed: int, beneath: list[int], strength: int) -> None:
    colour = _compose.lighter(np.random.RandomState(seed), np.array(beneath), strength)
    assert colour.max() <= 255
    differences = colour - beneath
    assert strength * 2 // 5 <= differences.min()
    assert min(115, strength) <= differences.max() <= strength


@given(st.integers(1, 30), st.tuples(st.integers(-60, 80), st.integers(-60, 80)))
def test_places_on_a_picture(n: int, middle: tuple[int, int]) -> None:
    alpha = np.arange(1, n * n + 1).reshape(n, n)
    box, part = _compose.box_of(alpha, middle, 40)
    laid = np.zeros((40, 40), np.int64)
    laid[box] = part
    expected = np.zeros((40, 40), np.int64)
    for i in range(n):
        for j in range(n):
            row, column = middle[0] - n // 2 + i, middle[1] - n // 2 + j
            if 0 <= row < 40 and 0 <= column < 40:
                expected[row, column] = alpha[i, j]
    assert laid.tolist() == expected.tolist()


def test_a_stroke_has_its_width_and_length() -> None:
    for seed in range(20):
        alpha = _compose.stroke(np.random.RandomState(seed), 200, (4, 5), (50, 51))
        if not max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()):
            assert alpha.sum() / OPAQUE == pytest.approx(4 * 50, rel=0.05)


def test_clouds_light_and_noise_stay_within_their_strength() -> None:
    for seed in range(10):
        random = np.random.RandomState(seed)
        clouds = _compose.clouds(random, 48, 3, 20)
        assert clouds.shape == (48, 48, 3) and -20 <= clouds.min() < clouds.max() <= 20
        assert np.abs(np.diff(clouds, axis=0)).max() <= 40 * 9 // 47 + 1  # smooth: at most eight cells
        grey = np.full((48, 48, 3), 120)
        assert np.abs(_compose.light(random, grey, 30) - 120).max() <= 72  # 30 % across and 30 % down
        noisy = _compose.noise(random, grey, 5).astype(int) - 120
        assert (noisy.min(), noisy.max()) == (-10, 10) and abs(noisy.mean()) < 0.2
