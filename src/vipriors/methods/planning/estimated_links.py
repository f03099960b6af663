"""Shortest way over links that a small network estimates anew from what is seen at both of their ends.

Source: none of its own; the fair symbolic opponent of a planner that looks at features (Beeching et al., ECCV
2020): the same features, from the same maps with their true links, but planned on by Dijkstra's algorithm.

Mechanism: a perceptron tells from a link's distance, its probability in the map and the features of its ends
how likely it is, the same both ways. The way is planned as `shortest-path` does, by d - weight * log p.

Shapes: maps `(B, C, N)` to logits of links `(B, N, N)`; as a planner, maps `(B, N, C)` and nodes `(B,)` to
the next nodes `(B,)`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.data.maps import LINKS, Maps
from vipriors.methods._fitting import fit_network, fresh
from vipriors.methods.planning._planning import ShortestWays, best_on_held_out
from vipriors.methods.planning.shortest_path import CANDIDATES, link_costs
from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.train import (
    Batches,
    Execution,
    NetworkModel,
    Recipe,
    forward_flops,
    require,
    shown,
    with_weights,
)


class LinkNetwork(nn.Module):
    """Maps `(B, C, N)` to logits of their links `(B, N, N)`, the same both ways.

    Args:
        features: Of a node.
        hidden: Size of each hidden layer.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        sizes = (2 + 2 * features, *hidden)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def standardise(self, maps: NDArray[np.float32]) -> None:
        """Takes mean and deviation of each feature from training maps `(M, N, C)`."""
        features = torch.from_numpy(np.asarray(maps[..., LINKS + maps.shape[1] :], np.float64)).flatten(0, 1)
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, correction=0).clamp(min=1e-6))

    def forward(self, maps: Tensor) -> Tensor:
        """Logits of links; those of nodes to themselves mean nothing."""
        maps = maps.transpose(1, 2)
        batch, nodes, _ = maps.shape
        distances = torch.cdist(maps[..., :2], maps[..., :2], compute_mode="donot_use_mm_for_euclid_dist")
        links = torch.logit(maps[..., LINKS : LINKS + nodes], eps=1e-4)
        x = (maps[..., LINKS + nodes :] - self.mean) / self.deviation
        shape = (batch, nodes, nodes, x.shape[-1])
        pairs = (x[:, :, None].expand(shape), x[:, None].expand(shape))
        logits = self.layers(torch.cat((distances[..., None] / 5, links[..., None], *pairs), -1))[..., 0]
        found: Tensor = (logits + logits.transpose(1, 2)) / 2
        return found


class EstimatedWays(NetworkModel):
    """Plans on what a trained network says of the links.

    Args:
        network: A `LinkNetwork`.
        weight: Of the logarithm of a probability, in metres.
        execution: Where to run.
    """

    def __init__(self, network: nn.Module, weight: float, execution: Execution) -> None:
        super().__init__(network, execution)
        self.weight = weight

    def probabilities(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of the links `(B, N, N)` of maps `(B, N, C)`."""
        parts = []
        with torch.inference_mode(), self.execution.autocast():
            for batch in shown(maps, 256, self.device):
                parts.append(self.network(batch).float().sigmoid().cpu().numpy())
        return np.concatenate(parts)

    def next_nodes(self, maps: NDArray[np.float32], here: NDArray[np.int64]) -> NDArray[np.int64]:
        """The nodes `(B,)` to try next on maps `(B, N, C)`, standing at `here`."""
        estimated = self.probabilities(maps)

        def costs(parts: Maps) -> NDArray[np.float64]:
            return link_costs(parts.distances, estimated, "penalty", self.weight)

        return ShortestWays(costs).next_nodes(maps, here)


@dataclass(frozen=True)
class EstimatedLinks(Recipe):
    """Hyper-parameters of the shortest way over estimated links."""

    hidden: tuple[int, ...] = (64, 64)
    """Size of each hidden layer."""
    weight: float = -1.0
    """Of the logarithm of a link's probability, in metres. -1 searches it."""
    optimizer: Literal["sgd", "adamw"] = "adamw"
    """`sgd` is SGD with Nesterov momentum."""
    lr: float = 3e-3
    """Learning rate at its peak."""
    weight_decay: float = 1e-3
    """Weight decay on matrices; biases are left alone."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"steps": 1500},
        "small": {"steps": 30_000, "hidden": (128, 128)},
        "full": {"steps": 300_000, "hidden": (256, 256, 256), "lr": 1e-3},
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (5e-4, 1e-2), "weight_decay": (1e-5, 1e-1)}
    """Ranges that are searched, both on a logarithmic scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, hidden=(min(self.hidden, default=1) >= 1, "sizes of 1 or more"))

    def network(self, image_shape: tuple[int, ...], classes: int) -> LinkNetwork:
        """The network with fresh weights, `(B, C, N)` to `(B, N, N)`."""
        channels, nodes = image_shape
        return LinkNetwork(channels - LINKS - nodes, self.hidden)

    def tuned(self, data: TrainingSet) -> EstimatedLinks:
        """With the weight that did best on `data.held_out`; the network is trained once for all of them."""
        if self.weight >= 0:
            return self
        fitted = self.fit(data, Context()).model
        candidates = [dataclasses.replace(self, weight=weight) for weight in CANDIDATES["penalty"]]

        def planner(method: EstimatedLinks) -> EstimatedWays:
            return EstimatedWays(fitted.network, method.weight, fitted.execution)

        return best_on_held_out(candidates, data, planner)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights to tell true links from false ones."""
        execution = context.execution or Execution()

        def make() -> LinkNetwork:
            network = self.network(data.image_shape, len(data.classes))
            network.standardise(data.train.images)
            return network

        def loss(network: nn.Module, maps: Tensor, links: Tensor, generator: torch.Generator) -> Tensor:
            apart = ~torch.eye(links.shape[1], dtype=torch.bool, device=links.device)
            truth = links[:, apart].float() * (1 - self.label_smoothing) + self.label_smoothing / 2
            return functional.binary_cross_entropy_with_logits(network(maps)[:, apart], truth)

        trained, facts = fit_network(
            self,
            fresh(make, context),
            Batches(
                data.train.images,
                torch.from_numpy(np.array(data.train.labels)),
                batch_size=self.batch_size,
                seed=context.seed,
                device=execution.resolved_device(),
            ),
            loss,
            context,
            monitor=None,
            flops=lambda network: forward_flops(network, data.image_shape),
        )
        return Fitted(EstimatedWays(trained, self._weight, execution), facts)

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> EstimatedWays:
        """Restores a network that `fit` trained."""
        network = with_weights(self.network(image_shape, classes), folder)
        return EstimatedWays(network, self._weight, execution or Execution())

    @property
    def _weight(self) -> float:
        return self.weight if self.weight >= 0 else 4.0
