"""Sandglass and inverted residual blocks, against sums over windows and matrix products."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.priors.layers import InvertedResidual, Sandglass
from vipriors.priors.layers.inverted_residual import make_divisible
from vipriors.priors.layers.sandglass import hidden_width


def tried(block: nn.Module) -> nn.Module:
    """In float64, with statistics and scales as if it had been trained."""
    torch.manual_seed(0)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return block.double().eval()


def depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    batch, channels, height, width = x.shape
    windows = functional.unfold(x, 3, padding=1, stride=stride).reshape(batch, channels, 9, -1)
    out = torch.einsum("bckp,ck->bcp", windows, weight.reshape(channels, 9))
    return out.reshape(batch, channels, -(-height // stride), -(-width // stride))


def pointwise(x: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("bihw,oi->bohw", x, weight[:, :, 0, 0])


def normal(x: Tensor, n: nn.BatchNorm2d) -> Tensor:
    scale = n.weight / (n.running_var + n.eps).sqrt()
    return (x - n.running_mean[:, None, None]) * scale[:, None, None] + n.bias[:, None, None]


def plain(block: nn.Module, x: Tensor, kinds: str, active: str, stride: int) -> Tensor:
    """A chain of convolutions, `d`epthwise or `p`ointwise; those marked 1 are cut to 0 to 6."""
    convolutions = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(convolutions) == len(norms) == len(kinds)
    last = max(place for place, kind in enumerate(kinds) if kind == "d") if "d" in kinds else -1
    for place, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
        assert convolution.bias is None
        if kinds[place] == "d":
            x = depthwise(x, convolution.weight, stride if place == last else 1)
        else:
            x = pointwise(x, convolution.weight)
        x = normal(x, norm)
        x = torch.minimum(torch.maximum(x, torch.zeros(())), torch.tensor(6.0)) if active[place] == "1" else x
    return x


CASES = {
    "whole": (Sandglass(24, 24), "dppd", "1010", 1, 24),
    "half a shortcut": (Sandglass(24, 24, identity=2), "dppd", "1010", 1, 12),
    "opening": (Sandglass(16, 48, 2, 2), "dppd", "1010", 2, 0),
    "wider": (Sandglass(24, 48, first=False, last=False), "pp", "01", 1, 0),
    "wider and smaller": (Sandglass(24, 48, 2, first=False), "ppd", "010", 2, 0),
    "one": (Sandglass(24, 24, spatial="one"), "ppd", "010", 1, 24),
    "narrow": (Sandglass(24, 24, spatial="narrow"), "pddp", "0110", 1, 24),
    "not linear": (Sandglass(24, 24, linear=False), "dppd", "1110", 1, 24),
    "inverted": (InvertedResidual(8, 8), "pdp", "110", 1, 8),
    "inverted and smaller": (InvertedResidual(8, 12, 2), "pdp", "110", 2, 0),
    "inverted, not expanded": (InvertedResidual(8, 16, expansion=1), "dp", "10", 1, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_sums_over_windows(case):
    block, kinds, active, stride, carried = CASES[case]
    block = tried(block)
    inputs = next(m for m in block.modules() if isinstance(m, nn.Conv2d)).in_channels
    if kinds[0] == "d":
        inputs = next(m for m in block.modules() if isinstance(m, nn.BatchNorm2d)).num_features
    x = torch.randn(2, inputs, 6, 5, dtype=torch.float64, requires_grad=True)
    expected = plain(block, x, kinds, active, stride)
    if carried:
        expected = expected + torch.cat((x[:, :carried], torch.zeros_like(x[:, carried:])), 1)
    found = block(x)
    torch.testing.assert_close(found, expected)
    weights = [x, *block.parameters()]
    probe = torch.randn_like(expected)
    for mine, theirs in zip(
        torch.autograd.grad((found * probe).sum(), weights),
        torch.autograd.grad((expected * probe).sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("block", [Sandglass(12, 12), InvertedResidual(8, 8)])
def test_without_what_the_body_says_a_block_changes_nothing(block):
    block = block.eval()
    nn.init.zeros_(list(block.modules())[-1].weight)
    x = torch.randn(2, 12 if isinstance(block, Sandglass) else 8, 5, 4)
    assert torch.equal(block(x), x)


def test_between_its_two_activations_a_sandglass_is_linear():
    block = tried(Sandglass(24, 24))
    for place, module in enumerate(block.body):
        if isinstance(module, nn.ReLU6):
            block.body[place] = nn.Identity()
    x, y = torch.randn(2, 1, 24, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(block(x + y), block(x) + block(y) - block(torch.zeros_like(x)))


def test_the_width_of_the_middle():
    assert hidden_width(48, 48, 6) == 8
    assert hidden_width(96, 144, 6) == 32
    assert hidden_width(96, 96, 6) == 16
    assert hidden_width(32, 96, 2) == 16
    for value, divisor, expected in (
        (20, 8, 24),
        (11, 8, 16),
        (3, 8, 8),
        (24, 16, 32),
        (33, 8, 32),
        (19, 16, 32),
    ):
        assert make_divisible(value, divisor) == expected
    assert all(make_divisible(value) >= 0.9 * value for value in range(1, 500))


def test_a_stride_needs_a_depthwise_convolution():
    with pytest.raises(ValueError, match="a stride needs the last depthwise convolution"):
        Sandglass(24, 48, 2, last=False)
