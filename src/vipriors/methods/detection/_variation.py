"""Batches of annotated objects, and how they are varied with their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vipriors.challenges.schema import Invariance
from vipriors.methods.protocol import Objects
from vipriors.priors.augment import ColourJitter, Sometimes
from vipriors.priors.augment.boxes import IGNORED, NO_OBJECT, Annotated, Mosaic, MoveObjects

COLOUR_SHARE = 0.8
"""Of the images whose colours are changed."""


def augmentation(
    invariance: Invariance, strength: float, p: float
) -> Callable[[Tensor, Annotated, torch.Generator], tuple[Tensor, Annotated]]:
    """How images and objects are varied: as the challenge says leaves them as they are, and by a recipe.

    Args:
        invariance: Of the challenge.
        strength: Of changes of colour.
        p: Probability of a mosaic.
    """
    move = MoveObjects(
        flip=0.5 if invariance.flip else 0.0,
        max_pixels=invariance.shift,
        max_degrees=invariance.rotate,
        max_scale=invariance.scale,
    )
    mosaic = Mosaic(p)
    colour = Sometimes(ColourJitter(strength, strength, strength, min(0.5, strength)), COLOUR_SHARE)

    def vary(images: Tensor, objects: Annotated, generator: torch.Generator) -> tuple[Tensor, Annotated]:
        if p:
            images, objects = mosaic(images, objects, generator)
        if invariance != Invariance():
            images, objects = move(images, objects, generator)
        if strength:
            images = colour(images, generator)
        return images, objects

    return vary


def gather(labels: Sequence[Objects], indices: Sequence[int], device: torch.device) -> Annotated:
    """The objects of some images as one batch; a crowd is `IGNORED`.

    Args:
        labels: Of N images.
        indices: B of them.
        device: Where the batch is wanted.
    """
    chosen = [labels[index] for index in indices]
    places = max(1, *(len(one.classes) for one in chosen))
    classes = np.full((len(chosen), places), NO_OBJECT)
    boxes = np.zeros((len(chosen), places, 4), np.float32)
    first = chosen[0].masks
    masks = None if first is None else np.zeros((len(chosen), places, *first.shape[1:]), bool)
    for row, one in enumerate(chosen):
        n = len(one.classes)
        classes[row, :n] = one.classes if one.crowds is None else np.where(one.crowds, IGNORED, one.classes)
        boxes[row, :n] = one.boxes
        if masks is not None and one.masks is not None:
            masks[row, :n] = one.masks
    return Annotated(
        torch.from_numpy(classes).to(device),
        torch.from_numpy(boxes).to(device),
        None if masks is None else torch.from_numpy(masks).to(device),
    )
