"""The queue against a deque, the slow copy against its closed form, shuffling against doing nothing."""

from collections import deque

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from vipriors.priors.contrast import KeyQueue, follow, projection_head, shuffled


@given(st.integers(1, 12), st.lists(st.integers(1, 15), max_size=6))
def test_the_queue_is_a_deque(size, batches):
    queue = KeyQueue(size, 3)
    expected = deque((tuple(key) for key in queue.keys.tolist()), maxlen=size)
    for number, count in enumerate(batches):
        keys = torch.arange(3.0 * count).reshape(count, 3) + 100 * number
        before = queue(keys)
        assert [tuple(key) for key in before.tolist()] == list(expected)
        expected.extendleft(tuple(key) for key in keys.flip(0).tolist())
        assert [tuple(key) for key in queue.keys.tolist()] == list(expected)


def test_it_starts_with_directions_and_is_saved():
    torch.manual_seed(0)
    queue = KeyQueue(500, 8)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(500))
    assert queue.keys.mean(0).abs().max() < 0.1
    assert not list(queue.parameters())
    other = KeyQueue(500, 8)
    queue(torch.ones(2, 8))
    other.load_state_dict(queue.state_dict())
    assert torch.equal(other.keys, queue.keys) and (other.keys[:2] == 1).all()


def test_nothing_learns_through_the_queue_nor_is_disturbed_by_it():
    queue, weights = KeyQueue(4, 3), torch.randn(2, 3, requires_grad=True)
    negatives = queue(weights * 2)
    assert not negatives.requires_grad and not queue.keys.requires_grad
    loss = (weights @ negatives.T).square().sum()
    expected = 2 * weights.detach() @ negatives.T @ negatives
    queue(weights)  # a write into what the backward pass needs would raise, or change it
    loss.backward()
    torch.testing.assert_close(weights.grad, expected)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_the_slow_copy_has_its_closed_form(momentum):
    torch.manual_seed(0)
    slow, fast = (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double() for _ in range(2))
    start, path = slow[0].weight.detach().clone(), []
    for _ in range(7):
        with torch.no_grad():
            fast[0].weight.copy_(torch.randn(2, 3))
            fast[1].running_mean.add_(1)
        path.append(fast[0].weight.detach().clone())
        follow(slow, fast, momentum)
    expected = momentum**7 * start
    for step, weight in enumerate(path, start=1):
        expected = expected + (1 - momentum) * momentum ** (7 - step) * weight
    torch.testing.assert_close(slow[0].weight.detach(), expected)
    torch.testing.assert_close(fast[0].weight.detach(), path[-1])
    assert not slow[1].running_mean.any(), "statistics are its own"
    assert slow[0].weight.grad is None and fast[0].weight.grad is None


def test_shuffling_leaves_the_order_and_mixes_what_the_network_sees():
    seen = []

    def network(images):
        seen.append(images)
        return images * 2

    torch.manual_seed(0)
    images = torch.arange(32.0)[:, None]
    assert torch.equal(shuffled(network, images), images * 2)
    assert not torch.equal(seen[0], images)
    assert torch.equal(seen[0].sort(0).values, images)
    shuffled(network, images)
    assert not torch.equal(seen[0], seen[1])


def test_the_head_is_two_layers():
    head = projection_head(5, 3)
    x = torch.randn(4, 5)
    hidden = functional.relu(functional.linear(x, head[0].weight, head[0].bias))
    assert hidden.shape == (4, 5)
    torch.testing.assert_close(head(x), functional.linear(hidden, head[2].weight, head[2].bias))
