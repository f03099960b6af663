"""What momentum contrast and its end-to-end rival share: all but the keys and the negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods.classification._network import Scaffold
from vipriors.methods.classification._pretrained import PreTrained, split_head
from vipriors.priors.contrast import projection_head
from vipriors.priors.layers import split_batch_norms
from vipriors.problems import BadInput


class Projecting(Scaffold):
    """A network that normalises batches in parts, and a head for the vectors that are contrasted.

    Args:
        network: Gives features before its last layer.
        dimensions: Of the vectors.
        groups: Parts in which a batch is normalised.
    """

    def __init__(self, network: nn.Module, dimensions: int, groups: int) -> None:
        super().__init__(split_batch_norms(network, groups))
        self.projector = projection_head(split_head(network)[1].in_features, dimensions)


def vectors(network: nn.Module, projector: nn.Module, images: Tensor) -> Tensor:
    """Unit vectors `(B, D)` of images `(B, C, H, W)`, by the features of a network before its last layer."""
    encoder, _ = split_head(network)
    return functional.normalize(projector(encoder(images)).float(), dim=1)


@dataclass(frozen=True)
class Contrast(PreTrained):
    """Hyper-parameters of contrast between views."""

    dimensions: int = 64
    """Of queries and keys."""
    temperature: float = 0.1
    """Divides cosines in the contrastive loss."""
    groups: int = 2
    """Parts in which a batch is normalised, each by its own statistics; 1 lets pairs be told by them."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "tiny": {"steps": 5000, "batch_size": 16, "width": 16, "lr": 0.06},
        "small": {"steps": 20_000, "batch_size": 64, "width": 32, "lr": 0.06, "groups": 8},
        # As published for ImageNet, but for the network.
        "full": {
            "steps": 100_000,
            "batch_size": 256,
            "width": 64,
            "blocks": 2,
            "lr": 0.03,
            "weight_decay": 1e-4,
            "crop": 0.2,
            "dimensions": 128,
            "groups": 8,
        },
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {
        **PreTrained.tuning,
        "temperature": (0.05, 0.5),
        "crop": (0.1, 0.8),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 1 or self.batch_size % self.groups:
            found = f"is {self.groups}; expected a divisor of batch_size, which is {self.batch_size}"
            raise BadInput.single("groups", found)
