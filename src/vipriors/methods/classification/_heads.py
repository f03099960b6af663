"""Heads that tell the loss more than logits while the network is trained."""

from __future__ import annotations

from torch import Tensor, nn


class WithFeatures(nn.Module):
    """A head that gives its features too while training, for losses that look at them.

    Args:
        head: From features `(B, D)` to logits `(B, K)`.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """`(B, D)` to logits `(B, K)`; in training to logits and the features."""
        logits: Tensor = self.head(features)
        return (logits, features) if self.training else logits
