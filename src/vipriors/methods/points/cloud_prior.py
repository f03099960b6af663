"""The most frequent classes, whatever the cloud shows: the floor of knowing nothing.

Source: none; it is what any method must beat.

Shapes: clouds `(N, P, 3)` to the same class probabilities for all, `(N, K)`: each class's share of the
training clouds. Of classes as frequent, the first comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vipriors.methods.actions.class_prior import ClassPrior


@dataclass(frozen=True)
class CloudPrior(ClassPrior):
    """It has no hyper-parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = ClassPrior.presets
