"""The small networks whose features generated images are measured by: convolutions, in numpy.

Their weights are part of a challenge's labels. `python -m vipriors.bench.feature_networks` trains them from
random weights on the challenge's own training images. Nothing measured by them may be called FID, KID or
LPIPS: those names stand for networks trained on other data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vipriors.tasks.findings import Findings

KINDS = ("supervised", "self-supervised", "random")
"""Trained to tell the classes apart, trained to tell how an image was turned, or not trained at all."""

CHUNK = 500
"""Images that are looked at together."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureNetwork:
    """A network with its weights; computes in double precision, so that every machine finds the same.

    Attributes:
        name: its kind and its seed: `supervised-0`.
        weights: `conv0.weight` `(O, I, 3, 3)` and `conv0.bias` `(O,)` and so on, the first with stride 1 and
            the others with stride 2; `embed.weight` `(D, F)`, `embed.bias`; of supervised ones `head.weight`
            `(K, D)`, `head.bias`; `centre` `(D,)` and `scale` `()`, by which features are standardised; and
            `accuracy` `()`, in what it was trained for, on images it has not seen (NaN for random).
    """

    name: str
    weights: Mapping[str, NDArray[Any]]

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self.name.rpartition("-")[0]

    @property
    def accuracy(self) -> float:
        """In what it was trained for, on images it has not seen; NaN for random."""
        return float(self.weights["accuracy"])

    @property
    def sha256(self) -> str:
        """Of all weights by their names."""
        digest = hashlib.sha256()
        for name, array in sorted(self.weights.items()):
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
        return digest.hexdigest()

    def features(self, images: NDArray[np.uint8]) -> Values:
        """Standardised features `(N, D)` of images uint8 `(N, H, W, C)`."""
        return (self.embedded(images) - self._of("centre")) / self._of("scale")

    def embedded(self, images: NDArray[np.uint8]) -> Values:
        """Features `(N, D)` as they come out of the network."""
        parts = [self._embedded(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
        return np.concatenate(parts)

    def logits(self, images: NDArray[np.uint8]) -> Values:
        """What a supervised network says of the classes, `(N, K)`."""
        return np.maximum(self.embedded(images), 0) @ self._of("head.weight").T + self._of("head.bias")

    def _embedded(self, images: NDArray[np.uint8]) -> Values:
        x = np.moveaxis(images.astype(np.float64) / 255, -1, 1)
        for number, key in enumerate(_convolutions(self.weights)):
            x = _convolved(x, self._of(f"{key}.weight"), 2 if number else 1)
            x = np.maximum(x + self._of(f"{key}.bias")[:, None, None], 0)
        found: Values = x.reshape(len(x), -1) @ self._of("embed.weight").T + self._of("embed.bias")
        return found

    def _of(self, name: str) -> Values:
        return np.asarray(self.weights[name], np.float64)


def add_network_faults(
    network: FeatureNetwork, shape: tuple[int, int, int], classes: int, findings: Findings
) -> None:
    """Finds what keeps a network from looking at images of a shape `(H, W, C)`."""

    def fault(message: str) -> None:
        findings.add("unfit feature networks", message, entry=network.name)

    if network.kind not in KINDS:
        fault(f"is of no known kind; expected {', '.join(KINDS)}")
        return
    height, width, channels = shape
    expected: dict[str, tuple[int, ...]] = {}
    for number, key in enumerate(_convolutions(network.weights)):
        out = network.weights[f"{key}.weight"].shape[0]
        expected |= {f"{key}.weight": (out, channels, 3, 3), f"{key}.bias": (out,)}
        if number:
            height, width = -(-height // 2), -(-width // 2)
        channels = out
    size = len(network.weights["embed.bias"]) if network.weights.get("embed.bias", np.zeros(())).ndim else 0
    expected |= {"embed.weight": (size, channels * height * width), "embed.bias": (size,)}
    expected |= {"centre": (size,), "scale": (), "accuracy": ()}
    if network.kind == "supervised":
        expected |= {"head.weight": (classes, size), "head.bias": (classes,)}
    for name, wanted in expected.items():
        array = network.weights.get(name)
        if array is None or array.dtype.kind != "f" or array.shape != wanted:
            found = "is missing" if array is None else f"is {array.dtype} {array.shape}"
            fault(f"{name} {found}; expected floats {wanted}")
        elif name != "accuracy" and not np.isfinite(array).all():
            fault(f"{name} has numbers that are not finite")
    if size == 0 or float(np.max(network.weights.get("scale", 1.0))) <= 0:
        fault("has no features, or a scale that is not above 0")


def _convolutions(weights: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    keys = (f"conv{number}" for number in count())
    return takewhile(lambda key: weights.get(f"{key}.weight", np.zeros(())).ndim == 4, keys)


def _convolved(x: Values, weight: Values, stride: int) -> Values:
    """A convolution `(N, I, H, W)` to `(N, O, h, w)` of 3 x 3 filters, with one zero around."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]
    found: Values = np.moveaxis(np.tensordot(windows, weight, axes=([1, 4, 5], [1, 2, 3])), -1, 1)
    return found
