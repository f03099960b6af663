"""The mean boxes of each class, the same for every image: a floor that looks at no image.

Source: k-means, MacQueen, "Some methods for classification and analysis of multivariate observations",
Berkeley Symposium 1967; scikit-learn's implementation.

Shapes: boxes `(n, 4)` of training objects to at most 100 mean boxes, scored by the share of training images
that have such an object.
"""

from __future__ import annotations

from dataclasses import dataclass

from vipriors.methods.detection._floor import PriorMethod


@dataclass(frozen=True)
class BoxPrior(PriorMethod):
    """Hyper-parameters of the box prior."""
