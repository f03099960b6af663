"""Point clouds seen from three sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 128
"""Of a view in pixels."""
GAP = 2
"""Pixels between views."""
DOT = 2
"""Side of a point in pixels."""
VIEWS = ((0, 2, 1), (1, 2, 0), (0, 1, 2))
"""Axes to the right, up and away: from the front, the side and above."""


def views(cloud: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A cloud `(P, 3)` from three sides at one scale, `(SIDE, 3 * SIDE + 2 * GAP)`, dark on white."""
    middle = (cloud.max(0) + cloud.min(0)) / 2
    # A cloud of one point has no size.
    scaled = (cloud - middle) / (float((cloud.max(0) - cloud.min(0)).max()) or 1.0)
    page = np.full((SIDE, 3 * SIDE + 2 * GAP), 255, np.uint8)
    for number, (across, up, away) in enumerate(VIEWS):
        # Seen from above, what is high is near; from the front and the side, what has small coordinates.
        depth = scaled[:, away] if away != 2 else -scaled[:, away]
        order = np.argsort(-depth, kind="stable")
        columns = ((scaled[order, across] + 0.5) * (SIDE - DOT)).round().astype(int) + number * (SIDE + GAP)
        rows = ((0.5 - scaled[order, up]) * (SIDE - DOT)).round().astype(int)
        shades = (40 + 150 * (depth[order] + 0.5)).astype(np.uint8)
        for row, column, shade in zip(rows, columns, shades, strict=True):
            page[row : row + DOT, column : column + DOT] = shade
        if number:
            page[:, number * (SIDE + GAP) - GAP : number * (SIDE + GAP)] = 200
    return page
