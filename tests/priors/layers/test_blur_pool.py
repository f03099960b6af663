"""Anti-aliased pooling against loops, and what it is for."""

import numpy as np
import pytest
import torch

from vipriors.priors.layers.blur_pool import BlurPool2d, MaxBlurPool2d, binomial_filter


def test_filters():
    expected = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    torch.testing.assert_close(binomial_filter(3), expected)
    for size in (1, 2, 3, 4, 5, 7):
        assert binomial_filter(size).sum().item() == pytest.approx(1)
    assert (256 * binomial_filter(5)[2]).tolist() == [6, 24, 36, 24, 6]


@pytest.mark.parametrize("sides", [(6, 6), (7, 5)])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 2), (5, 2), (4, 3), (3, 1)])
def test_against_loops(size, stride, sides):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, *sides))
    row = np.poly1d([1, 1]) ** (size - 1)
    kernel = np.outer(row.coeffs, row.coeffs) / 4.0 ** (size - 1)
    before, after = (size - 1) // 2, size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (before, after), (before, after)), mode="reflect")
    expected = np.array(
        [
            [
                (padded[:, :, i : i + size, j : j + size] * kernel).sum((2, 3))
                for j in range(0, sides[1], stride)
            ]
            for i in range(0, sides[0], stride)
        ]
    ).transpose(2, 3, 0, 1)
    found = BlurPool2d(size, stride).double()(torch.from_numpy(x))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_the_gradient():
    pool = BlurPool2d().double()
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, x)


def test_a_flat_map_stays_flat_and_a_chequerboard_becomes_flat():
    chequers = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float()[None, None]
    torch.testing.assert_close(BlurPool2d()(torch.ones(1, 1, 8, 8)), torch.ones(1, 1, 4, 4))
    torch.testing.assert_close(BlurPool2d()(chequers), torch.full((1, 1, 4, 4), 0.5))


def test_max_pooling_changes_less_when_the_image_moves():
    torch.manual_seed(0)
    x = torch.rand(8, 4, 33, 33)

    def change(pool):
        return (pool(x[..., :32]) - pool(x[..., 1:])).square().mean()

    assert MaxBlurPool2d()(x).shape == (8, 4, 17, 17)
    assert change(MaxBlurPool2d()) < 0.5 * change(torch.nn.MaxPool2d(3, 2, padding=1))
