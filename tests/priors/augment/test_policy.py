import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from vipriors.priors.augment import RandAugment, TrivialAugment
from vipriors.priors.augment.policy import OPERATIONS, SIGNED, apply_operations
from vipriors.problems import BadInput

NAMES = list(OPERATIONS)
TRIVIAL, RAND = v2.TrivialAugmentWide(), v2.RandAugment()


def reference(image: Tensor, name: str, magnitude: float) -> Tensor:
    """torchvision's operation; on 8 bits where it is defined there."""
    eight_bits = name in ("Posterize", "Equalize")
    given = (image * 255).round().to(torch.uint8) if eight_bits else image
    result = TRIVIAL._apply_image_or_video_transform(given, name, magnitude, InterpolationMode.NEAREST, {})
    return result / 255 if eight_bits else result


def levels(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), generator=generator) / 255


def ties(name: str, magnitude: float, height: int, width: int) -> Tensor:
    """True where nearest sampling hangs on the last bits: a source position halfway between two pixels."""
    x = torch.arange(width, dtype=torch.float64).expand(height, width)
    y = torch.arange(height, dtype=torch.float64)[:, None].expand(height, width)
    if name == "ShearX":
        x, y = x + magnitude * (y + 0.5), y
    elif name == "ShearY":
        x, y = x, y + magnitude * (x + 0.5)
    elif name == "Rotate":
        u, v = x - (width - 1) / 2, y - (height - 1) / 2
        cos, sin = math.cos(math.radians(magnitude)), math.sin(math.radians(magnitude))
        x, y = cos * u - sin * v + (width - 1) / 2, sin * u + cos * v + (height - 1) / 2
    return ((x % 1 - 0.5).abs() < 1e-3) | ((y % 1 - 0.5).abs() < 1e-3)


@pytest.mark.parametrize("policy", [TRIVIAL, RAND], ids=["trivial", "rand"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "height", "width"), [(3, 24, 24), (1, 15, 23)])
def test_each_operation_like_torchvision_at_every_magnitude(policy, name, channels, height, width) -> None:
    steps, signed = policy._AUGMENTATION_SPACE[name]
    assert signed == (NAMES.index(name) < SIGNED and name != "Identity")
    steps = steps(31, height, width)
    magnitudes = torch.zeros(1) if steps is None else steps.float()
    magnitudes = torch.cat((magnitudes, -magnitudes)) if signed else magnitudes
    images = levels(len(magnitudes), channels, height, width)
    found = apply_operations(images, torch.full((len(images),), NAMES.index(name)), magnitudes)
    compared = 0
    for image, result, magnitude in zip(images, found, magnitudes.tolist(), strict=True):
        clear = ~ties(name, magnitude, height, width)
        compared += int(clear.sum())
        expected = reference(image, name, magnitude)
        torch.testing.assert_close(result[:, clear], expected[:, clear], atol=1e-5, rtol=0)
    assert compared > 0.95 * len(images) * height * width


def record(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    drawn: list[tuple[Tensor, Tensor]] = []

    def note(images: Tensor, operation: Tensor, magnitude: Tensor) -> Tensor:
        drawn.append((operation, magnitude))
        return apply_operations(images, operation, magnitude)

    monkeypatch.setattr("vipriors.priors.augment.policy.apply_operations", note)
    return drawn


def space(policy, index: int, height: int, width: int) -> Tensor:
    """All magnitudes that torchvision would use for an operation, with their signs."""
    steps, signed = policy._AUGMENTATION_SPACE[NAMES[index]]
    steps = steps(31, height, width)
    steps = torch.zeros(31) if steps is None else steps.float()
    return torch.cat((steps, -steps)) if signed else steps


def test_trivial_augment_draws_operation_magnitude_and_sign_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = record(monkeypatch)
    TrivialAugment()(torch.rand(14_000, 1, 3, 4), torch.Generator().manual_seed(0))
    ((operation, magnitude),) = drawn
    counts = torch.bincount(operation, minlength=14).double()
    # Chi-square with 13 degrees of freedom: 34.5 is passed once in a thousand.
    assert ((counts - 1000) ** 2 / 1000).sum() < 34.5
    for index, name in enumerate(NAMES):
        values, allowed = magnitude[operation == index], space(TRIVIAL, index, 3, 4)
        assert set(values.tolist()) == set(allowed.tolist()), name
    shear = magnitude[operation == NAMES.index("ShearX")]
    counts = torch.histc(shear.abs(), bins=31, min=-0.0165, max=1.0065).double()
    # 30 degrees of freedom: 59.7 once in a thousand.
    assert ((counts - len(shear) / 31) ** 2 / (len(shear) / 31)).sum() < 59.7
    signs = magnitude[(operation > 0) & (operation < SIGNED) & (magnitude != 0)] < 0
    assert abs(signs.double().mean() - 0.5) < 4 * 0.5 / len(signs) ** 0.5


@pytest.mark.parametrize(("n", "m"), [(1, 9), (2, 30), (3, 0)])
def test_rand_augment_applies_n_operations_at_magnitude_m(
    monkeypatch: pytest.MonkeyPatch, n: int, m: int
) -> None:
    drawn = record(monkeypatch)
    images = levels(600, 3, 10, 14)
    found = RandAugment(n=n, m=m)(images, torch.Generator().manual_seed(0))
    assert len(drawn) == n
    for operation, magnitude in drawn:
        for index in range(14):
            allowed = space(RAND, index, 10, 14)
            assert set(magnitude[operation == index].tolist()) == {
                v for i, v in enumerate(allowed.tolist()) if i % 31 == m
            }
        images = apply_operations(images, operation, magnitude)
    assert torch.equal(found, images)


def test_no_operations_change_nothing() -> None:
    images = levels(5, 3, 8, 8)
    assert torch.equal(RandAugment(n=0)(images, torch.Generator()), images)


def test_groups_do_not_mix_images() -> None:
    images = levels(140, 3, 12, 12)
    operation = torch.arange(140) % 14
    magnitude = torch.full((140,), 0.5)
    together = apply_operations(images, operation, magnitude)
    for i in range(140):
        alone = apply_operations(images[i : i + 1], operation[i : i + 1], magnitude[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=0)


def test_bad_settings_are_all_named() -> None:
    with pytest.raises(BadInput) as error:
        RandAugment(n=-1, m=31)
    assert (
        str(error.value) == "RandAugment: n is -1; expected 0 or more\nRandAugment: m is 31; expected 0 to 30"
    )
    with pytest.raises(BadInput) as error:
        TrivialAugment(bins=1)
    assert str(error.value) == "TrivialAugment: bins is 1; expected 2 or more"
