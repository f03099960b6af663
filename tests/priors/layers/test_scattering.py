"""The scattering transform against kymatio, and its gradient against finite differences."""

import numpy as np
import pytest
import torch
from kymatio.scattering2d.frontend.numpy_frontend import ScatteringNumPy2D

from vipriors.priors.layers.scattering import Scattering2d, morlet


@pytest.mark.parametrize(
    ("size", "scales", "directions", "order"),
    [((8, 8), 1, 8, 2), ((16, 24), 2, 4, 2), ((32, 32), 3, 3, 2), ((28, 28), 2, 8, 2), ((16, 16), 2, 8, 1)],
)
def test_against_kymatio(size, scales, directions, order):
    x = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    oracle = ScatteringNumPy2D(scales, size, directions, max_order=order)
    expected = oracle.scattering(x)
    layer = Scattering2d(size, scales, directions, order)
    found = layer(torch.from_numpy(x))
    assert found.shape == (2, 3 * layer.factor, size[0] // 2**scales, size[1] // 2**scales)
    # kymatio takes 3.1415 for pi where it normalises a filter: 3e-5 for each of up to three in a row.
    np.testing.assert_allclose(found.numpy(), expected.reshape(found.shape), rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize("size", [(7, 9), (13, 10)])
def test_any_size(size):
    found = Scattering2d(size, 1, 4)(torch.rand(1, 13, *size))
    assert found.shape == (1, 13 * 5, size[0] // 2, size[1] // 2)
    assert torch.isfinite(found).all()


def test_a_flat_image_has_no_details():
    layer = Scattering2d((16, 16), 2, 4)
    found = layer(torch.full((1, 1, 16, 16), 2.0))[0]
    torch.testing.assert_close(found[0], torch.full((4, 4), 2.0), rtol=1e-3, atol=0)
    assert found[1:].abs().max() < 1e-4
    assert abs(morlet((16, 16), 0.8, 0.3, 2.0, 0.5).sum()) < 1e-12


def test_it_changes_little_when_the_image_moves():
    torch.manual_seed(0)
    x = torch.randn(4, 1, 32, 32)
    moved = torch.roll(x, 1, -1)
    layer = Scattering2d((32, 32), 3, 4)
    one, two = layer(x), layer(moved)
    assert (one - two).norm() / one.norm() < 0.2 * (x - moved).norm() / x.norm()


def test_gradients_against_finite_differences():
    torch.manual_seed(0)
    layer, x = Scattering2d((8, 8), 2, 2), torch.randn(1, 1, 8, 8, requires_grad=True)
    into = torch.randn(1, layer.factor, 2, 2)
    (gradient,) = torch.autograd.grad(layer(x), x, into)
    for place in [(0, 0), (3, 4), (7, 2)]:
        step = torch.zeros_like(x)
        step[0, 0][place] = 1e-2
        with torch.no_grad():
            difference = ((layer(x + step) - layer(x - step)) * into).sum() / 2e-2
        assert gradient[0, 0][place].item() == pytest.approx(difference.item(), rel=2e-2, abs=2e-3)


def test_nothing_is_learned_or_stored():
    layer = Scattering2d((8, 8))
    assert not list(layer.parameters())
    assert not layer.state_dict()
