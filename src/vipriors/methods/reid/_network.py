"""What networks for re-identification need beside the common engine: batches of persons, embedding images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vipriors.train import Batches, NetworkModel, shown, step_seed


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


class NetworkEmbedder(NetworkModel):
    """Embeddings from a network: its outputs scaled to length 1, so that distances rank as cosines do."""

    def embeddings(self, images: NDArray[np.uint8], batch_size: int = 256) -> NDArray[np.float32]:
        """Points `(N, D)` of length 1 for uint8 images `(N, H, W, C)`."""
        parts = []
        with torch.inference_mode(), self.execution.autocast():
            for batch in shown(images, batch_size, self.device):
                points = self.network(batch)
                parts.append(functional.normalize(points.float()).cpu().numpy())
        return np.concatenate(parts)
