"""Contrast with a margin and distillation of features, element by element from the papers."""

import numpy as np
import pytest
import torch
from scipy.stats import truncnorm
from torch.nn import functional

from vipriors.priors.losses.feature_distillation import expected_negative, margin_relu_distance
from vipriors.priors.losses.info_nce import info_nce_loss


def unit(*shape):
    return functional.normalize(torch.randn(*shape, dtype=torch.float64), dim=1)


def test_a_margin_makes_it_harder():
    torch.manual_seed(0)
    queries, keys, negatives = unit(4, 6), unit(4, 6), unit(9, 6)
    assert info_nce_loss(queries, keys, negatives, 0.2, 0.4) > info_nce_loss(queries, keys, negatives, 0.2)


def test_the_expectation_of_what_is_negative():
    mean = torch.tensor([0.0, 0.5, -1.0, 2.0, -0.3])
    deviation = torch.tensor([1.0, 0.7, -2.0, 1.0, 0.01])
    for m, d, found in zip(mean, deviation, expected_negative(mean, deviation), strict=True):
        d = abs(float(d))
        oracle = truncnorm.mean(-np.inf, -float(m) / d, loc=float(m), scale=d)
        assert found.item() == pytest.approx(oracle, rel=1e-4)
    never = expected_negative(torch.tensor([5.0]), torch.tensor([0.5]))
    assert never.item() == pytest.approx(-1.5)
    assert torch.isfinite(expected_negative(torch.tensor([1.0, -1.0]), torch.zeros(2))).all()


def test_distance_by_the_published_cases():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 5, requires_grad=True), torch.randn(2, 3, 4, 5)
    least = torch.tensor([-0.5, -1.0, -0.1])
    total = 0
    for place in np.ndindex(2, 3, 4, 5):
        s, t, m = student[place], teacher[place], least[place[1]]
        if t > 0:
            total = total + (s - t) ** 2
        elif t > m:
            total = total + (s - t) ** 2 * (s > t)
        else:
            total = total + (s - m) ** 2 * (s > m)
    found = margin_relu_distance(student, teacher, least)
    torch.testing.assert_close(found, total / 120)
    torch.testing.assert_close(
        torch.autograd.grad(found, student, retain_graph=True)[0],
        torch.autograd.grad(total / 120, student)[0],
    )


def test_distance_is_nothing_for_the_same_and_for_what_both_silence():
    teacher, least = torch.randn(1, 2, 3, 3), torch.tensor([-10.0, -10.0])
    assert margin_relu_distance(teacher, teacher, least) == 0
    silent = torch.full((1, 2, 3, 3), -2.0)
    assert margin_relu_distance(silent, torch.full_like(silent, -5.0), torch.tensor([-1.0, -1.5])) == 0
