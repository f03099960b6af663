from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from vipriors.priors.augment import (
    Autocontrast,
    ColourJitter,
    Equalize,
    Grayscale,
    Invert,
    Posterize,
    Sharpness,
    Solarize,
    colour,
    colour_jitter,
)
from vipriors.problems import BadInput

FACTORS = [0.0, 0.3, 1.0, 1.7, 2.9]


def pictures(count: int, channels: int, seed: int = 0) -> Tensor:
    """Noise of several contrasts, with greys, flat areas, pure black and pure white among it."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, channels, 9, 12, generator=generator)
    images *= torch.linspace(0.2, 1, count).view(-1, 1, 1, 1)
    images[:, :, 0] = images[:, :1, 0]
    images[:, :, 1, :4] = 0
    images[:, :, 1, 4:8] = 1
    images[:, :, 2, :] = 0.5
    images[:, 0, 3] = 1
    return images


def loop(operation: Callable[..., Tensor], images: Tensor, values: list[float]) -> Tensor:
    return torch.stack([operation(image, value) for image, value in zip(images, values, strict=True)])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "reference", "values"),
    [
        (colour.brightness, tv.adjust_brightness, FACTORS),
        (colour.contrast, tv.adjust_contrast, FACTORS),
        (colour.saturation, tv.adjust_saturation, FACTORS),
        (colour.sharpness, tv.adjust_sharpness, FACTORS),
        (colour.hue, tv.adjust_hue, [-0.5, -0.21, 0.0, 0.08, 0.34, 0.5]),
        (colour.solarize, tv.solarize, [0.0, 0.25, 0.5, 0.9, 1.0]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("seed", range(3))
def test_like_torchvision(ours, reference, values: list[float], channels: int, seed: int) -> None:
    images = pictures(len(values), channels, seed)
    torch.testing.assert_close(
        ours(images, torch.tensor(values)), loop(reference, images, values), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "reference"), [(colour.invert, tv.invert), (colour.autocontrast, tv.autocontrast)]
)
def test_like_torchvision_without_parameter(ours, reference, channels: int) -> None:
    images = pictures(4, channels)
    images[0, 0] = 0.3  # a flat channel
    images[1] = images[1] * 0.4 + 0.2
    expected = torch.stack([reference(image) for image in images])
    torch.testing.assert_close(ours(images), expected, atol=1e-5, rtol=0)


def test_grayscale_like_torchvision() -> None:
    images = pictures(4, 3)
    expected = torch.stack([tv.rgb_to_grayscale(image, num_output_channels=3) for image in images])
    torch.testing.assert_close(colour.grayscale(images), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 3, 13])
def test_posterize_like_torchvision_on_8_bits(channels: int) -> None:
    bits = torch.arange(9)
    values = torch.arange(256, dtype=torch.uint8).expand(9, channels, 256).view(9, channels, 16, 16)
    expected = torch.stack([tv.posterize(image, int(kept)) for image, kept in zip(values, bits, strict=True)])
    found = colour.posterize(values / 255, bits)
    torch.testing.assert_close(found, expected / 255, atol=1e-6, rtol=0)
    torch.testing.assert_close(found[8], values[8] / 255, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 3, 13])
@pytest.mark.parametrize("side", [3, 16, 40])
def test_equalize_like_torchvision_on_8_bits(channels: int, side: int) -> None:
    generator = torch.Generator().manual_seed(side)
    top = torch.tensor([256, 180, 30, 3, 2, 1]).view(-1, 1, 1, 1)
    noise = torch.rand(6, channels, side, side, generator=generator)
    values = (noise * noise * top).to(torch.uint8)
    found = colour.equalize(values / 255)
    torch.testing.assert_close(found, tv.equalize(values) / 255, atol=1e-6, rtol=0)
    if side == 40:
        assert not torch.equal(found[0], values[0] / 255)


def test_equalize_and_posterize_round_other_floats_down_like_torchvision() -> None:
    images = torch.rand(3, 3, 20, 20)
    torch.testing.assert_close(colour.equalize(images), tv.equalize(images), atol=1e-6, rtol=0)
    expected = tv.posterize(tv.to_dtype(images, torch.uint8, scale=True), 3) / 255
    torch.testing.assert_close(colour.posterize(images, torch.full((3,), 3)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 13])
def test_without_colour_there_is_no_hue_or_saturation(channels: int) -> None:
    images, values = torch.rand(3, channels, 4, 5), torch.tensor([0.1, 0.4, 0.0])
    for changed in (colour.hue(images, values), colour.saturation(images, values), colour.grayscale(images)):
        assert torch.equal(changed, images)


def test_many_channels_are_changed_one_by_one() -> None:
    images, values = pictures(5, 13), torch.tensor(FACTORS)
    for operation in (colour.brightness, colour.sharpness):
        alone = torch.cat([operation(images[:, i : i + 1], values) for i in range(13)], dim=1)
        assert torch.equal(operation(images, values), alone)
    for operation in (colour.autocontrast, colour.equalize, colour.invert):
        assert torch.equal(
            operation(images), torch.cat([operation(images[:, i : i + 1]) for i in range(13)], dim=1)
        )


def test_contrast_of_many_channels_turns_about_their_mean() -> None:
    images, values = pictures(5, 13), torch.tensor(FACTORS)
    mean, factor = images.mean((1, 2, 3), keepdim=True), values.view(-1, 1, 1, 1)
    torch.testing.assert_close(
        colour.contrast(images, values), (mean + factor * (images - mean)).clamp(0, 1), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("channels", [1, 3, 13])
def test_factor_one_is_the_identity(channels: int) -> None:
    images, one = pictures(4, channels), torch.ones(4)
    for operation in (colour.brightness, colour.contrast, colour.saturation, colour.sharpness):
        assert torch.equal(operation(images, one), images)
    torch.testing.assert_close(colour.hue(images, 0 * one), images, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(2, 9), (1, 1), (9, 2)])
def test_sharpness_leaves_tiny_images_alone(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    assert torch.equal(colour.sharpness(images, torch.tensor([0.0, 3.0])), images)


def test_jitter_takes_each_image_in_its_own_order() -> None:
    orders = torch.tensor(list(permutations(range(4))))
    generator = torch.Generator().manual_seed(0)
    factors = torch.rand(24, 4, generator=generator) * torch.tensor([2, 2, 2, 1]) - torch.tensor(
        [0, 0, 0, 0.5]
    )
    images = pictures(24, 3)
    operations = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    expected = []
    for image, order, values in zip(images, orders.tolist(), factors.tolist(), strict=True):
        for index in order:
            image = operations[index](image, values[index])
        expected.append(image)
    torch.testing.assert_close(
        colour_jitter(images, orders, factors), torch.stack(expected), atol=1e-5, rtol=0
    )


def test_colour_jitter_draws_every_order_and_the_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[Tensor, Tensor]] = []

    def record(images: Tensor, order: Tensor, factors: Tensor) -> Tensor:
        drawn.append((order, factors))
        return images

    monkeypatch.setattr("vipriors.priors.augment.jitter.colour_jitter", record)
    ColourJitter(0.2, 0.4, 1.5, 0.1)(torch.rand(12_000, 3, 1, 1), torch.Generator().manual_seed(0))
    order, factors = drawn[0]
    assert torch.equal(order.sort(1).values, torch.arange(4).expand(12_000, 4))
    counts = torch.bincount(order @ torch.tensor([64, 16, 4, 1]), minlength=256).double()
    counts = counts[counts > 0]
    assert len(counts) == 24
    # Chi-square with 23 degrees of freedom: 49.7 is passed once in a thousand.
    assert ((counts - 500) ** 2 / 500).sum() < 49.7
    for values, low, high in zip(factors.T, (0.8, 0.6, 0.0, -0.1), (1.2, 1.4, 2.5, 0.1), strict=True):
        share = (values - low) / (high - low)
        assert 0 <= share.min() < 0.001
        assert 0.999 < share.max() <= 1.00001
        assert abs(share.mean() - 0.5) < 4 * (1 / 12 / 12_000) ** 0.5


@pytest.mark.parametrize(
    ("augmentation", "operation"),
    [
        (Invert(0.3), colour.invert),
        (Grayscale(0.3), colour.grayscale),
        (Autocontrast(0.3), colour.autocontrast),
        (Equalize(0.3), colour.equalize),
    ],
)
def test_each_image_is_changed_or_not_at_the_rate_given(augmentation, operation) -> None:
    images = (
        torch.rand(2000, 3, 5, 60, generator=torch.Generator().manual_seed(7)) * 255 * 0.7
    ).floor() / 255
    found = augmentation(images, torch.Generator().manual_seed(1))
    changed = operation(images)
    is_changed, is_same = (found == changed).flatten(1).all(1), (found == images).flatten(1).all(1)
    assert (is_changed ^ is_same).all()
    assert abs(is_changed.sum().item() - 600) < 4 * (2000 * 0.3 * 0.7) ** 0.5


def test_drawn_parameters_cover_their_range() -> None:
    generator = torch.Generator().manual_seed(0)
    levels = torch.arange(256.0).view(1, 1, 16, 16).expand(300, 1, 16, 16) / 255
    kept = Posterize(bits=(2, 5))(levels, generator).flatten(1)
    assert {len(row.unique()) for row in kept} == {4, 8, 16, 32}
    inverted = (Solarize(threshold=(0.25, 0.75))(levels, generator) != levels).flatten(1).sum(1)
    assert 64 <= inverted.min() < 70
    assert 186 < inverted.max() <= 192
    point = torch.full((300, 1, 3, 3), 0.3)
    point[:, :, 1, 1] = 0.5
    # The blur of the middle is (8 * 0.3 + 5 * 0.5) / 13.
    blur = 4.9 / 13
    factor = (Sharpness(factor=(0.5, 2.0))(point, generator)[:, 0, 1, 1] - blur) / (0.5 - blur)
    assert 0.499 < factor.min() < 0.52
    assert 1.98 < factor.max() < 2.001


def test_bad_settings_are_all_named() -> None:
    with pytest.raises(BadInput) as error:
        ColourJitter(brightness=-1, hue=0.7)
    assert str(error.value) == (
        "ColourJitter: brightness is -1; expected 0 or more\nColourJitter: hue is 0.7; expected 0 to 0.5"
    )
    for build, message in (
        (lambda: Posterize((4, 9)), "Posterize: bits is (4, 9); expected (least, most) within 0 to 8"),
        (lambda: Invert(-0.1), "Invert: p is -0.1; expected 0 to 1"),
        (lambda: Sharpness((-1, 1)), "Sharpness: factor is (-1, 1); expected (least, most) within 0 to inf"),
    ):
        with pytest.raises(BadInput) as error:
            build()
        assert str(error.value) == message
    with pytest.raises(BadInput, match=r"images: found torch.uint8"):
        colour.equalize(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
