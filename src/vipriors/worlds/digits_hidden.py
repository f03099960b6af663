"""The handwritten digits for generators: to learn from, to reconstruct, and hidden ones to compare with.

1,000 digits are to learn from and 200 to reconstruct, as many of each class; the other 597 are the hidden
reference. No digit is in two of them. Beside this module lie the networks that images are compared by,
trained from random weights on the 1,000 alone, by `python -m vipriors.bench.feature_networks FILE`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vipriors.data.images import encode_png
from vipriors.data.npz import npz_bytes
from vipriors.data.sources.base import Named, SourceSample
from vipriors.problems import BadInput
from vipriors.worlds._digits import pool
from vipriors.worlds.digits import digits

LEARNED, RECONSTRUCTED = 100, 20
"""Digits of each class to learn from, and to reconstruct."""
NETWORKS = Path(__file__).with_suffix(".npz")


@dataclass(frozen=True)
class HiddenDigits:
    """The digits with what generated ones are compared with."""

    samples: tuple[SourceSample, ...]
    reference: tuple[int, ...]
    """Places of the hidden digits among all."""
    name: str = "digits_hidden"
    root: Path | None = None
    media: Literal["images"] = "images"
    classes: tuple[str, ...] = ("image",)
    names: tuple[str, ...] = tuple("0123456789")

    def content(self, sample: SourceSample) -> tuple[str, bytes]:
        """The digit as a PNG."""
        return ".png", encode_png(self._images[_place(sample)])

    def annotations(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """`labels.npz` as task generation reads it.

        The test is compared with the hidden digits. Images of another split are compared with themselves, and
        learned from are the others.
        """
        if not named:
            return
        samples = [sample for _, sample in named]
        images, classes = self.labelled(samples)
        places = [_place(sample) for sample in samples]
        own = {_place(sample) for sample in self.samples if sample.split == "train"}
        test = named[0][1].split == "test"
        arrays = {
            "ids": np.array([name for name, _ in named]),
            "images": images,
            "classes": classes,
            "reference": self._images[list(self.reference)] if test else images,
            "learned_from": self._images[sorted(own - set(places)) or sorted(own)],
        }
        networks = {f"networks/{name}": array for name, array in networks_of_digits().items()}
        yield "labels.npz", npz_bytes(arrays | networks)

    def test_index(self, named: Named) -> Iterator[tuple[str, bytes]]:
        """Nothing: the images are all there is to know."""
        return iter(())

    def labelled(self, samples: Sequence[SourceSample]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images `(N, 8, 8, 1)` and classes `(N,)` of some digits."""
        places = [_place(sample) for sample in samples]
        return self._images[places], np.asarray(digits().parts[0].labels)[places]

    @cached_property
    def _images(self) -> NDArray[np.uint8]:
        return np.asarray(digits().parts[0].images)


def digits_hidden(task: str) -> HiddenDigits:
    """The digits with labels for `generation`.

    Raises:
        BadInput: The task is another.
    """
    if task != "generation":
        message = f"has no labels for {task}; expected task generation"
        raise BadInput.single("world digits_hidden", message)
    samples: list[SourceSample] = []
    reference: list[int] = []
    for seen, others in zip(pool(test=False), pool(test=True), strict=True):
        hands = (*seen, *others)
        last = LEARNED + RECONSTRUCTED
        for places, split in ((hands[:LEARNED], "train"), (hands[LEARNED:last], "test")):
            samples += [SourceSample(f"digits#{place}", 0, split) for place in places]
        reference += hands[last:]
    samples.sort(key=lambda sample: _place(sample))
    return HiddenDigits(tuple(samples), tuple(sorted(reference)))


def networks_of_digits() -> dict[str, NDArray[Any]]:
    """Weights of the networks that digits are compared by, by `NAME/WEIGHT`."""
    with np.load(NETWORKS, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _place(sample: SourceSample) -> int:
    return int(sample.key.rpartition("#")[2])
