"""Residual network whose logits are t-vMF similarities: cosines with a narrow, heavy-tailed peak.

Source: Kobayashi, "T-vMF similarity for regularizing intra-class feature distribution", CVPR 2021.

Mechanism: a cosine is small only far from its class' direction, so images of a class may spread widely; the
t-vMF similarity falls off at once. Cross-entropy of it gathers the features of a class without a further
loss.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

Deviations from the paper:
1. The small network of `residual`, with its recipe, so that only the last layer differs.
2. The learned scale is kept out of weight decay, as all vectors of this package are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from vipriors.methods.classification.residual import Parts, Residual
from vipriors.priors.losses.t_vmf import TVmfHead


@dataclass(frozen=True)
class TVmf(Residual):
    """Hyper-parameters of the network with t-vMF similarities."""

    kappa: float = 16.0
    """Concentration: the higher, the narrower the peak of the similarity."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Residual.presets
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {**Residual.tuning, "kappa": (1.0, 64.0)}

    def parts(self) -> Parts:
        """A head of similarities."""
        return Parts(head=partial(TVmfHead, kappa=self.kappa))
