"""The changes of an image that a challenge says leave its label as it is."""

from __future__ import annotations

from vipriors.challenges.schema import Invariance
from vipriors.priors.augment.affine import TurnAndScale
from vipriors.priors.augment.compose import Augmentation
from vipriors.priors.augment.geometric import Flip, Shift


def allowed(invariance: Invariance) -> list[Augmentation]:
    """An augmentation for each kind of change that a challenge allows, in the order they are applied."""
    steps: list[Augmentation] = []
    if invariance.rotate or invariance.scale:
        steps.append(TurnAndScale(invariance.rotate, invariance.scale))
    if invariance.shift:
        steps.append(Shift(invariance.shift))
    if invariance.flip:
        steps.append(Flip())
    return steps
