"""Small PointNet with tuned cross-entropy: the baseline to beat on clouds of points.

Source: Qi, Su, Mo, Guibas, "PointNet: deep learning on point sets for 3D classification and segmentation",
CVPR 2017; the recipe as that of `residual` (cross-entropy alone, learning rate and weight decay searched).

Mechanism: each point is looked at alone by the same layers; the largest value of each feature over all points
describes the cloud, whatever their order and number.

Shapes: clouds `(B, 3, N)` to logits `(B, K)`.

Deviations from the paper:
1. No transformation networks (the paper's "vanilla" form); `full` has its widths.
2. Clouds are brought to one origin and unit by the training set's, not each by its own, so that sizes tell.
3. AdamW with a cosine schedule to zero in place of Adam with steps; a budget in steps, not epochs.
4. Each step sees other points of a cloud, and the cloud varied as the challenge says leaves its label.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from vipriors.methods.points._network import PointMethod, PointNetwork


def pointwise(inputs: int, outputs: int) -> nn.Sequential:
    """One layer that looks at each point alone, `(B, inputs, N)` to `(B, outputs, N)`."""
    return nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs), nn.ReLU())


def point_net(widths: tuple[int, ...], hidden: tuple[int, ...], classes: int, dropout: float) -> PointNetwork:
    """A PointNet.

    Args:
        widths: Features of a point after each layer.
        hidden: Features of a cloud after each layer of the head but the last.
        classes: Number of logits.
        dropout: Share of features dropped before the last layer.
    """
    sides = (3, *widths)
    layers = [pointwise(a, b) for a, b in itertools.pairwise(sides)]
    head: list[nn.Module] = []
    sides = (widths[-1], *hidden)
    for inputs, outputs in itertools.pairwise(sides):
        head += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
    last = nn.Linear(sides[-1], classes)
    nn.init.zeros_(last.bias)
    return PointNetwork(layers, nn.Sequential(*head, nn.Dropout(dropout), last))


@dataclass(frozen=True)
class PointNet(PointMethod):
    """Hyper-parameters of the small PointNet."""

    widths: tuple[int, ...] = (32, 64, 128)
    """Features of a point after each layer."""
    hidden: tuple[int, ...] = (64,)
    """Features of a cloud after each layer of the head but the last."""
    dropout: float = 0.3
    """Share of features dropped before the last layer."""
    optimizer: Literal["sgd", "adamw"] = "adamw"
    """`sgd` is SGD with Nesterov momentum."""
    lr: float = 2e-3
    """Learning rate at its peak."""
    weight_decay: float = 1e-2
    """Weight decay on matrices and filters; biases and normalisation scales are left alone."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"steps": 600},
        "small": {"steps": 6000, "points": 512, "widths": (64, 64, 128, 256), "hidden": (128,)},
        "full": {
            "steps": 60_000,
            "points": 1024,
            "widths": (64, 64, 64, 128, 1024),
            "hidden": (512, 256),
        },
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": (3e-4, 3e-2), "weight_decay": (1e-4, 0.3)}
    """Ranges that are searched, both on a logarithmic scale."""

    def network(self, image_shape: tuple[int, ...], classes: int) -> PointNetwork:
        """The network with fresh weights, `(B, 3, N)` to `(B, classes)`."""
        return point_net(self.widths, self.hidden, classes, self.dropout)
