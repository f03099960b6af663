"""The parts of momentum contrast: a slow copy of a network, a queue of its keys, and shuffled batches.

Source: He, Fan, Wu, Xie, Girshick, "Momentum contrast for unsupervised visual representation learning", CVPR
2020; the head of two layers is that of Chen, Fan, Girshick, He, "Improved baselines with momentum contrastive
learning", 2020. The loss is `losses.info_nce_loss`.

>>> encoder, key_encoder, queue = nn.Linear(8, 4), nn.Linear(8, 4), KeyQueue(32, 4)
>>> follow(key_encoder, encoder, momentum=0.99)
>>> keys = shuffled(key_encoder, torch.rand(16, 8))
>>> queue(functional.normalize(keys)).shape
torch.Size([32, 4])
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class KeyQueue(nn.Module):
    """The latest keys, the newest first; at the start, directions at random.

    Args:
        size: K, how many are remembered.
        dimensions: D, of each.
    """

    keys: Tensor

    def __init__(self, size: int, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("keys", functional.normalize(torch.randn(size, dimensions)))

    @torch.no_grad()
    def forward(self, keys: Tensor) -> Tensor:
        """Takes in the keys `(B, D)` of a batch, which push out the oldest.

        Returns:
            The keys `(K, D)` that were there before: a query's own key must not be among its negatives.
        """
        before = self.keys
        # A new tensor, and not a write into the old one, which the backward pass still needs.
        self.keys = torch.cat([keys.to(before.dtype), before])[: len(before)]
        return before


@torch.no_grad()
def follow(follower: nn.Module, leader: nn.Module, momentum: float) -> None:
    """Moves the weights of one network a little towards those of another of the same shape.

    Buffers, such as the statistics of a normalisation, stay the follower's own.

    Args:
        follower: Whose weights become `momentum` times themselves and the rest the leader's.
        leader: Stays as it is.
        momentum: 1 does nothing, 0 copies.
    """
    weights = [weight.detach() for weight in leader.parameters()]
    torch._foreach_lerp_(list(follower.parameters()), weights, 1 - momentum)


def shuffled(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """What a network makes of a batch `(B, ...)` that it is given in random order, in the order of the batch.

    With `layers.SplitBatchNorm2d` an image's two views then are normalised among different images, and
    statistics do not give away which belong together. Draws from torch's global random numbers.
    """
    order = torch.randperm(len(images)).to(images.device)
    return network(images[order])[order.argsort()]


def projection_head(inputs: int, outputs: int) -> nn.Sequential:
    """From features `(B, inputs)` to the vectors `(B, outputs)` that are contrasted, by two layers."""
    return nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(), nn.Linear(inputs, outputs))
