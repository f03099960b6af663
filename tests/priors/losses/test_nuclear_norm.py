"""The nuclear norm of a batch's predictions and its rivals: numpy, closed forms, and which way they pull."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vipriors.priors.losses import (
    batch_frobenius_norm_loss,
    batch_nuclear_norm_loss,
    entropy_loss,
    fast_batch_nuclear_norm_loss,
    information_loss,
    predicted_classes,
)

ALL = (
    batch_nuclear_norm_loss,
    fast_batch_nuclear_norm_loss,
    batch_frobenius_norm_loss,
    entropy_loss,
    information_loss,
)


def predictions(rows: int, classes: int, sharpness: float = 2.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(rows, classes, generator=generator, dtype=torch.float64) * sharpness).softmax(1)


def sure(*counts: int, classes: int | None = None) -> Tensor:
    """One-hot rows, as many of each class as asked for."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return functional.one_hot(labels, classes or len(counts)).double()


def gradient(loss, matrix: Tensor) -> Tensor:
    matrix = matrix.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(matrix), matrix)
    return found


@pytest.mark.parametrize(("rows", "classes"), [(64, 10), (7, 12), (1, 3), (5, 5)])
def test_values_are_numpys(rows, classes):
    matrix = predictions(rows, classes)
    array = matrix.numpy()
    columns = np.sort(np.linalg.norm(array, axis=0))[::-1][: min(rows, classes)]
    entropy = -(array * np.log(array)).sum(1).mean() / np.log(classes)
    mean = array.mean(0)
    expected = {
        batch_nuclear_norm_loss: -np.linalg.norm(array, "nuc") / rows,
        fast_batch_nuclear_norm_loss: -columns.sum() / rows,
        batch_frobenius_norm_loss: -np.linalg.norm(array) / rows,
        entropy_loss: entropy,
        information_loss: entropy + (mean * np.log(mean)).sum() / np.log(classes),
    }
    for loss, value in expected.items():
        assert loss(matrix).item() == pytest.approx(value, rel=1e-10, abs=1e-12), loss.__name__


@pytest.mark.parametrize(
    "matrix",
    [predictions(12, 5), predictions(4, 9), sure(4, 4, 4), sure(5, 3, 1)],
    ids=["tall", "wide", "equal singular values", "sure"],
)
def test_the_gradient_is_u_times_v(matrix):
    u, _, v = np.linalg.svd(matrix.numpy(), full_matrices=False)
    found = gradient(batch_nuclear_norm_loss, matrix)
    np.testing.assert_allclose(found.numpy(), -(u @ v) / len(matrix), atol=1e-10)
    assert torch.autograd.gradcheck(batch_nuclear_norm_loss, matrix.clone().requires_grad_())


def test_without_full_rank_the_gradient_is_the_smallest():
    """Two classes that nobody predicts: `A (A^T A)^(-1/2)` on the others, and nothing to those two."""
    matrix = torch.cat((predictions(9, 3), torch.zeros(9, 2, dtype=torch.float64)), 1)
    part = matrix[:, :3].numpy()
    values, vectors = np.linalg.eigh(part.T @ part)
    expected = -part @ (vectors / np.sqrt(values)) @ vectors.T / 9
    found = gradient(batch_nuclear_norm_loss, matrix).numpy()
    np.testing.assert_allclose(found[:, :3], expected, atol=1e-10)
    assert not found[:, 3:].any()


@pytest.mark.parametrize("loss", ALL)
def test_gradients_are_those_of_differences(loss):
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x.softmax(1)), logits.requires_grad_())


@pytest.mark.parametrize("seed", range(5))
def test_the_chain_of_inequalities(seed):
    rows, classes = 20 + seed, 6
    matrix = predictions(rows, classes, 0.5 + seed, seed)
    nuclear = -batch_nuclear_norm_loss(matrix).item() * rows
    frobenius = -batch_frobenius_norm_loss(matrix).item() * rows
    least = min(rows, classes)
    assert frobenius <= nuclear <= math.sqrt(least) * frobenius <= math.sqrt(least * rows)


def test_closed_forms():
    counts = (9, 4, 1)
    assert batch_nuclear_norm_loss(sure(*counts)).item() == pytest.approx(-(3 + 2 + 1) / 14)
    assert batch_nuclear_norm_loss(sure(8, 8, 8)).item() == pytest.approx(-math.sqrt(3 * 24) / 24)
    assert batch_nuclear_norm_loss(torch.full((12, 3), 1 / 3)).item() == pytest.approx(
        -math.sqrt(12 / 3) / 12
    )
    assert batch_nuclear_norm_loss(sure(16, classes=3)).item() == pytest.approx(-1 / math.sqrt(16))
    even = torch.full((5, 4), 0.25)
    assert entropy_loss(even).item() == pytest.approx(1)
    assert information_loss(even).item() == pytest.approx(0, abs=1e-6)
    assert entropy_loss(sure(3, 3)).item() == pytest.approx(0)
    assert information_loss(sure(3, 3)).item() == pytest.approx(-1)
    assert information_loss(sure(3, classes=2)).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("loss", ALL)
def test_the_order_of_images_and_classes_does_not_matter(loss):
    matrix = predictions(11, 5)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    assert loss(matrix[order][:, [3, 1, 4, 0, 2]]).item() == pytest.approx(loss(matrix).item(), rel=1e-12)


def test_the_fast_one_is_equal_where_columns_are_orthogonal():
    for counts in ((5, 3, 1), (4, 4, 4), (7, 1, 0)):
        matrix = sure(*counts)
        assert fast_batch_nuclear_norm_loss(matrix).item() == pytest.approx(
            batch_nuclear_norm_loss(matrix).item(), abs=1e-9
        )
    spread = predictions(30, 4)
    assert fast_batch_nuclear_norm_loss(spread) < batch_nuclear_norm_loss(spread), "else an upper bound"


@pytest.mark.parametrize(("first", "second"), [(40, 5), (30, 10), (22, 18), (20, 20)])
def test_an_unsure_image_goes_to_the_rare_class_where_entropy_sends_it_to_the_common_one(first, second):
    """Many images of one class, few of another, and one that is a little more likely of the first.

    By the row's gradient it goes to the second if `(1 - p) / sqrt(n2) > p / sqrt(n1)`.
    """
    for p in (0.52, 0.6):
        matrix = torch.cat((sure(first, second), torch.tensor([[p, 1 - p]], dtype=torch.float64)))
        pulls = {loss: -gradient(loss, matrix)[-1] for loss in (entropy_loss, batch_nuclear_norm_loss)}
        to_rare = {loss: bool(pull[1] > pull[0]) for loss, pull in pulls.items()}
        assert not to_rare[entropy_loss]
        assert to_rare[batch_nuclear_norm_loss] == ((1 - p) / math.sqrt(second) > p / math.sqrt(first))


def test_halves_are_computed_in_single_precision():
    matrix = predictions(8, 4).to(torch.bfloat16)
    for loss in ALL:
        assert loss(matrix).dtype == torch.float32 and torch.isfinite(loss(matrix))


def test_diversity():
    assert predicted_classes(sure(4, 0, 2)) == 2
    assert predicted_classes(torch.full((5, 3), 1 / 3)) == 1
