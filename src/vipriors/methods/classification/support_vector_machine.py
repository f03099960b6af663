"""RBF support vector machine on raw pixels: a classical floor.

Source: Cortes, Vapnik, "Support-vector networks", Machine Learning 1995; scikit-learn's implementation.

Shapes: images `(N, H, W, C)` uint8, flattened and scaled to [0, 1], to one-hot predictions `(N, K)`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vipriors.methods.classification import _floor
from vipriors.methods.protocol import Classifier, Context, Fitted, TrainingSet

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
GAMMAS = (0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class SupportVectorMachine:
    """Hyper-parameters of the support vector machine; zeros are searched on validation, or 1 without any."""

    c: float = 0.0
    """Penalty on errors; 0 is searched."""
    gamma: float = 0.0
    """Inverse width of the kernel, relative to 1 / (dimensions * variance of the pixels); 0 is searched."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}, "small": {}, "full": {}}

    def tuned(self, data: TrainingSet) -> SupportVectorMachine:
        """With penalty and width chosen on `data.held_out`: the first of the best of 30 pairs."""
        grid = itertools.product(
            (self.c,) if self.c else PENALTIES,
            (self.gamma,) if self.gamma else GAMMAS,
        )
        candidates = [dataclasses.replace(self, c=c, gamma=gamma) for c, gamma in grid]
        return max(candidates, key=lambda one: _floor.validation_accuracy(one.estimator, data))

    def estimator(self, x: NDArray[np.float32]) -> Any:
        """The scikit-learn estimator; its kernel's width is relative to the spread of the features `x`."""
        from sklearn.svm import SVC

        spread = float(x.var()) or 1.0
        return SVC(C=self.c or 1.0, gamma=(self.gamma or 1.0) / (x.shape[1] * spread))

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Fits one machine for each pair of classes."""
        return _floor.fit(self.estimator, data)

    def load(self, folder: Path, image_shape: tuple[int, ...], classes: int, execution: Any) -> Classifier:
        """Fits again to the stored training pixels."""
        return _floor.load(self.estimator, folder, classes)
