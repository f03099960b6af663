"""Selective kernels against loops over images and channels."""

import pytest
import torch
from torch.nn import functional

from vipriors.priors.layers.blur_pool import BlurPool2d
from vipriors.priors.layers.selective_kernel import Dual, SelectiveKernel2d, mix_branches


def test_mixing_against_loops():
    torch.manual_seed(0)
    branches = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    scores = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    expected = torch.stack(
        [
            torch.stack(
                [
                    sum(
                        scores[b, m, c].exp() / scores[b, :, c].exp().sum() * branches[b, m, c]
                        for m in range(3)
                    )
                    for c in range(4)
                ]
            )
            for b in range(2)
        ]
    )
    found = mix_branches(branches, scores)
    torch.testing.assert_close(found, expected)
    into = torch.randn_like(found)
    for one, two in zip(
        torch.autograd.grad(found, [branches, scores], into),
        torch.autograd.grad(expected, [branches, scores], into),
        strict=True,
    ):
        torch.testing.assert_close(one, two)


def test_equal_branches_are_one_branch():
    branch = torch.randn(2, 1, 4, 3, 3)
    mixed = mix_branches(branch.expand(-1, 3, -1, -1, -1), torch.randn(2, 3, 4))
    torch.testing.assert_close(mixed, branch[:, 0])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_selective_kernel_by_hand(groups, stride):
    torch.manual_seed(0)
    layer = SelectiveKernel2d(4, 6, stride, branches=2, groups=groups, least=5).eval()
    for norm in (layer.branches[0][-2], layer.branches[1][-2]):
        norm.running_mean.normal_()
    x = torch.randn(2, 4, 8, 6)
    seen = []
    for dilation, branch in enumerate(layer.branches, start=1):
        # A dilated filter is a larger one with zeros between.
        side = 2 * dilation + 1
        wide = torch.zeros(6, 4 // groups, side, side)
        wide[:, :, ::dilation, ::dilation] = branch[0].weight.detach()
        y = functional.conv2d(x, wide, padding=dilation, groups=groups)
        y = BlurPool2d(3, stride)(y) if stride > 1 else y
        seen.append(branch[-2](y).clamp(min=0))
    pooled = (seen[0] + seen[1]).mean((2, 3))
    squeezed = functional.layer_norm(pooled @ layer.squeeze.weight.T, (5,)).clamp(min=0)
    scores = layer.score(squeezed).reshape(2, 2, 6)
    expected = mix_branches(torch.stack(seen, 1), scores)
    assert expected.shape == (2, 6, 8 // stride, 6 // stride)
    torch.testing.assert_close(layer(x), expected)


def test_dual_draws_one_in_training_and_takes_the_mean_otherwise():
    dual = Dual(torch.nn.Linear(2, 3), torch.nn.Linear(2, 3))
    x = torch.randn(4, 2)
    first, second = dual.first(x), dual.second(x)
    torch.testing.assert_close(dual.eval()(x), (first + second) / 2)
    dual.train()
    torch.manual_seed(0)
    drawn = []
    for _ in range(200):
        dual.zero_grad()
        found = dual(x)
        found.sum().backward()
        drawn.append(torch.equal(found, first))
        assert drawn[-1] or torch.equal(found, second)
        learned, idle = (dual.first, dual.second) if drawn[-1] else (dual.second, dual.first)
        assert learned.weight.grad is not None and idle.weight.grad is None
    assert 70 < sum(drawn) < 130
