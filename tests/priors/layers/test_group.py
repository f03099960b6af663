"""Group convolutions against explicit loops over the positions of a filter, and their equivariance."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from vipriors.priors.layers.group import (
    P4,
    P4M,
    GroupBatchNorm2d,
    GroupConv2d,
    GroupPool,
    Halve,
)

GROUPS = {"p4": P4, "p4m": P4M}


@pytest.fixture(params=list(GROUPS))
def group(request):
    return GROUPS[request.param]


def test_it_is_a_group_and_acts_as_one(group):
    elements = range(len(group))
    x = torch.randn(1, 1, 5, 5)
    positions = {tuple(group.act(g, x).flatten().tolist()) for g in elements}
    assert len(positions) == len(group) == (8 if group.mirrored else 4)
    for g in elements:
        assert group.compose(g, group.inverse(g)) == group.compose(group.inverse(g), g) == 0
        for h in elements:
            assert torch.equal(group.act(g, group.act(h, x)), group.act(group.compose(g, h), x))
            features = torch.randn(1, 2 * len(group), 3, 3)
            after = group.act_on_features(g, group.act_on_features(h, features))
            assert torch.equal(after, group.act_on_features(group.compose(g, h), features))


def by_loops(layer: GroupConv2d, x: torch.Tensor) -> torch.Tensor:
    """Cohen & Welling's sum: the filter moved by g, on the responses of the elements h."""
    group, size = layer.group, layer.size
    weight = layer.weight.unflatten(1, (-1, layer.responses))
    outputs, inputs = weight.shape[:2]
    maps = []
    for output in range(outputs):
        for g in range(len(group)):
            total = 0
            for channel in range(inputs):
                for h in range(layer.responses):
                    where = group.compose(group.inverse(g), h) if layer.responses > 1 else 0
                    kernel = group.act(g, weight[output, channel, where])
                    of_channel = x[:, channel * layer.responses + h, None]
                    total = total + functional.conv2d(
                        of_channel, kernel[None, None], padding=size // 2, stride=layer.stride
                    )
            maps.append(total)
    return torch.cat(maps, 1)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (1, 1), (5, 2)])
@pytest.mark.parametrize("lifts", [True, False])
def test_values_and_gradients_against_loops(group, lifts, size, stride):
    torch.manual_seed(0)
    layer = GroupConv2d(group, 2, 3, size, stride, lifts=lifts).double()
    channels = 2 if lifts else 2 * len(group)
    x = torch.randn(2, channels, 6, 5, dtype=torch.float64, requires_grad=True)
    found, expected = layer(x), by_loops(layer, x)
    torch.testing.assert_close(found, expected)
    into, wanted = torch.randn_like(found), [x, layer.weight]
    for one, two in zip(
        torch.autograd.grad(found, wanted, into), torch.autograd.grad(expected, wanted, into), strict=True
    ):
        torch.testing.assert_close(one, two)


def small_network(group, strided: bool) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [GroupConv2d(group, 3, 4, lifts=True), GroupBatchNorm2d(group, 4), nn.ReLU()]
    if strided:
        layers += [GroupConv2d(group, 4, 6, stride=2), GroupBatchNorm2d(group, 6), nn.ReLU()]
    else:
        layers += [Halve(), GroupConv2d(group, 4, 6), GroupBatchNorm2d(group, 6), nn.ReLU()]
    network = nn.Sequential(*layers, GroupConv2d(group, 6, 5))
    for module in network.modules():
        if isinstance(module, GroupBatchNorm2d):
            nn.init.uniform_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
    return network


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("strided", "sides"), [(True, (9, 13)), (False, (8, 8)), (False, (9, 6))])
def test_a_network_is_equivariant_and_pooled_invariant(group, strided, sides, training):
    """In float32, through normalisation by batches and stored statistics; a stride of 2 at odd sides."""
    network = small_network(group, strided).train(training)
    x = torch.randn(4, 3, *sides)
    found = network(x)
    pooled = GroupPool(group)(found).mean((2, 3))
    for g in range(len(group)):
        moved = network(group.act(g, x).contiguous())
        expected = group.act_on_features(g, found)
        assert (moved - expected).abs().max() <= 1e-5 * found.abs().max()
        for reduction in ("max", "mean"):
            whole = GroupPool(group, reduction)(moved)
            torch.testing.assert_close(
                whole, group.act(g, GroupPool(group, reduction)(found)), rtol=0, atol=3e-5
            )
        torch.testing.assert_close(GroupPool(group)(moved).mean((2, 3)), pooled, rtol=0, atol=1e-5)


def test_a_stride_at_even_sides_is_not():
    network = small_network(P4, strided=True).eval()
    x = torch.randn(1, 3, 8, 8)
    found, moved = network(x), network(P4.act(1, x).contiguous())
    assert (moved - P4.act_on_features(1, found)).abs().max() > 1e-2


def test_quarter_turns_alone_are_not_equivariant_to_mirroring():
    network = small_network(P4, strided=False).eval()
    x = torch.randn(1, 3, 8, 8)
    found, moved = GroupPool(P4)(network(x)), GroupPool(P4)(network(x.flip(-1)))
    assert (moved - found.flip(-1)).abs().max() > 1e-2


@pytest.mark.parametrize("sides", [(4, 6), (5, 7), (1, 2)])
def test_halving(sides):
    x = torch.randn(1, 2, *sides)
    found = Halve()(x)
    assert found.shape[2:] == tuple((side + 1) // 2 for side in sides)
    torch.testing.assert_close(Halve()(x.flip(-1).flip(-2)), found.flip(-1).flip(-2))
    if sides == (4, 6):
        torch.testing.assert_close(found, functional.avg_pool2d(x, 2))


def test_normalisation_shares_its_statistics():
    group, norm = P4, GroupBatchNorm2d(P4, 3)
    x = torch.randn(5, 12, 4, 4) * 3 + 1
    found = norm(x).reshape(5, 3, 4, 16).transpose(0, 1).flatten(1)
    torch.testing.assert_close(found.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(1, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    assert norm.weight.shape == (3,)
    assert len(group) == 4
