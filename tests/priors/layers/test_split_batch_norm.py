"""Normalisation in parts, against torch's own on each part."""

import copy

import pytest
import torch
from torch import nn

from vipriors.priors.layers import SplitBatchNorm2d, split_batch_norms

X = torch.randn(12, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def made(groups: int) -> tuple[SplitBatchNorm2d, nn.BatchNorm2d]:
    """One that splits, and a plain one with the same parameters and statistics."""
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(3)
    for tensor in (plain.weight, plain.bias, plain.running_mean, plain.running_var):
        tensor.data.uniform_(0.5, 2)
    split = SplitBatchNorm2d(3, groups)
    split.load_state_dict(plain.state_dict())
    return split, plain


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_part_is_normalised_by_itself(groups, layout):
    split, plain = made(groups)
    x = X.clone(memory_format=layout).requires_grad_()
    found = split(x)
    parts = [copy.deepcopy(plain) for _ in range(groups)]
    again = X.clone().requires_grad_()
    size = 12 // groups
    expected = torch.cat([norm(again[size * i : size * (i + 1)]) for i, norm in enumerate(parts)])
    torch.testing.assert_close(found, expected)
    upstream = torch.randn(X.shape)
    found.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(x.grad, again.grad)
    torch.testing.assert_close(split.weight.grad, sum(norm.weight.grad for norm in parts))
    for name in ("running_mean", "running_var"):
        mean = torch.stack([getattr(norm, name) for norm in parts]).mean(0)
        torch.testing.assert_close(getattr(split, name), mean)
    assert split.num_batches_tracked == 1


def test_in_evaluation_it_is_the_plain_one():
    split, plain = made(4)
    assert torch.equal(split.eval()(X[:7]), plain.eval()(X[:7]))
    assert split.num_batches_tracked == 0


def test_a_batch_that_cannot_be_split():
    with pytest.raises(ValueError, match="a batch of 12 cannot be split in 5 equal parts"):
        made(5)[0](X)


def test_all_normalisations_of_a_network_are_replaced_under_their_names():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, momentum=0.3), nn.ReLU()))
    plain, training = copy.deepcopy(network), copy.deepcopy(network)
    assert split_batch_norms(network, 2) is network
    assert isinstance(network[1][0], SplitBatchNorm2d)
    assert network[1][0].groups == 2 and network[1][0].momentum == 0.3
    assert "groups=2" in repr(network)
    network(X)
    plain.load_state_dict(network.state_dict())
    assert torch.equal(plain.eval()(X), network.eval()(X))
    torch.testing.assert_close(split_batch_norms(copy.deepcopy(training), 1)(X), training(X))
