"""Cosine, t-vMF and positive-class losses, image by image from the formulas."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from vipriors.priors.losses import TVmfHead, cosine_loss, positive_class_loss, t_vmf_similarity

LABELS = torch.tensor([0, 3, 1, 1, 2])


def same_gradients(found, expected, wanted):
    torch.testing.assert_close(found, expected)
    for one, two in zip(
        torch.autograd.grad(found, wanted), torch.autograd.grad(expected, wanted), strict=True
    ):
        torch.testing.assert_close(one, two)


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return torch.randn(5, 4, requires_grad=True)


def test_cosine_loss(logits):
    expected = sum(1 - z[y] / (z @ z).sqrt() for z, y in zip(logits, LABELS, strict=True)) / 5
    same_gradients(cosine_loss(logits, LABELS), expected, [logits])


def test_cosine_loss_with_soft_targets(logits):
    soft = torch.rand(5, 4).softmax(1)
    expected = sum(1 - z @ t / z.norm() / t.norm() for z, t in zip(logits, soft, strict=True)) / 5
    same_gradients(cosine_loss(logits, soft), expected, [logits])
    smoothed = torch.eye(4)[LABELS] * 0.8 + 0.05
    torch.testing.assert_close(cosine_loss(logits, LABELS, 0.2), cosine_loss(logits, smoothed))


def test_cosine_loss_does_not_see_the_length_and_is_least_in_the_right_direction(logits):
    torch.testing.assert_close(cosine_loss(logits * 7, LABELS), cosine_loss(logits, LABELS))
    assert cosine_loss(torch.eye(4)[LABELS] * 3, LABELS).item() == 0
    assert cosine_loss(-torch.eye(4)[LABELS], LABELS).item() == 2


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_positive_class_loss(logits, smoothing):
    share = torch.eye(4)[LABELS] * (1 - smoothing) + smoothing / 4
    expected = (
        sum(share[i, k] * torch.log(1 + torch.exp(-logits[i, k])) for i in range(5) for k in range(4)) / 5
    )
    same_gradients(positive_class_loss(logits, LABELS, smoothing), expected, [logits])


def test_positive_class_loss_leaves_the_other_classes_alone(logits):
    (gradient,) = torch.autograd.grad(positive_class_loss(logits, LABELS), logits)
    others = functional.one_hot(LABELS, 4) == 0
    assert not gradient[others].any()
    assert (gradient[~others] < 0).all()
    extreme = positive_class_loss(torch.tensor([[-1000.0, 0.0]]), torch.tensor([0]))
    assert extreme.item() == 1000


@pytest.mark.parametrize("kappa", [-0.3, 0.0, 4.0, 16.0, 64.0])
def test_t_vmf_similarity(kappa):
    cosine = torch.linspace(-1, 1, 21, dtype=torch.float64, requires_grad=True)
    found = t_vmf_similarity(cosine, kappa)
    angle = np.arccos(cosine.detach().numpy())
    # The t-distribution's shape in the chord 2 sin(angle / 2), stretched to reach from -1 to 1.
    chord = 4 * np.sin(angle / 2) ** 2
    shape = (1 + kappa * chord / 2) ** -1
    least = 1 / (1 + 2 * kappa)
    expected = 2 * (shape - least) / (1 - least) - 1 if kappa else cosine.detach().numpy()
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)
    assert found[0].item() == -1
    assert found[-1].item() == 1
    assert (found.diff() > 0).all()
    assert torch.autograd.gradcheck(lambda c: t_vmf_similarity(c, kappa), cosine)


def test_the_head():
    torch.manual_seed(0)
    head, x = TVmfHead(6, 4, kappa=8), torch.randn(5, 6, requires_grad=True)
    torch.nn.init.constant_(head.scale, 0.7)
    cosine = torch.stack([torch.stack([f @ w / f.norm() / w.norm() for w in head.weight]) for f in x])
    expected = (1 + math.log(1 + math.exp(0.7))) * ((1 + cosine) / (1 + 8 * (1 - cosine)) - 1)
    wanted = [x, head.weight]
    same_gradients(head(x).square().sum(), expected.square().sum(), wanted)
    torch.testing.assert_close(head(x * 9), head(x))
