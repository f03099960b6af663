import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from vipriors.priors.augment import (
    Flip,
    Rotate,
    Shear,
    Shift,
    Translate,
    flip,
    rotate,
    shear,
    shift,
    translate,
    warp,
)
from vipriors.problems import BadInput

MODES = {"nearest": InterpolationMode.NEAREST, "bilinear": InterpolationMode.BILINEAR}


def batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def source_positions(matrix: list[float], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each output pixel looks in the input, as (column, row) indices in float64."""
    a, b, c, d, e, f = matrix
    x = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    y = (torch.arange(height, dtype=torch.float64) - (height - 1) / 2)[:, None]
    return a * x + b * y + c + (width - 1) / 2, d * x + e * y + f + (height - 1) / 2


def clear_of_ties(matrix: list[float], height: int, width: int) -> Tensor:
    """False where the nearest pixel hangs on the last bits: halfway between two."""
    fractions = [position % 1 for position in source_positions(matrix, height, width)]
    return ((fractions[0] - 0.5).abs() > 1e-3) & ((fractions[1] - 0.5).abs() > 1e-3)


def assert_like(found: Tensor, expected: Tensor, sampling: str, matrix: list[float]) -> None:
    if sampling == "bilinear":
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        return
    clear = clear_of_ties(matrix, *found.shape[-2:])
    assert torch.equal(found[:, clear], expected[:, clear])


@pytest.mark.parametrize("channels", [1, 3, 13])
@pytest.mark.parametrize("vertical", [False, True])
def test_flip_mirrors_the_chosen_images(channels: int, vertical: bool) -> None:
    images = batch(6, channels, 5, 7)
    mask = torch.tensor([True, False, True, True, False, False])
    mirror = tv.vertical_flip if vertical else tv.horizontal_flip
    expected = torch.stack(
        [mirror(image) if chosen else image for image, chosen in zip(images, mask, strict=True)]
    )
    assert torch.equal(flip(images, mask, vertical), expected)


@settings(max_examples=60, deadline=None)
@given(
    offsets=st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=6),
    channels=st.sampled_from([1, 3, 13]),
    padding=st.sampled_from(["zeros", "reflect"]),
)
def test_shift_is_pad_and_crop(offsets: list[tuple[int, int]], channels: int, padding: str) -> None:
    images = batch(len(offsets), channels, 10, 12)
    dx, dy = torch.tensor(offsets).unbind(1)
    mode = "constant" if padding == "zeros" else "reflect"
    expected = torch.stack(
        [
            tv.crop(tv.pad(image, [9, 9], padding_mode=mode), top=9 - y, left=9 - x, height=10, width=12)
            for image, (x, y) in zip(images, offsets, strict=True)
        ]
    )
    assert torch.equal(shift(images, dx, dy, padding), expected)


def test_shift_by_the_whole_image_leaves_nothing() -> None:
    images = batch(4, 3, 5, 6) + 0.1
    far = torch.tensor([6, -6, 0, 1000])
    assert shift(images, far, torch.tensor([0, 0, 5, 0])).abs().sum() == 0
    assert torch.equal(shift(images, torch.zeros(4).long(), torch.zeros(4).long()), images)


def test_shift_cannot_reflect_beyond_the_image() -> None:
    with pytest.raises(BadInput) as error:
        shift(batch(1, 3, 5, 6), torch.tensor([2]), torch.tensor([-5]), "reflect")
    assert str(error.value) == "shift: offsets up to (2, 5); to reflect, expected less than (6, 5)"


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [(12, 12), (9, 14)])
@pytest.mark.parametrize("channels", [1, 3, 13])
def test_rotate_like_torchvision(sampling: str, size: tuple[int, int], channels: int) -> None:
    degrees = torch.tensor([0.0, 7.3, -31.0, 89.0, 133.7, -179.0, 200.1])
    images = batch(len(degrees), channels, *size)
    found = rotate(images, degrees, sampling)
    for image, result, angle in zip(images, found, degrees.tolist(), strict=True):
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        expected = tv.rotate(image, angle, MODES[sampling])
        assert_like(result, expected, sampling, [cos, -sin, 0, sin, cos, 0])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotate_by_quarter_turns_moves_whole_pixels(turns: int) -> None:
    images = batch(2, 3, 8, 8)
    expected = torch.rot90(images, turns, dims=(2, 3))
    degrees = torch.full((2,), 90.0 * turns)
    assert torch.equal(rotate(images, degrees, "nearest"), expected)
    torch.testing.assert_close(rotate(images, degrees, "bilinear"), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("about", ["centre", "corner"])
def test_shear_like_torchvision(sampling: str, about: str) -> None:
    x, y = torch.tensor([0.0, 0.31, -0.77, 0.0, 0.0, 0.43]), torch.tensor([0.0, 0.0, 0.0, 0.29, -0.61, -0.37])
    images = batch(len(x), 3, 11, 16)
    found = shear(images, x, y, sampling, about=about)
    for image, result, slope_x, slope_y in zip(images, found, x.tolist(), y.tolist(), strict=True):
        angles = [math.degrees(math.atan(slope)) for slope in (slope_x, slope_y)]
        centre = [0, 0] if about == "corner" else None
        expected = tv.affine(image, 0.0, [0, 0], 1.0, angles, MODES[sampling], center=centre)
        fixed = (-8.0, -5.5) if about == "corner" else (0.0, 0.0)
        m = [1 + slope_x * slope_y, slope_x, slope_y, 1.0]
        offset = (fixed[0] - m[0] * fixed[0] - m[1] * fixed[1], fixed[1] - m[2] * fixed[0] - m[3] * fixed[1])
        assert_like(result, expected, sampling, [m[0], m[1], offset[0], m[2], m[3], offset[1]])


@pytest.mark.parametrize("sampling", ["nearest", "bilinear"])
def test_translate_like_torchvision(sampling: str) -> None:
    dx, dy = torch.tensor([0.0, 3.0, -5.0, 40.0]), torch.tensor([0.0, -2.0, 4.0, 0.0])
    images = batch(4, 3, 9, 13)
    found = translate(images, dx, dy, sampling)
    for image, result, x, y in zip(images, found, dx.tolist(), dy.tolist(), strict=True):
        expected = tv.affine(image, 0.0, [int(x), int(y)], 1.0, [0.0, 0.0], MODES[sampling])
        torch.testing.assert_close(result, expected, atol=1e-5 if sampling == "bilinear" else 0, rtol=0)


@pytest.mark.parametrize("fill", [0.0, 0.4])
def test_bilinear_warp_blends_four_neighbours_and_fill_outside(fill: float) -> None:
    images = batch(3, 2, 4, 5)
    matrix = torch.tensor([[0.8, 0.3, 0.2, -0.4, 1.1, -0.6], [1, 0, 0.25, 0, 1, -3.5], [0.5, 0, 0, 0, 2, 0]])
    found = warp(images, matrix.view(3, 2, 3), "bilinear", fill)
    for image, result, numbers in zip(images, found, matrix.tolist(), strict=True):
        columns, rows = source_positions(numbers, 4, 5)
        for i in range(4):
            for j in range(5):
                x, y = columns[i, j].item(), rows[i, j].item()
                expected = torch.zeros(2)
                for row in (math.floor(y), math.floor(y) + 1):
                    for column in (math.floor(x), math.floor(x) + 1):
                        inside = 0 <= row < 4 and 0 <= column < 5
                        value = image[:, row, column] if inside else torch.full((2,), fill)
                        expected += value * (1 - abs(x - column)) * (1 - abs(y - row))
                torch.testing.assert_close(result[:, i, j], expected, atol=1e-5, rtol=0)


def test_nearest_warp_fills_like_torchvision() -> None:
    images = batch(2, 3, 9, 9)
    found = rotate(images, torch.tensor([33.0, -71.0]), "nearest", fill=0.3)
    for image, result, angle in zip(images, found, (33.0, -71.0), strict=True):
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        expected = tv.rotate(image, angle, InterpolationMode.NEAREST, fill=[0.3])
        assert_like(result, expected, "nearest", [cos, -sin, 0, sin, cos, 0])


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 1)])
def test_no_movement_is_the_identity(size: tuple[int, int]) -> None:
    images, none = batch(2, 3, *size), torch.zeros(2)
    for fill in (0.0, 0.7):
        assert torch.equal(rotate(images, none, fill=fill), images)
        assert torch.equal(shear(images, none, none, fill=fill, about="corner"), images)
        assert torch.equal(translate(images, none, none, fill=fill), images)
        torch.testing.assert_close(rotate(images, none, "bilinear", fill), images, atol=1e-6, rtol=0)


def test_flip_rate_is_p() -> None:
    images = torch.tensor([1.0, 0.0]).expand(10_000, 1, 1, 2)
    flipped = Flip(p=0.3)(images, torch.Generator().manual_seed(1))[:, 0, 0, 1].sum().item()
    # Four standard deviations of a binomial count.
    assert abs(flipped - 3000) < 4 * math.sqrt(10_000 * 0.3 * 0.7)


def test_shift_offsets_are_even_over_the_square() -> None:
    images = torch.zeros(5000, 1, 5, 5)
    images[:, :, 2, 2] = 1
    moved = Shift(max_pixels=2)(images, torch.Generator().manual_seed(2))
    counts = torch.bincount(moved.flatten(1).argmax(1), minlength=25).double()
    assert moved.sum() == 5000
    # Chi-square with 24 degrees of freedom: 51.2 is passed once in a thousand.
    assert ((counts - 200) ** 2 / 200).sum() < 51.2


def test_drawn_warps_stay_within_their_range() -> None:
    # A ramp shows the shift of the middle pixel: the value there is its source position.
    ramp = (torch.arange(101.0) / 100).expand(500, 1, 101, 101).contiguous()
    generator = torch.Generator().manual_seed(3)
    moved = (0.5 - Translate(max_fraction=0.1)(ramp, generator)[:, 0, 50, 50]) * 100
    assert 9.5 < moved.max() <= 10.1
    assert -10.1 <= moved.min() < -9.5
    # Ten pixels above the middle a turn or a slant by an angle shifts the ramp by its sine or tangent.
    turned = (Rotate(max_degrees=20)(ramp, generator)[:, 0, 40, 50] - 0.5) * 100
    slanted = (Shear(max_degrees=20)(ramp, generator)[:, 0, 40, 50] - 0.5) * 100
    for values, most in ((turned, math.sin(math.radians(20))), (slanted, math.tan(math.radians(20)))):
        assert 9.5 * most < values.max() < 10.01 * most
        assert -10.01 * most < values.min() < -9.5 * most


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Flip(p=1.5), "Flip: p is 1.5; expected 0 to 1"),
        (lambda: Shift(max_pixels=-1), "Shift: max_pixels is -1; expected 0 or more"),
        (lambda: Rotate(max_degrees=-1), "Rotate: max_degrees is -1; expected 0 or more"),
        (lambda: Shear(max_degrees=90), "Shear: max_degrees is 90; expected 0 to less than 90"),
        (lambda: Translate(max_fraction=2), "Translate: max_fraction is 2; expected 0 to 1"),
        (
            lambda: flip(torch.zeros(2, 3, 4, 4), torch.ones(3)),
            "augmentation parameter: shape (3,); expected one for each image, (2,)",
        ),
        (
            lambda: flip(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.ones(2)),
            "images: found torch.uint8 (2, 3, 4, 4); expected float (B, C, H, W)",
        ),
        (
            lambda: rotate(torch.zeros(3, 4, 4), torch.ones(3)),
            "images: found torch.float32 (3, 4, 4); expected float (B, C, H, W)",
        ),
    ],
)
def test_bad_input_is_named(build, message: str) -> None:
    with pytest.raises(BadInput) as error:
        build()
    assert str(error.value) == message
