"""Handwritten digits: 1,797 real images of 8 x 8 pixels that come with scikit-learn.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998
(its test part).
"""

from __future__ import annotations

import numpy as np

from vipriors.data.sources import ArrayPart, ArraySource
from vipriors.problems import BadInput


def digits(task: str = "classification") -> ArraySource:
    """The digits as a source without splits: images uint8 `(1797, 8, 8, 1)`, classes `0` to `9`.

    Raises:
        BadInput: The task is another than classification.
    """
    if task != "classification":
        raise BadInput.single("world digits", f"has no labels for {task}; expected task classification")
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    images = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    part = ArrayPart("digits", None, images, labels.astype(np.int64))
    return ArraySource("digits", tuple("0123456789"), (part,))
