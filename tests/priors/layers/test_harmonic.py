"""Harmonic convolution against SciPy's DCT and plain loops."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import idctn
from scipy.signal import correlate2d

from vipriors.priors.layers.harmonic import HarmonicConv2d, cosine_basis


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_basis_is_the_orthonormal_dct(size):
    basis = cosine_basis(size).double().numpy()
    assert basis.shape == (size**2, size, size)
    for frequency, wave in enumerate(basis):
        alone = np.zeros((size, size))
        alone[divmod(frequency, size)] = 1
        np.testing.assert_allclose(wave, idctn(alone, norm="ortho"), atol=1e-6)


def test_a_level_keeps_the_low_frequencies():
    whole, kept = cosine_basis(3), cosine_basis(3, level=2)
    assert torch.equal(kept, whole[[0, 1, 3]])
    assert HarmonicConv2d(2, 4, level=2).weight.shape == (4, 2, 3)


@pytest.mark.parametrize("level", [None, 3])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (5, 2)])
def test_both_ways_and_loops_give_the_same_and_the_same_gradients(size, stride, level):
    torch.manual_seed(0)
    layer = HarmonicConv2d(2, 3, size, stride, level=level).double()
    x = torch.randn(2, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    found = layer(x)
    half = size // 2
    weight, waves = layer.weight.detach().numpy(), layer.basis.numpy()
    expected = np.zeros((2, 3, 7, 6))
    for image in range(2):
        for output in range(3):
            for channel in range(2):
                kernel = sum(w * wave for w, wave in zip(weight[output, channel], waves, strict=True))
                padded = np.pad(x[image, channel].detach().numpy(), half)
                expected[image, output] += correlate2d(padded, kernel, "valid")
    np.testing.assert_allclose(found.detach().numpy(), expected[:, :, ::stride, ::stride], atol=1e-10)

    layer.way = "responses"
    other, wanted, into = layer(x), [x, layer.weight], torch.randn_like(found)
    torch.testing.assert_close(found, other)
    for one, two in zip(
        torch.autograd.grad(found, wanted, into), torch.autograd.grad(other, wanted, into), strict=True
    ):
        torch.testing.assert_close(one, two)


def test_initial_filters_are_those_of_he():
    torch.manual_seed(0)
    filters = HarmonicConv2d(64, 64).filters()
    assert filters.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert list(HarmonicConv2d(2, 3).state_dict()) == ["weight"]
