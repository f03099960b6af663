"""End-to-end contrast: views of an image are found among those of its own batch.

Source: the baseline of He, Fan, Wu, Xie, Girshick, "Momentum contrast for unsupervised visual representation
learning", CVPR 2020; as in van den Oord, Li, Vinyals, "Representation learning with contrastive predictive
coding", 2018.

Mechanism: queries and keys come from one network, which learns from both. The negatives are the other keys of
the batch and nothing else, so that there are few of them where batches are small.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper: those of `moco`, from which it differs in the above alone. A step costs two
backward passes, and not one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vipriors.methods.classification._contrast import Contrast, Projecting, vectors
from vipriors.methods.classification._network import Scaffold
from vipriors.priors.augment import Compose
from vipriors.priors.contrast import shuffled
from vipriors.priors.losses import in_batch_info_nce_loss


class EndToEnd(Projecting):
    """One network for queries and keys."""

    def learn(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys `(B, D)` of two views of the same images."""
        queries = vectors(self.network, self.projector, first)
        return queries, shuffled(lambda batch: vectors(self.network, self.projector, batch), second)


@dataclass(frozen=True)
class EndToEndContrast(Contrast):
    """Hyper-parameters of end-to-end contrast."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Contrast.presets

    def pretraining(self, network: nn.Module, images: int) -> Scaffold:
        """The network with its head."""
        return EndToEnd(network, self.dimensions, self.groups)

    def pretext_loss(
        self, network: nn.Module, images: Tensor, numbers: Tensor, views: Compose, generator: torch.Generator
    ) -> Tensor:
        """The contrastive loss of two views, against the batch."""
        queries, keys = network(views(images, generator), views(images, generator))
        return in_batch_info_nce_loss(queries, keys, self.temperature)
