"""OLÉ against NumPy's singular values, and its subgradient as published."""

import numpy as np
import pytest
import torch

from vipriors.priors.losses.ole import nuclear_norm, orthogonal_low_rank


def published(x: np.ndarray, labels: np.ndarray, least: float) -> tuple[float, np.ndarray]:
    """Value and subgradient, matrix by matrix."""

    def norm(matrix):
        u, values, v = np.linalg.svd(matrix, full_matrices=False)
        kept = values > 1e-6
        return values.sum(), u[:, kept] @ v[kept]

    value, gradient = norm(x)
    value, gradient = -value, -gradient
    for label in np.unique(labels):
        of_class, subgradient = norm(x[labels == label])
        if of_class > least:
            value += of_class
            gradient[labels == label] += subgradient
        else:
            value += least
    return value / len(x), gradient / len(x)


@pytest.mark.parametrize("least", [1.0, 5.0])
@pytest.mark.parametrize("rank", [2, 6])
def test_value_and_subgradient(rank, least):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(9, rank)) @ rng.normal(size=(rank, 6))).astype(np.float32)
    labels = np.array([0, 2, 2, 0, 2, 3, 0, 2, 2])
    features = torch.from_numpy(x).requires_grad_()
    found = orthogonal_low_rank(features, torch.from_numpy(labels), least)
    (gradient,) = torch.autograd.grad(found, features)
    # In float32 a vanishing singular value is not under the threshold: the oracle is told the rank instead.
    exact = x.astype(np.float64)
    if rank == 6:
        expected, subgradient = published(exact, labels, least)
        np.testing.assert_allclose(gradient.numpy(), subgradient, atol=1e-4)
    else:
        expected, _ = published(exact, labels, least)
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_the_gradient_in_double_precision_against_differences():
    torch.manual_seed(0)
    matrix = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nuclear_norm, matrix)


def test_vanishing_singular_values_are_left_out():
    x = torch.zeros(3, 4, dtype=torch.float64)
    x[0, 1], x[2, 3] = 2.0, 1e-9
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(nuclear_norm(x), x)
    expected = torch.zeros(3, 4, dtype=torch.float64)
    expected[0, 1] = 1
    torch.testing.assert_close(gradient, expected)
    (nothing,) = torch.autograd.grad(nuclear_norm(x * 0), x)
    assert not nothing.any()


def test_orthogonal_classes_cost_nothing_and_others_do():
    labels = torch.tensor([0, 0, 1, 1])
    orthogonal = torch.tensor([[3.0, 0, 0], [2, 0, 0], [0, 1, 2], [0, 4, 8]])
    assert orthogonal_low_rank(orthogonal, labels).item() == pytest.approx(0, abs=1e-6)
    assert orthogonal_low_rank(orthogonal[[0, 2, 1, 3]], labels) > 0.1


def test_of_soft_targets_the_likeliest_class_counts():
    torch.manual_seed(0)
    features, labels = torch.randn(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    soft = torch.eye(3)[labels] * 0.7 + 0.1
    assert torch.equal(orthogonal_low_rank(features, soft), orthogonal_low_rank(features, labels))
