"""Trains the networks whose features generated digits are measured by: `python -m … feature_networks FILE`.

Three learn to tell the classes apart, three to tell by how many quarters an image was turned, one learns
nothing. They learn from random weights, from the 1,000 digits of challenge digits-generation alone; the
200 that it gives to reconstruct set the zero and unit of features, and say how good a network is. What is
found is written once and stays: a score is comparable only with those by the same weights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.data.files import write_atomic
from vipriors.data.npz import npz_bytes
from vipriors.tasks.feature_network import FeatureNetwork
from vipriors.worlds.digits_hidden import digits_hidden

WIDTHS = (8, 16, 16)
FEATURES = 32
STEPS = 3000
BATCH = 64
SEEDS = (0, 1, 2)


class Features(nn.Module):
    """Three convolutions and an embedding, and on it a head: images `(B, C, H, W)` to logits."""

    def __init__(self, image_shape: tuple[int, int, int], outputs: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        for number, out in enumerate(WIDTHS):
            stride = 2 if number else 1
            self.add_module(f"conv{number}", nn.Conv2d(channels, out, 3, stride, 1))
            channels, height, width = out, -(-height // stride), -(-width // stride)
        self.embed = nn.Linear(channels * height * width, FEATURES)
        self.head = nn.Linear(FEATURES, outputs)

    def embedded(self, images: Tensor) -> Tensor:
        """Features `(B, D)`."""
        x = images
        for number in range(len(WIDTHS)):
            x = functional.relu(self.get_submodule(f"conv{number}")(x))
        found: Tensor = self.embed(x.flatten(1))
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images in [0, 1]."""
        found: Tensor = self.head(functional.relu(self.embedded(images)))
        return found


def varied(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images moved by up to a pixel, brighter or darker, with a little noise: no detector of roundings."""
    padded = functional.pad(images, (1, 1, 1, 1))
    height, width = images.shape[2:]
    row, column = torch.randint(3, (2,), generator=generator).tolist()
    moved = padded[:, :, row : row + height, column : column + width]
    light = 0.85 + 0.3 * torch.rand(len(images), 1, 1, 1, generator=generator)
    return (moved * light + 0.03 * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def turned(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Square images turned by 0 to 3 quarters, and by how many."""
    quarters = torch.randint(4, (len(images),), generator=generator)
    pairs = zip(images, quarters.tolist(), strict=True)
    return torch.stack([torch.rot90(image, by, (1, 2)) for image, by in pairs]), quarters


def trained(
    images: NDArray[np.uint8], labels: NDArray[np.int64] | None, outputs: int, seed: int, steps: int
) -> Features:
    """A network from random weights; without labels it learns to tell how an image was turned."""
    generator = torch.Generator().manual_seed(1000 + seed)
    torch.manual_seed(2000 + seed)
    known = torch.from_numpy(images).movedim(-1, 1).float() / 255
    channels, height, width = known.shape[1:]
    network = Features((channels, height, width), outputs)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for _ in range(steps):
        chosen = torch.randint(len(known), (BATCH,), generator=generator)
        batch, truth = known[chosen], torch.zeros(BATCH, dtype=torch.int64)
        if labels is None:
            batch, truth = turned(batch, generator)
        else:
            truth = torch.from_numpy(labels)[chosen]
        loss = functional.cross_entropy(network(varied(batch, generator)), truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()


def stored(
    name: str, network: Features, apart: NDArray[np.uint8], accuracy: Callable[[FeatureNetwork], float]
) -> dict[str, NDArray[Any]]:
    """A network's weights as scorers read them, standardised by images that it has not seen."""
    weights: dict[str, NDArray[Any]] = {
        key: value.detach().numpy().astype(np.float16) for key, value in network.state_dict().items()
    }
    rounded = FeatureNetwork(name, weights)
    found = rounded.embedded(apart)
    weights |= {"centre": found.mean(0), "scale": np.array(np.sqrt(found.var(0).mean()))}
    weights["accuracy"] = np.array(accuracy(replace(rounded, weights=weights)))
    if rounded.kind != "supervised":
        weights = {key: value for key, value in weights.items() if not key.startswith("head.")}
    return {f"{name}/{key}": value for key, value in weights.items()}


def train_all(
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    apart: NDArray[np.uint8],
    apart_classes: NDArray[np.int64],
    steps: int = STEPS,
) -> dict[str, NDArray[Any]]:
    """Weights of all seven networks by `NAME/WEIGHT`.

    Args:
        images: `(N, H, W, C)`, square; what is learned from.
        classes: `(N,)`.
        apart: `(M, H, W, C)`, neither learned from nor the reference of any score.
        apart_classes: `(M,)`.
        steps: Of each training.
    """
    quarters = np.concatenate([np.rot90(apart, by, (1, 2)) for by in range(4)])
    truth = np.repeat(np.arange(4), len(apart))
    count = int(classes.max()) + 1
    arrays: dict[str, NDArray[Any]] = {}
    for seed in SEEDS:
        arrays |= stored(
            f"supervised-{seed}",
            trained(images, classes, count, seed, steps),
            apart,
            lambda network: float((network.logits(apart).argmax(1) == apart_classes).mean()),
        )
        arrays |= stored(
            f"self-supervised-{seed}",
            trained(images, None, 4, 10 + seed, steps),
            apart,
            lambda network: float((network.logits(quarters).argmax(1) == truth).mean()),
        )
    return arrays | stored("random-0", trained(images, None, 4, 20, 0), apart, lambda _: float("nan"))


def main(file: Path) -> None:
    """Trains the networks of challenge digits-generation."""
    torch.set_num_threads(1)
    source = digits_hidden("generation")
    train, test = (
        source.labelled([sample for sample in source.samples if sample.split == split])
        for split in ("train", "test")
    )
    arrays = train_all(*train, *test)
    write_atomic(file, npz_bytes(arrays, compressed=True))
    for name in sorted(name for name in arrays if name.endswith("/accuracy")):
        print(f"{name} {float(arrays[name]):.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
