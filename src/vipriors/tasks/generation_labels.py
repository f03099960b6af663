"""What generated images are held against: an `.npz` file of hidden images and the networks that measure.

`images` (M, H, W, C) uint8, `ids` (M,) and `classes` (M,): the images that are to be reconstructed;
`reference` (R, H, W, C): hidden ones, which generated images are compared with;
`learned_from` (T, H, W, C): all that may have been learned from, to find copies of;
`networks/NAME/WEIGHT`: the networks whose features are compared (see `feature_network`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.data.npz import npz_bytes
from vipriors.problems import BadInput
from vipriors.tasks.archive import Limits
from vipriors.tasks.arrays import Arrays, read_arrays
from vipriors.tasks.feature_network import FeatureNetwork, add_network_faults
from vipriors.tasks.findings import Findings, shown

Images = NDArray[np.uint8]

GENERATED = 2000
"""Images that a submission has to generate."""
FEWEST = 12
"""Reference images: each part of a test needs a few."""
MOST_BYTES = 2**30
_NETWORKS = "networks/"
_IMAGES = ("images", "reference", "learned_from")


@dataclass(frozen=True)
class ImageIndex:
    """What a submission must cover: the images to reconstruct, and the form of an image."""

    ids: tuple[str, ...]
    shape: tuple[int, int, int]
    """Height, width and channels."""
    generated: int = GENERATED


@dataclass(frozen=True)
class Labels:
    """What a submission is held against; arrays as in the file, in the order of the ids."""

    ids: tuple[str, ...]
    images: Images
    classes: NDArray[np.int64]
    reference: Images
    learned_from: Images
    networks: tuple[FeatureNetwork, ...]

    @property
    def index(self) -> ImageIndex:
        """What a submission must cover."""
        height, width, channels = self.images.shape[1:]
        return ImageIndex(self.ids, (height, width, channels))

    def of_kind(self, kind: str) -> list[FeatureNetwork]:
        """The networks of a kind."""
        return [network for network in self.networks if network.kind == kind]


def write_labels(
    ids: Sequence[str],
    images: Images,
    classes: NDArray[np.int64],
    reference: Images,
    learned_from: Images,
    networks: Arrays,
) -> bytes:
    """A labels file.

    Args:
        ids: M names.
        images: `(M, H, W, C)`, to be reconstructed.
        classes: `(M,)`, from 0.
        reference: `(R, H, W, C)`.
        learned_from: `(T, H, W, C)`.
        networks: weights by `NAME/WEIGHT`.
    """
    arrays = {
        "ids": np.array(ids),
        "images": images,
        "classes": classes,
        "reference": reference,
        "learned_from": learned_from,
    }
    return npz_bytes(arrays | {f"{_NETWORKS}{name}": array for name, array in networks.items()})


def read_labels(data: bytes, name: str = "labels.npz") -> Labels:
    """Reads a labels file.

    Raises:
        BadInput: with every problem in it.
    """
    findings = Findings(name)
    arrays = read_arrays(data, Limits(MOST_BYTES, 10_000, MOST_BYTES, MOST_BYTES), findings)
    if arrays is None or findings:
        raise BadInput(findings.problems())
    networks = networks_of(
        {key.removeprefix(_NETWORKS): value for key, value in arrays.items() if key.startswith(_NETWORKS)}
    )
    _add_faults(arrays, networks, findings)
    if findings:
        raise BadInput(findings.problems())
    return Labels(
        tuple(arrays["ids"].tolist()),
        arrays["images"],
        arrays["classes"].astype(np.int64),
        arrays["reference"],
        arrays["learned_from"],
        networks,
    )


def labels_of(labels: Labels, ids: Sequence[str]) -> Labels:
    """The labels of some of the images to reconstruct, in the order given; all else stays.

    Raises:
        BadInput: an image has no label.
    """
    places = {id_: place for place, id_ in enumerate(labels.ids)}
    findings = Findings("labels")
    for id_ in (id_ for id_ in ids if id_ not in places):
        findings.add("images without a label", f"none for {shown(id_)}; expected one per image")
    if findings:
        raise BadInput(findings.problems())
    order = [places[id_] for id_ in ids]
    return replace(labels, ids=tuple(ids), images=labels.images[order], classes=labels.classes[order])


def part_of(labels: Labels, which: NDArray[np.int64]) -> Labels:
    """The labels of the images at some places, and as large a share of the reference, if that is enough.

    Reference image k goes with image k modulo M, so that parts of the images share no reference image.
    """
    reference = labels.reference[np.isin(np.arange(len(labels.reference)) % len(labels.ids), which)]
    part = labels_of(labels, [labels.ids[place] for place in which.tolist()])
    return replace(part, reference=reference) if len(reference) >= FEWEST else part


def networks_of(arrays: Mapping[str, NDArray[Any]]) -> tuple[FeatureNetwork, ...]:
    """Networks from their weights by `NAME/WEIGHT`, in the order of their names."""
    grouped: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in arrays.items():
        network, _, weight = key.partition("/")
        grouped.setdefault(network, {})[weight] = array
    return tuple(FeatureNetwork(name, weights) for name, weights in sorted(grouped.items()))


def _add_faults(arrays: Arrays, networks: Sequence[FeatureNetwork], findings: Findings) -> None:
    def fault(name: str, message: str) -> None:
        findings.add("unfit arrays", message, entry=name)

    for name in ("ids", "classes", *_IMAGES):
        if name not in arrays:
            fault(name, f"is missing; expected ids, classes, {', '.join(_IMAGES)} and networks")
    for name in arrays.keys() - {"ids", "classes", *_IMAGES}:
        if not name.startswith(_NETWORKS):
            fault(name, "is unknown; expected no other arrays")
    if findings:
        return
    ids, classes, shape = arrays["ids"], arrays["classes"], arrays["images"].shape[1:]
    for name, fewest in zip(_IMAGES, (1, FEWEST, 1), strict=True):
        array = arrays[name]
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1:] != shape or len(array) < fewest:
            expected = f"uint8 (N, H, W, C) of one size, N at least {fewest}"
            fault(name, f"is {array.dtype} {array.shape}; expected {expected}")
    count = len(arrays["images"]) if arrays["images"].ndim else 0
    if ids.dtype.kind != "U" or ids.shape != (count,):
        fault("ids", f"is {ids.dtype} {ids.shape}; expected text ({count},)")
    elif len(set(ids.tolist())) != count:
        twice = next(id_ for id_ in ids.tolist() if ids.tolist().count(id_) > 1)
        fault("ids", f"has {shown(twice)} more than once; expected each once")
    if classes.dtype.kind not in "iu" or classes.shape != (count,) or (classes < 0).any():
        fault("classes", f"is {classes.dtype} {classes.shape}; expected whole numbers from 0, ({count},)")
    if findings:
        return
    heads = [one.weights["head.bias"] for one in networks if "head.bias" in one.weights]
    known = len(heads[0]) if heads and heads[0].ndim else 0
    if not any(network.kind == "supervised" for network in networks):
        fault(_NETWORKS, "has no supervised network; expected at least one")
    elif classes.max() >= known:
        fault("classes", f"has class {classes.max()}; expected less than {known}, as the networks tell apart")
    height, width, channels = shape
    for network in networks:
        add_network_faults(network, (height, width, channels), known, findings)
