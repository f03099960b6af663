import math

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from vipriors.priors.augment import rotate
from vipriors.priors.augment.affine import TurnAndScale, turn_and_scale
from vipriors.problems import BadInput


@pytest.mark.parametrize("channels", [1, 3, 13])
@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
def test_equals_torchvision_s_affine(channels: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, channels, *size, generator=generator)
    degrees = torch.empty(6).uniform_(-40, 40, generator=generator)
    scale = torch.empty(6).uniform_(0.7, 1.4, generator=generator)
    ours = turn_and_scale(images, degrees, scale)
    for k in range(6):
        # torchvision turns clockwise and its bilinear border fades where ours does too (fill 0).
        theirs = reference.affine(
            images[k],
            angle=-degrees[k].item(),
            translate=[0, 0],
            scale=scale[k].item(),
            shear=[0.0, 0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        inner = torch.ones(1, 1, *size)
        whole = turn_and_scale(inner, degrees[k : k + 1], scale[k : k + 1])[0] > 0.999
        torch.testing.assert_close(ours[k] * whole, theirs * whole, atol=2e-4, rtol=0)


def test_no_change_is_no_change() -> None:
    images = torch.rand(3, 2, 8, 8)
    torch.testing.assert_close(turn_and_scale(images, torch.zeros(3), torch.ones(3)), images)


def test_scale_one_is_a_rotation() -> None:
    images, degrees = torch.rand(3, 2, 8, 8), torch.tensor([5.0, -90.0, 33.0])
    both = turn_and_scale(images, degrees, torch.ones(3)), rotate(images, degrees, "bilinear")
    torch.testing.assert_close(*both)


def test_growing_by_two_shows_the_centre() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[..., 2:6, 2:6] = 1
    assert turn_and_scale(images, torch.zeros(1), torch.tensor([2.0]), "nearest").min() == 1


def test_draws_stay_within_their_limits_and_shrink_as_often_as_they_grow() -> None:
    images = torch.zeros(4000, 1, 33, 33)
    images[..., 4:29, 4:29] = 1
    changed = TurnAndScale(0.0, 0.2)(images, torch.Generator().manual_seed(0))
    factor = (changed.sum((1, 2, 3)) / 25**2).sqrt()
    assert 1 / 1.2 - 0.01 < factor.min() < 0.86
    assert 1.17 < factor.max() < 1.2 + 0.01
    assert abs(factor.log().mean().item()) < 0.01
    assert abs(factor.log().std().item() - 2 * math.log(1.2) / math.sqrt(12)) < 0.01


@pytest.mark.parametrize(("degrees", "scale"), [(-1.0, 0.1), (10.0, 1.0), (10.0, -0.1)])
def test_limits_out_of_range_are_refused(degrees: float, scale: float) -> None:
    with pytest.raises(BadInput, match="expected 0"):
        TurnAndScale(degrees, scale)
