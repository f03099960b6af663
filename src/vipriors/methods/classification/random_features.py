"""Random features: a linear probe on a network that has learned nothing.

Source: the floor of every paper on learning without labels; how high it is was shown by Jarrett, Kavukcuoglu,
Ranzato, LeCun, "What is the best multi-stage architecture for object recognition?", ICCV 2009.

Mechanism: random weights, which stay; batch normalisation has the statistics of all images there are to learn
from, as varied as a method that learns without labels sees them. The probe is the one of these methods.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from vipriors.methods._fitting import fresh, parameters
from vipriors.methods.classification._pretrained import pool, probed
from vipriors.methods.classification.residual import Residual
from vipriors.methods.protocol import Classifier, Context, Fitted, TrainingSet
from vipriors.train import Execution, NetworkClassifier, Standardise, forward_flops, shown, weights_hash

BATCH = 256
"""Images whose statistics are taken at once."""


@dataclass(frozen=True)
class RandomFeatures:
    """Hyper-parameters of the network of `residual`, whose weights stay random."""

    width: int = 32
    """Channels of the first stage; each later stage has twice as many."""
    stages: int = 3
    """Stages, each at half the resolution of the one before."""
    blocks: int = 1
    """Residual blocks a stage."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {key: values[key] for key in ("width", "blocks") if key in values}
        for name, values in Residual.presets.items()
    }

    @property
    def like(self) -> Residual:
        """The method whose network it is."""
        return Residual(width=self.width, stages=self.stages, blocks=self.blocks)

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Fits the probe alone."""
        execution, images = context.execution or Execution(), pool(data)

        def make() -> nn.Module:
            body = self.like.network(data.image_shape, len(data.classes))
            return nn.Sequential(Standardise.of(images), body)

        began = time.monotonic()
        network = fresh(make, context)
        initial = weights_hash(network)
        device = execution.resolved_device()
        network.train().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean over all batches, and not over the last ones
        with torch.no_grad(), execution.autocast():
            for batch in shown(images, BATCH, device):
                network(batch)
        network = probed(network, data, images, execution)
        facts = {
            "seconds": round(time.monotonic() - began, 2),
            "parameters": parameters(network),
            "flops_per_image": forward_flops(network, data.image_shape),
            "initial_weights_sha256": initial,
            "final_weights_sha256": weights_hash(network),
        }
        return Fitted(NetworkClassifier(network, execution), facts)

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Classifier:
        """Restores a network that `fit` left."""
        return self.like.load(folder, image_shape, classes, execution)
