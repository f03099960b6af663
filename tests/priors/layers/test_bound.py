"""The gated layers, and the weights with which the planner's network is Bellman and Ford's algorithm."""

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import bellman_ford

from vipriors.priors.layers.bound import BellmanFordNetwork, Bound, PairBound

FAR = 100.0
"""Stands for infinity."""


def test_the_gated_layer_by_hand():
    torch.manual_seed(0)
    layer = Bound(3, 2).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    w1, b1, w2, b2 = (p.detach().numpy() for p in layer.parameters())
    expected = [w2 @ ((1 / (1 + np.exp(-(w1 @ v + b1)))) * v) + b2 for v in x.numpy()]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected)
    weights = layer.gate.weight.detach()
    torch.testing.assert_close(weights @ weights.T, torch.eye(3).double(), rtol=0, atol=1e-5)
    assert np.allclose(b1, 0.1) and np.allclose(b2, 0.1)


def test_pairs_are_those_of_the_square_layer_values_and_gradients():
    """The layer splits its square matrix; here every pair is put together and goes through all of it."""
    torch.manual_seed(1)
    layer = PairBound(3, 2).double()
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    found = layer(x)
    rows = [Bound.forward(layer, torch.cat((x[:, i], x[:, j]), 1)) for i in range(4) for j in range(4)]
    expected = torch.stack(rows, 1).view(2, 4, 4, 2)  # row i * N + j is the pair of i and j
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    inputs = (x, *layer.parameters())
    for own, other in zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(own, other)


def bellman_ford_network(nodes: int, steps: int) -> BellmanFordNetwork:
    """The network that is the algorithm: a node knows [distances, links, whether goal, number].

    r starts as 0 at the goal and FAR elsewhere. Of a pair of i and j the gates let through j's own entry of
    the row of distances and of links of i, picked by j's number, and r of j; the linear map makes of them
    d_ij + FAR * (1 - link_ij) + r_j; the least over j is the new r of i.
    """
    size = 3 * nodes + 1
    links, goal, number = nodes, 2 * nodes, 2 * nodes + 1  # where they start in what is known of a node
    network = BellmanFordNetwork(size, 1, nodes, steps, reducer="min").double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.first.gate.bias.fill_(50)
        network.first.linear.weight[0, goal] = -FAR
        network.first.linear.bias.fill_(FAR)
        pair, j = network.pairs, 1 + size  # a state is one number, then comes what is known; then those of j
        pair.gate.bias.fill_(50)
        for k in range(nodes):
            for entry in (1 + k, 1 + links + k):
                pair.gate.weight[entry, j + 1 + number + k] = 100
                pair.gate.bias[entry] = -50
        pair.linear.weight[0, 1 : 1 + nodes] = 1
        pair.linear.weight[0, 1 + links : 1 + links + nodes] = -FAR
        pair.linear.weight[0, j] = 1
        pair.linear.bias.fill_(FAR)
        network.last.weight.fill_(1)
    return network


@pytest.mark.parametrize("seed", range(8))
def test_these_weights_are_bellman_and_ford(seed):
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(2, 9))
    distances = rng.uniform(0.1, 1, (nodes, nodes))  # other ones back than forth
    links = rng.uniform(size=(nodes, nodes)) < 0.4
    np.fill_diagonal(distances, 0)
    np.fill_diagonal(links, True)
    goal = int(rng.integers(nodes))
    x = np.concatenate([distances, links, np.eye(nodes)[:, [goal]], np.eye(nodes)], 1)[None]
    known = np.where(np.arange(nodes) == goal, 0.0, FAR)
    for steps in range(nodes):
        if steps:  # one relaxation, by hand
            known = np.array(
                [min(distances[i, j] + known[j] for j in range(nodes) if links[i, j]) for i in range(nodes)]
            )
        found = bellman_ford_network(nodes, steps).states(torch.from_numpy(x))[0, :, 0].detach().numpy()
        np.testing.assert_allclose(found.clip(max=FAR), known.clip(max=FAR), rtol=0, atol=1e-11)
    # Edges the other way, so that distances from the goal are those to it.
    ways = bellman_ford(np.where(links, distances, 0).T, indices=goal)
    np.testing.assert_allclose(known, np.where(np.isinf(ways), known, ways), rtol=0, atol=1e-11)
    assert (known[np.isinf(ways)] >= FAR).all()


def test_the_same_in_single_precision():
    network, x = bellman_ford_network(4, 3), torch.zeros(1, 4, 13, dtype=torch.float64)
    way = np.array([[0, 0.5, 0.9, 0.9], [0.5, 0, 0.25, 0.9], [0.9, 0.25, 0, 0.125], [0.9, 0.9, 0.125, 0]])
    x[0, :, :4] = torch.from_numpy(way)
    x[0, :, 4:8] = torch.from_numpy((way < 0.9).astype(float))
    x[0, 3, 8] = 1
    x[0, :, 9:] = torch.eye(4)
    found = network.float().states(x.float())[0, :, 0]
    torch.testing.assert_close(found, torch.tensor([0.875, 0.375, 0.125, 0.0]), rtol=0, atol=1e-4)


def test_the_gru_reads_a_nodes_pairs_in_order_and_goes_on():
    """A loop over nodes with cells, the hidden state of a node carried from step to step."""
    torch.manual_seed(2)
    network = BellmanFordNetwork(5, 3, 4, steps=2, layers=1).double()
    x = torch.randn(2, 4, 5, dtype=torch.float64)
    cell = torch.nn.GRUCell(3, 3).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in network.gru.state_dict().items()})
    r = network.first(x)
    hidden = [[torch.zeros(1, 3, dtype=torch.float64) for _ in range(4)] for _ in range(2)]
    for _ in range(2):
        pairs = network.pairs(torch.cat((r, x), -1))
        for b in range(2):
            for i in range(4):
                for j in range(4):
                    hidden[b][i] = cell(pairs[b, i, j][None], hidden[b][i])
        r = network.last(torch.stack([torch.cat(one) for one in hidden]))
    torch.testing.assert_close(network(x), network.out(r))


@pytest.mark.parametrize(("reducer", "same"), [("min", True), ("mean", True), ("gru", False)])
def test_the_order_of_nodes_says_nothing_but_to_the_gru(reducer, same):
    torch.manual_seed(3)
    network = BellmanFordNetwork(5, 3, 4, steps=2, reducer=reducer)
    x = torch.randn(2, 4, 5)
    order = torch.tensor([2, 0, 3, 1])
    found, shuffled = network(x)[:, order], network(x[:, order])
    assert torch.allclose(found, shuffled, atol=1e-5) == same
