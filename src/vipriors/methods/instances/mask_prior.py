"""The mean masks of each class, the same for every image: a floor that looks at no image.

Source: as `box-prior`, with the mean shape of the masks in each group of boxes.

Shapes: masks `(n, H, W)` of training objects to at most 100 mean masks, scored by the share of training
images that have such an object.
"""

from __future__ import annotations

from dataclasses import dataclass

from vipriors.methods.detection._floor import PriorMethod


@dataclass(frozen=True)
class MaskPrior(PriorMethod):
    """Hyper-parameters of the mask prior."""
