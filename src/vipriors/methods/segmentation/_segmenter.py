"""A trained network as a segmenter: what it is fed, what it answers, how it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vipriors.methods.segmentation._loss import resized
from vipriors.train import NetworkModel, shown

BATCH = 8
"""Images at a time; activations at full resolution are large."""


class NetworkSegmenter(NetworkModel):
    """Label maps from a network that returns logits `(B, K, h, w)`, at its input's size or smaller."""

    def logits(self, images: NDArray[np.uint8], size: tuple[int, int] | None = None) -> Tensor:
        """Logits `(N, K, h, w)` of uint8 images `(N, H, W, C)`, all at once; at a size, or as they come."""
        with torch.inference_mode(), self.execution.autocast():
            found: Tensor = self.network(next(shown(images, len(images), self.device))).float()
            return found if size is None else resized(found, size)

    def maps(
        self, images: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[NDArray[np.uint8]]:
        """The likeliest class of each pixel, `(h, w)` for each of the images `(N, H, W, C)`."""
        for start in range(0, len(images), BATCH):
            logits = self.logits(images[start : start + BATCH])
            for one, size in zip(logits, sizes[start : start + BATCH], strict=True):
                yield resized(one[None], size)[0].argmax(0).to(torch.uint8).cpu().numpy()


class RenderingSegmenter(NetworkSegmenter):
    """Label maps from a network that takes a `size` and returns logits of it."""

    def logits(self, images: NDArray[np.uint8], size: tuple[int, int] | None = None) -> Tensor:
        """Logits `(N, K, h, w)` of uint8 images `(N, H, W, C)`, all at once; at a size, or the images'."""
        with torch.inference_mode(), self.execution.autocast():
            found: Tensor = self.network(next(shown(images, len(images), self.device)), size=size)
            return found.float()

    def maps(
        self, images: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[NDArray[np.uint8]]:
        """The likeliest class of each pixel, `(h, w)` for each of the images `(N, H, W, C)`."""
        # Images of one size that follow one another go through the network together.
        for size, group in groupby(zip(range(len(images)), sizes, strict=True), key=lambda pair: pair[1]):
            places = [place for place, _ in group]
            for start in range(places[0], places[-1] + 1, BATCH):
                stop = min(start + BATCH, places[-1] + 1)
                yield from self.logits(images[start:stop], size).argmax(1).to(torch.uint8).cpu().numpy()
