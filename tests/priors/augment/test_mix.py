import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from vipriors.priors.augment import CutMix, MixUp, cutmix, mixup, one_hot
from vipriors.priors.augment.mix import beta
from vipriors.problems import BadInput


def batch(count: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    labels = torch.randint(0, 5, (count,), generator=generator)
    return torch.rand(count, channels, 8, 10, generator=generator), one_hot(labels, 5)


def test_one_hot() -> None:
    assert one_hot(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("channels", [1, 3, 13])
def test_mixup_blends_image_by_image(channels: int) -> None:
    images, targets = batch(5, channels)
    partner, share = torch.tensor([3, 1, 4, 0, 2]), torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])
    mixed, soft = mixup(images, targets, partner, share)
    for i in range(5):
        keep, other = share[i], int(partner[i])
        torch.testing.assert_close(mixed[i], keep * images[i] + (1 - keep) * images[other], atol=1e-6, rtol=0)
        torch.testing.assert_close(
            soft[i], keep * targets[i] + (1 - keep) * targets[other], atol=1e-6, rtol=0
        )
    assert torch.equal(mixed[4], images[4])
    assert torch.equal(soft[4], targets[4])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.85])
def test_mixup_like_torchvision(share: float) -> None:
    images, targets = batch(6)
    reference = v2.MixUp(num_classes=5)
    reference.make_params = lambda _: {"lam": share}
    expected = reference(images, targets.argmax(1))
    found = mixup(images, targets, torch.arange(6).roll(1), torch.full((6,), share))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_like_torchvision(seed: int) -> None:
    images, targets = batch(6)
    reference = v2.CutMix(alpha=0.8, num_classes=5)
    torch.manual_seed(seed)
    drawn = reference.make_params([images])
    reference.make_params = lambda _: drawn
    expected = reference(images, targets.argmax(1))
    left, top, right, bottom = drawn["box"]
    box = [torch.full((6,), number) for number in (top, left, bottom - top, right - left)]
    for ours, theirs in zip(cutmix(images, targets, torch.arange(6).roll(1), *box), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_cutmix_boxes_for_each_image_are_cut_off_at_the_border() -> None:
    images, targets = batch(4)
    partner = torch.tensor([1, 2, 3, 0])
    boxes = [(0, 0, 8, 10), (-3, 4, 6, 99), (5, 5, 0, 3), (2, -1, 3, 4)]
    mixed, soft = cutmix(images, targets, partner, *torch.tensor(boxes).unbind(1))
    for i, (top, left, height, width) in enumerate(boxes):
        expected, pasted = images[i].clone(), 0
        for row in range(max(top, 0), min(top + height, 8)):
            for column in range(max(left, 0), min(left + width, 10)):
                expected[:, row, column] = images[partner[i], :, row, column]
                pasted += 1
        assert torch.equal(mixed[i], expected)
        share = 1 - pasted / 80
        torch.testing.assert_close(soft[i], share * targets[i] + (1 - share) * targets[partner[i]])


@pytest.mark.parametrize("mix", [MixUp(0.4), MixUp(0.4, per_image=True), CutMix(), CutMix(per_image=True)])
def test_targets_stay_distributions(mix: MixUp | CutMix) -> None:
    images, targets = batch(32)
    for seed in range(5):
        mixed, soft = mix(images, targets, torch.Generator().manual_seed(seed))
        assert mixed.shape == images.shape
        assert (soft >= 0).all()
        torch.testing.assert_close(soft.sum(1), torch.ones(32))


@pytest.mark.parametrize("mix", [MixUp, CutMix])
def test_one_share_for_the_batch_or_one_for_each_image(mix) -> None:
    # Every image its own class: the target shows the share that its image kept.
    images, targets = torch.rand(64, 1, 32, 32), torch.eye(64)
    moved = [
        soft.diagonal()[soft.diagonal() < 1]
        for each in (False, True)
        for _, soft in [mix(alpha=1.0, per_image=each)(images, targets, torch.Generator().manual_seed(1))]
    ]
    assert len(moved[0]) > 50
    assert len(moved[0].unique()) == 1
    assert len(moved[1].unique()) > 40


def test_cutmix_share_is_the_area_that_stayed() -> None:
    # Image i shows the number i everywhere, so that pasted pixels can be counted.
    images = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 1, 20, 30).contiguous()
    mixed, soft = CutMix(per_image=True)(images, torch.eye(64), torch.Generator().manual_seed(2))
    for i in range(64):
        counts = torch.bincount(mixed[i].flatten().long(), minlength=64)
        torch.testing.assert_close(soft[i], counts / 600, atol=1e-6, rtol=0)


def test_cutmix_boxes_follow_the_paper() -> None:
    # At alpha 1 the square of the box's relative side r is even over [0, 1]; cut off at the border, over all
    # centres, the side is r - r * r / 4 on average, independently in both directions.
    images = torch.rand(1, 1, 100, 100).expand(2000, 1, 100, 100)
    _, soft = CutMix(per_image=True)(images, torch.eye(2000), torch.Generator().manual_seed(0))
    square = np.linspace(0, 1, 100_001)
    expected = np.mean((np.sqrt(square) - square / 4) ** 2)
    assert 1 - soft.diagonal().mean().item() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 3.0])
def test_beta_has_the_moments_of_beta(alpha: float) -> None:
    draws = beta(40_000, alpha, torch.Generator().manual_seed(5))
    variance = 1 / (4 * (2 * alpha + 1))
    assert draws.min() >= 0
    assert draws.max() <= 1
    assert draws.mean().item() == pytest.approx(0.5, abs=4 * math.sqrt(variance / 40_000))
    assert draws.var().item() == pytest.approx(variance, rel=0.03)


def test_partners_are_a_permutation() -> None:
    images = torch.arange(16.0).view(16, 1, 1, 1)
    mixed, _ = MixUp()(images, torch.eye(16), torch.Generator().manual_seed(0))
    _, soft = MixUp()(images, torch.eye(16), torch.Generator().manual_seed(0))
    torch.testing.assert_close(soft.sum(0), torch.ones(16))
    torch.testing.assert_close(mixed.flatten(), soft @ torch.arange(16.0), atol=1e-5, rtol=0)


def test_bad_input_is_named() -> None:
    images, _ = batch(4)
    for build, message in (
        (lambda: MixUp(alpha=0), "MixUp: alpha is 0; expected more than 0"),
        (lambda: CutMix(alpha=-1), "CutMix: alpha is -1; expected more than 0"),
        (
            lambda: MixUp()(images, torch.tensor([0, 1, 2, 3]), torch.Generator()),
            "targets: found torch.int64 (4,); expected float (B, K)",
        ),
    ):
        with pytest.raises(BadInput) as error:
            build()
        assert str(error.value) == message
