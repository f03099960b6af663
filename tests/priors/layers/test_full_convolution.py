"""Full convolution: every weight meets every pixel, so a moved image has a moved response."""

import pytest
import torch
from scipy.signal import correlate
from torch import nn

from vipriors.priors.layers.full_convolution import FullConv2d, grown, shortcut_border


@pytest.mark.parametrize("size", [1, 3, 5])
def test_against_scipy(size):
    torch.manual_seed(0)
    layer = FullConv2d(2, 3, size).double()
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64)
    found = layer(x)[0].detach().numpy()
    assert found.shape == (3, 5 + size - 1, 6 + size - 1)
    for output in range(3):
        weight = layer.weight[output].detach().numpy()
        expected = sum(correlate(x[0, c].numpy(), weight[c], mode="full") for c in range(2))
        assert abs(found[output] - expected).max() < 1e-12


def test_a_moved_image_has_the_moved_response_at_the_border_too():
    torch.manual_seed(0)
    network = nn.Sequential(FullConv2d(1, 4), nn.ReLU(), FullConv2d(4, 3, 5))
    same = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 5, padding=2))
    patch = torch.randn(1, 1, 4, 4)

    def responses(network, row, column):
        canvas = torch.zeros(1, 1, 9, 9)
        canvas[:, :, row : row + 4, column : column + 4] = patch
        return network(canvas)

    inside = responses(network, 3, 2)
    assert inside.shape[-2:] == (15, 15)
    for row, column in [(0, 0), (5, 5), (0, 5), (4, 1)]:
        moved = torch.roll(inside, (row - 3, column - 2), (2, 3))
        torch.testing.assert_close(responses(network, row, column), moved)
        top = responses(network, row, column).amax((2, 3))
        torch.testing.assert_close(top, inside.amax((2, 3)))
    assert (responses(same, 0, 0).amax((2, 3)) - responses(same, 3, 2).amax((2, 3))).abs().max() > 1e-3


@pytest.mark.parametrize("side", [5, 6, 8, 9])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("sizes", [(3, 3), (5, 3), (1, 3)])
def test_a_shortcut_lies_on_what_it_goes_around(sizes, strides, side):
    """Convolutions that copy the middle pixel are the shortcut itself."""
    path = nn.Sequential(*(FullConv2d(1, 1, k, s) for k, s in zip(sizes, strides, strict=True)))
    for layer in path:
        nn.init.dirac_(layer.weight)
    x = torch.randn(2, 1, side, side)
    step, border = strides[0] * strides[1], shortcut_border(sizes, strides)
    shortcut = grown(x, border)[:, :, ::step, ::step]
    assert torch.equal(path(x), shortcut)


def test_published_borders():
    """Of a basic residual block: 2 without a stride, 3 before a stride of 2."""
    assert shortcut_border((3, 3), (1, 1)) == 2
    assert shortcut_border((3, 3), (2, 1)) == 3
    assert shortcut_border((1, 3, 1), (1, 1, 1)) == 1
