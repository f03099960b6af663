"""A trained network as a segmenter: what it is fed, what it answers, how it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vipriors.methods.segmentation._loss import resized
from vipriors.train import Execution

BATCH = 8
"""Images at a time; activations at full resolution are large."""


class NetworkSegmenter:
    """Label maps from a network that returns logits `(B, K, h, w)`, at its input's size or smaller."""

    def __init__(self, network: nn.Module, execution: Execution | None = None) -> None:
        self.execution = execution or Execution()
        self.device = self.execution.resolved_device()
        # The layout that training leaves: another one rounds otherwise.
        network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network

    def logits(self, images: NDArray[np.uint8]) -> Tensor:
        """Logits `(N, K, h, w)` of uint8 images `(N, H, W, C)`, all at once."""
        batch = torch.from_numpy(np.array(images)).to(self.device)
        with torch.inference_mode(), self.execution.autocast():
            found: Tensor = self.network(batch.permute(0, 3, 1, 2).float().div_(255))
            return found.float()

    def maps(
        self, images: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[NDArray[np.uint8]]:
        """The likeliest class of each pixel, `(h, w)` for each of the images `(N, H, W, C)`."""
        for start in range(0, len(images), BATCH):
            logits = self.logits(images[start : start + BATCH])
            for one, size in zip(logits, sizes[start : start + BATCH], strict=True):
                yield resized(one[None], size)[0].argmax(0).to(torch.uint8).cpu().numpy()

    def save(self, folder: Path) -> None:
        """Writes the weights to `folder/model.pt`."""
        torch.save(self.network.state_dict(), folder / "model.pt")

    @classmethod
    def load(cls, folder: Path, network: nn.Module, execution: Execution | None = None) -> NetworkSegmenter:
        """Reads the weights that `save` wrote into a network of the same shape."""
        state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
        network.load_state_dict(state)
        return cls(network, execution)
