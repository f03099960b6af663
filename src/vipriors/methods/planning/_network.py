"""The neural planner's network, what is drawn for it to learn from, and its answers."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.data.maps import GOAL, LINKS, Maps
from vipriors.methods.planning._planning import ShortestWays, next_hops
from vipriors.methods.protocol import Labelled
from vipriors.train import Execution, NetworkModel, shown


class PlannerNetwork(nn.Module):
    """Maps `(B, C, N)` to logits `(B, N, N)` of the next node.

    Args:
        core: From what is known of a node to its logits.
        features: Size of the features that are looked at; 0 for none.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, core: nn.Module, features: int) -> None:
        super().__init__()
        self.core = core
        # Buffers, so that they travel with the weights.
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def standardise(self, maps: NDArray[np.float32]) -> None:
        """Takes mean and deviation of each feature from training maps `(M, N, C)`."""
        if size := len(self.mean):
            features = torch.from_numpy(np.asarray(maps[..., -size:], np.float64)).reshape(-1, size)
            self.mean.copy_(features.mean(0))
            self.deviation.copy_(features.std(0, correction=0).clamp(min=1e-6))

    def known(self, maps: Tensor) -> Tensor:
        """What is known of each node of maps `(B, N, C)`: distances, links, goal, number, features."""
        nodes = maps.shape[1]
        distances = torch.cdist(maps[..., :2], maps[..., :2], compute_mode="donot_use_mm_for_euclid_dist")
        distances = distances / distances.amax((1, 2), keepdim=True).clamp(min=1e-6)
        numbers = torch.eye(nodes, device=maps.device).expand(len(maps), nodes, nodes)
        features = (maps[..., maps.shape[2] - len(self.mean) :] - self.mean) / self.deviation
        links = maps[..., LINKS : LINKS + nodes]
        return torch.cat((distances, links, maps[..., GOAL, None], numbers, features), -1)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits; of staying where one is they are very low."""
        logits: Tensor = self.core(self.known(maps.transpose(1, 2)))
        stay = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
        return logits.masked_fill(stay, -1e4)


class NeuralPlanner(NetworkModel):
    """A trained network as a planner.

    Args:
        network: A `PlannerNetwork`.
        ahead: Whether to look where the nodes' next ones lead. In a circle the likeliest way is gone instead.
        execution: Where to run.
    """

    def __init__(self, network: nn.Module, ahead: bool, execution: Execution) -> None:
        super().__init__(network, execution)
        self.ahead = ahead

    def surprise(self, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """Minus the logarithm of how likely each node is the next one `(B, N, N)`, on maps `(B, N, C)`.

        Infinite for links known to be false and for staying.
        """
        parts = []
        with torch.inference_mode(), self.execution.autocast():
            for batch in shown(maps, 256, self.device):
                parts.append(self.network(batch).double().cpu())
        nodes = maps.shape[1]
        barred = torch.from_numpy(maps[..., LINKS : LINKS + nodes] == 0) | torch.eye(nodes, dtype=torch.bool)
        # A node without a way on has no likely next one either.
        found = -torch.cat(parts).masked_fill(barred, -math.inf).log_softmax(2)
        return np.asarray(found.nan_to_num(math.inf, math.inf))

    def next_nodes(self, maps: NDArray[np.float32], here: NDArray[np.int64]) -> NDArray[np.int64]:
        """The nodes `(B,)` to try next on maps `(B, N, C)`, standing at `here`."""
        surprise, rows = self.surprise(maps), np.arange(len(maps))
        after = surprise.argmin(2)
        found: NDArray[np.int64] = after[rows, here]
        if self.ahead:
            goal, there = Maps.of(maps).goal, here
            for _ in range(maps.shape[1]):
                there = np.where(there == goal, goal, after[rows, there])
            astray = there != goal
            likeliest = ShortestWays(lambda _: surprise[astray])
            found[astray] = likeliest.next_nodes(maps[astray], here[astray])
        return found


def drawn(maps: Tensor, hops: Tensor, renumber: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Maps with other goals and perhaps other numbers of nodes, and each node's next one.

    Args:
        maps: `(B, C, N)`.
        hops: `(B, N, N)`, the node after i on the way to t.
        renumber: Whether to draw an order of the nodes.
        generator: The step's random numbers.

    Returns:
        Maps `(B, C, N)` and nodes `(B, N)`; at the goal its own number.
    """
    batch, _, nodes = maps.shape
    rows = torch.arange(batch, device=maps.device)
    goals = torch.randint(nodes, (batch,), generator=generator).to(maps.device)
    order = torch.rand(batch, nodes, generator=generator).argsort(1).to(maps.device)
    maps = maps.clone()
    maps[:, GOAL] = functional.one_hot(goals, nodes).to(maps.dtype)
    after = hops[rows, :, goals].long()
    if not renumber:
        return maps, after
    place = order[:, None]
    maps = maps.gather(2, place.expand(maps.shape))
    links = maps[:, LINKS : LINKS + nodes]
    maps[:, LINKS : LINKS + nodes] = links.gather(1, order[:, :, None].expand(links.shape))
    return maps, order.argsort(1).gather(1, after.gather(1, order))


def next_node_loss(logits: Tensor, maps: Tensor, after: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the next node, over all nodes but the goals.

    Args:
        logits: `(B, N, N)`.
        maps: `(B, C, N)`, for the goals.
        after: `(B, N)`.
        smoothing: Of the labels.
    """
    asked = maps[:, GOAL] == 0
    return functional.cross_entropy(logits[asked], after[asked], label_smoothing=smoothing)


def validate(network: nn.Module, held_out: Labelled, execution: Execution) -> dict[str, float]:
    """Loss and share of right next nodes on held-out maps with their own goals; the goals are left out."""
    hops = next_hops(held_out.images, held_out.labels)
    goals = held_out.images[..., GOAL].argmax(1)
    after = torch.from_numpy(hops[np.arange(len(hops)), :, goals]).long()
    with torch.inference_mode(), execution.autocast():
        batches = list(shown(held_out.images, 256, execution.resolved_device()))
        logits = torch.cat([network(batch).float().cpu() for batch in batches])
    maps = torch.cat([batch.cpu() for batch in batches])
    right = (logits.argmax(2) == after)[maps[:, GOAL] == 0]
    loss = float(next_node_loss(logits, maps, after))
    return {"val_loss": round(loss, 6), "val_next_node": round(float(right.float().mean()), 6)}
