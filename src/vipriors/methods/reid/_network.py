"""What networks for re-identification need beside the common engine: batches of persons, embedding images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.train import Batches, Execution, step_seed


class PersonBatches(Batches):
    """Draws batches of several images of each of a few persons, so that every image has company.

    What is drawn at a step depends on the seed and the step alone: persons without repetition, then images of
    each, without repetition if there are enough. Where there are fewer persons than a batch has room for, it
    has all of them and is smaller.

    Args:
        images: `(N, H, W, C)` uint8.
        persons: `(N,)`, 0 to P - 1.
        images_per_person: Images of each person in a batch.
        batch_size: Images in a batch, a multiple of that.
        seed: Decides what is drawn.
        device: Where batches are wanted.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        persons: NDArray[np.int64],
        *,
        images_per_person: int,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        super().__init__(images, persons, batch_size=batch_size, seed=seed, device=device)
        self.images_per_person = images_per_person
        self.of_person = [torch.from_numpy(np.flatnonzero(persons == p)) for p in np.unique(persons)]

    def indices(self, step: int) -> Tensor:
        """Which images make up the batch of a step, those of a person together."""
        generator = torch.Generator().manual_seed(step_seed(self.seed, step))
        count = self.batch_size // self.images_per_person
        chosen = torch.randperm(len(self.of_person), generator=generator)[:count].tolist()
        parts = [self._some(self.of_person[person], generator) for person in chosen]
        return torch.cat(parts).to(self.images.device)

    def _some(self, images: Tensor, generator: torch.Generator) -> Tensor:
        passes = -(-self.images_per_person // len(images))
        order = torch.randperm(len(images), generator=generator).repeat(passes)
        return images[order[: self.images_per_person]]


class NetworkEmbedder:
    """Embeddings from a network: its outputs scaled to length 1, so that distances rank as cosines do."""

    def __init__(self, network: nn.Module, execution: Execution | None = None) -> None:
        self.execution = execution or Execution()
        self.device = self.execution.resolved_device()
        # The layout that training leaves: another one rounds otherwise, and a model that was loaded would not
        # answer what it answered when it was saved.
        network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network

    def embeddings(self, images: NDArray[np.uint8], batch_size: int = 256) -> NDArray[np.float32]:
        """Points `(N, D)` of length 1 for uint8 images `(N, H, W, C)`."""
        parts = []
        with torch.inference_mode(), self.execution.autocast():
            for start in range(0, len(images), batch_size):
                batch = torch.from_numpy(np.array(images[start : start + batch_size])).to(self.device)
                points = self.network(batch.permute(0, 3, 1, 2).float().div_(255))
                parts.append(functional.normalize(points.float()).cpu().numpy())
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Writes the weights to `folder/model.pt`."""
        torch.save(self.network.state_dict(), folder / "model.pt")

    @classmethod
    def load(cls, folder: Path, network: nn.Module, execution: Execution | None = None) -> NetworkEmbedder:
        """Reads the weights that `save` wrote into a network of the same shape."""
        state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
        network.load_state_dict(state)
        return cls(network, execution)
