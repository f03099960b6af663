"""Neural planner shaped like Bellman and Ford's algorithm, on noisy links and features of nodes.

Source: Beeching, Dibangoye, Simonin, Wolf, "Learning to plan with uncertain topological maps", ECCV 2020; the
authors' code (edbeeching/learning_to_plan) for what the paper leaves open.

Mechanism: each node knows its distances to all nodes, the probabilities of its links, whether it is the goal,
who it is and what is seen there. Again and again all ordered pairs of nodes go through a gated layer, and a
GRU reads the pairs of each node one after the other into the node's new state. From it comes the node to go
to next, for every node at once. It learns from the shortest ways on the true graph. `priors.layers.bound` has
the network; the tests have the weights with which it is Bellman and Ford's algorithm, once the least of a
node's pairs (`reducer=min`) stands in the place of the GRU.

Shapes: maps `(B, C, N)` to logits `(B, N, N)`: of each node the next.

Deviations from the paper:
1. The square layer of a pair's gate is computed as a sum of two layers of its nodes: the same function.
2. A random goal, and a random numbering of the nodes, are drawn for every map at every step (`renumber`); the
   authors draw a goal. In the loss the goal's own row is left out, and nodes have equal weights.
3. AdamW with a cosine schedule in place of Adam with a step; a budget in steps. Features have unit variance.
4. No node is asked to stay where it is; a link that proved false (probability 0) is not tried again.
5. The presets `tiny` and `small` are smaller; `full` has the authors' sizes.
6. Who takes the likeliest next node goes in circles where the network is in doubt: it knows where it stands,
   and not where it was. So it is looked where the next ones of all nodes lead. Where that is a circle, the
   likeliest way to the goal is gone, by the product of the shares (`ahead`). Without it, as published, half
   the maps of validation were not solved after 6,000 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from vipriors.card import Card, Claim
from vipriors.data.maps import LINKS
from vipriors.methods._fitting import fit_network, fresh
from vipriors.methods.planning._network import (
    NeuralPlanner,
    PlannerNetwork,
    drawn,
    next_node_loss,
    validate,
)
from vipriors.methods.planning._planning import next_hops
from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.priors.layers.bound import BellmanFordNetwork, Reducer
from vipriors.train import Batches, Execution, Recipe, forward_flops, require, with_weights

CARD = Card(
    system="L3",
    name="Planning on uncertain topological maps",
    source="Learning to plan with uncertain topological maps, ECCV 2020",
    claims=(
        Claim(
            "success weighted by path length up over the shortest path by distance and probability",
            "maps-planning",
            "spl",
            baseline="shortest-path",
            images_per_class=5000,
            equal={},
            published="better than symbolic planning in SPL in Gibson scenes (abstract; no table found)",
        ),
        Claim(
            "success weighted by path length up over the shortest path on links that are likely enough",
            "maps-planning",
            "spl",
            baseline="shortest-path,cost=threshold",
            images_per_class=5000,
            equal={},
        ),
        Claim(
            "success weighted by path length up over the shortest path on links estimated from features",
            "maps-planning",
            "spl",
            baseline="estimated-links,steps=6000",
            images_per_class=5000,
        ),
        Claim(
            "success weighted by path length up over the neural planner without features",
            "maps-planning",
            "spl",
            baseline="neural-planner,features=false",
            images_per_class=5000,
            published="visual features help (abstract; no table found)",
        ),
        Claim(
            "first steps of a shortest way up over the shortest path by distance and probability",
            "maps-planning",
            "first_step",
            baseline="shortest-path",
            images_per_class=5000,
            equal={},
            published="right next nodes up over symbolic planning (abstract; no table found)",
        ),
        Claim(
            "first steps of a shortest way up over the shortest path on links estimated from features",
            "maps-planning",
            "first_step",
            baseline="estimated-links,steps=6000",
            images_per_class=5000,
        ),
        Claim(
            "first steps of a shortest way up over the neural planner without features",
            "maps-planning",
            "first_step",
            baseline="neural-planner,features=false",
            images_per_class=5000,
        ),
    ),
)


@dataclass(frozen=True)
class NeuralPlanning(Recipe):
    """Hyper-parameters of the neural planner."""

    features: bool = True
    """Look at the visual features of nodes too."""
    width: int = 32
    """Size of a node's state."""
    relaxations: int = 4
    """How often all nodes are updated."""
    layers: int = 1
    """Of the GRU."""
    reducer: Reducer = "gru"
    """What reads the pairs of a node: a `gru`, or their `min` or `mean`."""
    ahead: bool = True
    """Look whether the nodes' next ones lead to the goal, and go the likeliest way where they do not."""
    renumber: bool = True
    """Draw a numbering of the nodes for every map at every step."""
    optimizer: Literal["sgd", "adamw"] = "adamw"
    """`sgd` is SGD with Nesterov momentum."""
    lr: float = 3e-3
    """Learning rate at its peak."""
    weight_decay: float = 1e-4
    """Weight decay on matrices; biases are left alone."""
    clip_norm: float = 2.0
    """Largest norm of the gradient; 0 leaves gradients as they are."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"steps": 6000, "relaxations": 3},
        "small": {"steps": 30_000, "width": 128, "relaxations": 6},
        "full": {"steps": 300_000, "width": 256, "relaxations": 6, "layers": 2, "lr": 1e-3},
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (5e-4, 1e-2), "weight_decay": (1e-5, 1e-1)}
    """Ranges that are searched, both on a logarithmic scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self,
            width=(self.width >= 1, "1 or more"),
            relaxations=(self.relaxations >= 1, "1 or more"),
            layers=(self.layers >= 1, "1 or more"),
        )

    def network(self, image_shape: tuple[int, ...], classes: int) -> PlannerNetwork:
        """The network with fresh weights, `(B, C, N)` to `(B, N, N)`."""
        channels, nodes = image_shape
        features = channels - LINKS - nodes if self.features else 0
        inputs = 3 * nodes + 1 + features
        core = BellmanFordNetwork(inputs, self.width, nodes, self.relaxations, self.layers, self.reducer)
        return PlannerNetwork(core, features)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Trains from random weights."""
        execution, held_out = context.execution or Execution(), data.held_out

        def make() -> PlannerNetwork:
            network = self.network(data.image_shape, len(data.classes))
            network.standardise(data.train.images)
            return network

        def loss(network: nn.Module, maps: Tensor, hops: Tensor, generator: torch.Generator) -> Tensor:
            maps, after = drawn(maps, hops, self.renumber, generator)
            return next_node_loss(network(maps), maps, after, self.label_smoothing)

        trained, facts = fit_network(
            self,
            fresh(make, context),
            Batches(
                data.train.images,
                torch.from_numpy(next_hops(data.train.images, data.train.labels)),
                batch_size=self.batch_size,
                seed=context.seed,
                device=execution.resolved_device(),
            ),
            loss,
            context,
            monitor=(lambda network: validate(network, held_out, execution)) if held_out else None,
            log_lines=20,
            flops=lambda network: forward_flops(network, data.image_shape),
        )
        return Fitted(NeuralPlanner(trained, self.ahead, execution), facts)

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> NeuralPlanner:
        """Restores a network that `fit` trained."""
        network = with_weights(self.network(image_shape, classes), folder)
        return NeuralPlanner(network, self.ahead, execution)
