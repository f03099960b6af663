"""Makes a folder of clouds of the voxel grids of ModelNet10's chairs and monitors, for `modelnet10.yaml`.

    python examples/voxels_to_points.py voxels32.npz clouds

The file has `voxels_packed` (bits of 32 x 32 x 32), `labels`, `is_test` and `classes`. Points are the middles
of the voxels that lie on the surface, in the unit ball; the vertical axis comes last.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.images import encode_npy

UP = 2
"""Axis of a grid that is vertical: along it a chair is thin below, full at its seat, and thin above."""


def surface(grid: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Points `(N, 3)` of the full voxels of a grid that have an empty neighbour."""
    padded = np.pad(grid, 1)
    full = np.ones_like(grid, dtype=bool)
    for axis in range(3):
        for step in (-1, 1):
            full &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1] > 0
    points = np.argwhere((grid > 0) & ~full).astype(np.float64)
    points = points[:, [axis for axis in range(3) if axis != UP] + [UP]]
    points -= (points.max(0) + points.min(0)) / 2
    # In any order: what is evenly spaced in a file is then spread over the shape.
    points = points[np.random.RandomState(0).permutation(len(points))]
    return (points / np.sqrt((points**2).sum(1).max())).astype(np.float32)


def main() -> None:
    """Writes `clouds/{train,test}/CLASS/NUMBER.npy`."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    with np.load(source, allow_pickle=False) as stored:
        grids = np.unpackbits(stored["voxels_packed"], axis=1).reshape(-1, 32, 32, 32)
        for number, (grid, label, test) in enumerate(
            zip(grids, stored["labels"], stored["is_test"], strict=True)
        ):
            folder = out / ("test" if test else "train") / str(stored["classes"][label])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:04}.npy").write_bytes(encode_npy(surface(grid)))


if __name__ == "__main__":
    main()
