"""Training batches without a data loader: decoded images wait where the network runs.

A small training set fits in memory many times over, so nothing is decoded, copied or collated while a run
is under way: a batch is one gather from a uint8 tensor. What is drawn at a step depends on the seed and the
step alone, never on what was drawn before, which is what makes a resumed run equal an uninterrupted one.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DEVICE_SHARE = 0.5
"""The training set moves to an accelerator when it takes less than this share of the free memory there."""


def step_seed(seed: int, step: int) -> int:
    """A 63-bit seed for one step of one run; close inputs give unrelated outputs (SplitMix64)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1


class Batches:
    """Draws shuffled batches from a set of decoded images.

    The stream is one permutation of the images after another, cut into batches of equal size; a batch may
    span two permutations, so every batch is full even when there are fewer images than a batch holds.

    Args:
        images: `(N, H, W, C)` or clips `(N, T, H, W, C)`, uint8, or clouds `(N, P, C)`, float32; in memory or
            memory-mapped.
        labels: `(N,)` integers, or any tensor of targets with N rows.
        batch_size: Images in a batch.
        seed: Decides the order.
        device: Where batches are wanted. The whole set moves there when it fits.
    """

    def __init__(
        self,
        images: NDArray[Any],
        labels: NDArray[np.int64] | Tensor,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        if len(images) == 0:
            raise ValueError("no images to draw batches from")
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.images = _near(images, device)
        self.labels = torch.as_tensor(labels).to(device)
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        """Number of images in the set."""
        return len(self.images)

    def order(self, epoch: int) -> Tensor:
        """The permutation of the images used in one pass over the set, `(N,)`."""
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(step_seed(self.seed, epoch))
            self._order = torch.randperm(len(self), generator=generator).to(self.images.device)
            self._epoch = epoch
        return self._order

    def indices(self, step: int) -> Tensor:
        """Which images make up the batch of a step, `(batch_size,)`."""
        start, stop = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        while start < stop:
            epoch, offset = divmod(start, len(self))
            part = self.order(epoch)[offset : offset + stop - start]
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: images `(B, C, H, W)` in [0, 1], channels last in memory, and targets.

        Clips are `(B, C, T, H, W)`; clouds `(B, C, P)`, as they are.
        """
        indices = self.indices(step)
        targets = self.labels[indices.to(self.labels.device)]
        return _gathered(self.images, indices, self.device), targets


class Unlabelled:
    """Draws batches from images without labels.

    Args:
        images: `(N, H, W, C)`, uint8, in memory or memory-mapped.
        batch_size: Images in a batch; all of them where there are no more.
        device: Where batches are wanted. The whole set moves there when it fits.
    """

    def __init__(self, images: NDArray[np.uint8], *, batch_size: int, device: torch.device) -> None:
        self.batch_size = min(batch_size, len(images))
        self.device = device
        self.images = _near(images, device)

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Images `(B, C, H, W)` in [0, 1], none twice, drawn with a step's random numbers.

        So a resumed run draws what it would have drawn, as `Batches` does.
        """
        order = torch.randperm(len(self.images), generator=generator)
        return _gathered(self.images, order[: self.batch_size].to(self.images.device), self.device)


def _near(images: NDArray[Any], device: torch.device) -> Tensor:
    """The images as a tensor, on the device if they fit there."""
    with warnings.catch_warnings():
        # A memory-mapped cache is read-only; it is only ever gathered from.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        found = torch.from_numpy(images)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if found.nbytes < DEVICE_SHARE * free:
            found = found.to(device)
    return found


def _gathered(images: Tensor, indices: Tensor, device: torch.device) -> Tensor:
    """Some of the images in [0, 1], channels first, on the device."""
    batch = images[indices]
    if batch.device != device:
        batch = batch.pin_memory().to(device, non_blocking=True)
    return as_seen(batch)


def as_seen(images: Tensor) -> Tensor:
    """Images, clips or clouds as networks take them: channels first, and whole numbers brought to [0, 1]."""
    images = images.movedim(-1, 1)
    return images if images.is_floating_point() else images.to(torch.float32).div_(255)
