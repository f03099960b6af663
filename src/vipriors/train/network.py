"""A trained network where it predicts: what it is fed, what it answers as a classifier, how it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vipriors.train.batches import as_seen
from vipriors.train.recipe import Execution


class Standardise(nn.Module):
    """Shifts and scales each channel by the training images' mean and deviation.

    Being a layer, it travels with the weights: predicting and exporting take plain images in [0, 1].

    Args:
        mean: `(C,)`
        deviation: `(C,)`, standard deviation; channels that never vary are only shifted.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1).float())
        deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
        self.register_buffer("deviation", deviation.reshape(1, -1, 1, 1).float())

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> Standardise:
        """The layer for a set of images `(N, H, W, C)` uint8."""
        # Counting how often each of the 256 values occurs is exact, and quicker than any sum over floats. A
        # block at a time: the set may be a memory-mapped file larger than memory.
        counts = np.zeros((images.shape[3], 256), np.int64)
        for start in range(0, len(images), 64):
            for channel, count in enumerate(counts):
                count += np.bincount(images[start : start + 64, :, :, channel].ravel(), minlength=256)
        share, values = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
        mean = share @ values
        deviation = np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
        return cls(torch.from_numpy(mean), torch.from_numpy(deviation))

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` in [0, 1] to `(B, C, H, W)` with zero mean and unit deviation a channel."""
        return (images - self.mean).div_(self.deviation)


class NetworkModel:
    """A trained network on its device, in evaluation mode; models of every task build on it.

    Args:
        network: Takes images `(B, C, H, W)` or clips `(B, C, T, H, W)` in [0, 1].
        execution: Device and precision; the best available by default.
    """

    def __init__(self, network: nn.Module, execution: Execution | None = None) -> None:
        self.execution = execution or Execution()
        self.device = self.execution.resolved_device()
        # The layout that training leaves: another one rounds otherwise, and a model that was loaded would not
        # answer what it answered when it was saved.
        network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network

    def save(self, folder: Path) -> None:
        """Writes the weights to `folder/model.pt`."""
        torch.save(self.network.state_dict(), folder / "model.pt")


class NetworkClassifier(NetworkModel):
    """Class probabilities from a network that returns logits."""

    def probabilities(self, images: NDArray[Any], batch_size: int = 256) -> NDArray[np.float32]:
        """Class probabilities `(N, K)` of images `(N, H, W, C)` or clouds `(N, P, C)`."""
        parts = []
        with torch.inference_mode(), self.execution.autocast():
            for batch in shown(images, batch_size, self.device):
                parts.append(self.network(batch).float().softmax(1).cpu().numpy())
        return np.concatenate(parts)


def with_weights(network: nn.Module, folder: Path) -> nn.Module:
    """The network with the weights that `NetworkModel.save` wrote of one of the same shape."""
    network.load_state_dict(torch.load(folder / "model.pt", map_location="cpu", weights_only=True))
    return network


def shown(images: NDArray[Any], batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Images `(N, H, W, C)`, clips `(N, T, H, W, C)` or clouds `(N, P, C)` as `as_seen`, batch by batch."""
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(np.array(images[start : start + batch_size])).to(device)
        yield as_seen(batch)


def weights_hash(network: nn.Module) -> str:
    """SHA-256 over all parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def forward_flops(network: nn.Module, image_shape: tuple[int, ...], **more: Any) -> int:
    """Floating-point operations of one forward pass on one image `(C, H, W)`; a multiply-add is two.

    Of clips and clouds likewise. The network is given `more`, too.
    """
    from torch.utils.flop_counter import FlopCounterMode

    device = next(network.parameters()).device
    training = network.training
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *image_shape, device=device), **more)
    network.train(training)
    return int(counter.get_total_flops())
