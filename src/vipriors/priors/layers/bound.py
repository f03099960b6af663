"""A gated linear layer for pairs of nodes, and a planner whose steps have the shape of Bellman and Ford's.

Source: Beeching, Dibangoye, Simonin, Wolf, Learning to Plan with Uncertain Topological Maps, ECCV 2020.

Bellman and Ford: the distance r_i of a node from the goal becomes min over j of (d_ij + r_j), again and
again. A gate that depends on j can pick d_ij out of node i's row of distances, a linear map adds r_j, and
what reads the pairs of i one after the other can keep the least. So the planner can do the same, or learn
something better.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

Reducer = Literal["gru", "min", "mean"]


class Bound(nn.Module):
    """W2(sigmoid(W1 x + b1) * x) + b2: a gate on the inputs, then a linear map.

    Args:
        inputs: Size of x.
        outputs: Size of what comes out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.gate = _orthogonal(nn.Linear(inputs, inputs))
        self.linear = _orthogonal(nn.Linear(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`(..., inputs)` to `(..., outputs)`."""
        found: Tensor = self.linear(torch.sigmoid(self.gate(x)) * x)
        return found


class PairBound(Bound):
    """The same of each ordered pair of nodes, x = [z_i; z_j].

    W1 [z_i; z_j] is A z_i + B z_j, so the square layer is computed for nodes and not for pairs: the same
    function at about 1/N of the cost.

    Args:
        inputs: Size of z.
        outputs: Size of what comes out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(2 * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Nodes `(B, N, inputs)` to pairs `(B, N, N, outputs)`; at i and j is the pair of i and j."""
        size = x.shape[-1]
        first = linear(x, self.gate.weight[:, :size], self.gate.bias)
        second = linear(x, self.gate.weight[:, size:])
        gates = torch.sigmoid(first[:, :, None] + second[:, None])
        of_first: Tensor = linear(
            gates[..., :size] * x[:, :, None], self.linear.weight[:, :size], self.linear.bias
        )
        return of_first + linear(gates[..., size:] * x[:, None], self.linear.weight[:, size:])


class BellmanFordNetwork(nn.Module):
    """Steps that update every node from its pairs with all nodes.

    Args:
        inputs: Size of what is known of a node.
        width: Size of a node's state.
        outputs: Size of what comes out of a node at the end.
        steps: How often all nodes are updated.
        layers: Of the GRU.
        reducer: What reads a node's pairs: a `gru` in the order of the nodes, whose state goes on in the next
            step, as published; or their `min` or `mean`, which have no order.
    """

    def __init__(
        self, inputs: int, width: int, outputs: int, steps: int, layers: int = 1, reducer: Reducer = "gru"
    ) -> None:
        super().__init__()
        self.steps, self.reducer = steps, reducer
        self.first = Bound(inputs, width)
        self.pairs = PairBound(width + inputs, width)
        self.gru = nn.GRU(width, width, layers, batch_first=True) if reducer == "gru" else None
        self.last = _orthogonal(nn.Linear(width, width))
        self.out = _orthogonal(nn.Linear(width, outputs))

    def states(self, x: Tensor) -> Tensor:
        """States `(B, N, width)` of nodes `(B, N, inputs)` after all steps."""
        batch, nodes, _ = x.shape
        r, hidden = self.first(x), None
        for _ in range(self.steps):
            pairs = self.pairs(torch.cat((r, x), -1))
            if self.gru is not None:
                read, hidden = self.gru(pairs.flatten(0, 1), hidden)
                read = read[:, -1].view(batch, nodes, -1)
            else:
                read = pairs.amin(2) if self.reducer == "min" else pairs.mean(2)
            r = self.last(read)
        states: Tensor = r
        return states

    def forward(self, x: Tensor) -> Tensor:
        """Nodes `(B, N, inputs)` to `(B, N, outputs)`."""
        found: Tensor = self.out(self.states(x))
        return found


def _orthogonal(layer: nn.Linear) -> nn.Linear:
    """The layer with orthogonal weights and biases of 0.1, as published."""
    nn.init.orthogonal_(layer.weight)
    nn.init.constant_(layer.bias, 0.1)
    return layer
