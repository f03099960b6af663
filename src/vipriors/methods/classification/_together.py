"""A method of this family fitted from several seeds at once, each to its own training set."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vipriors.methods._fitting import fresh, parameters
from vipriors.methods.classification._network import NetworkMethod, augmentation
from vipriors.methods.protocol import Context, Fitted, TrainingSet
from vipriors.priors.augment import CutMix, MixUp, one_hot
from vipriors.problems import BadInput
from vipriors.train import (
    Batches,
    Execution,
    NetworkClassifier,
    Standardise,
    forward_flops,
    weights_hash,
)
from vipriors.train.together import train_together


def fit_together(
    method: NetworkMethod,
    sets: Sequence[TrainingSet],
    seeds: Sequence[int],
    execution: Execution | None = None,
) -> list[Fitted]:
    """What `method.fit` gives for each training set with its seed, to rounding, in one training.

    Args:
        method: One whose loss is the family's cross-entropy.
        sets: One a seed; the same challenge's, so that images and classes are alike.
        seeds: As `Context.seed`.
        execution: Device and precision; the best available by default.

    Raises:
        BadInput: The method has a fit, a loss or a scaffold of its own, or the sets are not alike.
    """
    execution = execution or Execution()
    shape, classes, invariance = sets[0].image_shape, len(sets[0].classes), sets[0].invariance
    _check(method, sets)

    def make(data: TrainingSet) -> nn.Module:
        body = method.network(shape, classes)
        return nn.Sequential(Standardise.of(data.train.images), body)

    def prepare(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images = augment(images, generator)
        return mix(images, one_hot(labels, classes), generator) if mix else (images, labels)

    def criterion(logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, label_smoothing=method.label_smoothing)

    augment = augmentation(method, invariance)
    mix = MixUp(method.mixup) if method.mixup else CutMix(method.cutmix) if method.cutmix else None
    size, device = method.batch_size, execution.resolved_device()
    networks, batches = [], []
    for data, seed in zip(sets, seeds, strict=True):
        networks.append(fresh(lambda data=data: make(data), Context(seed)))  # type: ignore[misc]
        batches.append(
            Batches(data.train.images, data.train.labels, batch_size=size, seed=seed, device=device)
        )
    initial = [weights_hash(network) for network in networks]
    began = time.monotonic()
    trained = train_together(networks, batches, method, prepare, criterion, seeds=seeds, execution=execution)
    seconds = round((time.monotonic() - began) / len(seeds), 2)
    return [
        Fitted(
            NetworkClassifier(network, execution),
            {
                "seconds": seconds,  # its share of the time that all took together
                "steps": method.steps,
                "parameters": parameters(network),
                "flops_per_image": forward_flops(network, shape),
                "initial_weights_sha256": before,
                "final_weights_sha256": weights_hash(network),
            },
        )
        for network, before in zip(trained, initial, strict=True)
    ]


def _check(method: NetworkMethod, sets: Sequence[TrainingSet]) -> None:
    own = type(method)
    if any(getattr(own, name) is not getattr(NetworkMethod, name) for name in ("fit", "loss", "scaffold")):
        raise BadInput.single(own.__name__, "trains by more than cross-entropy; fit its seeds one by one")
    kinds = {(data.image_shape, data.classes, data.invariance) for data in sets}
    if len(kinds) > 1:
        raise BadInput.single("training sets", "differ in images or classes; expected one challenge's")
