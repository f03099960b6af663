"""One map to plan on, read from an array file; and the lengths of ways.

A map is float32 `(N, C)`, a row for each node: x and y in metres, 1 at the start, 1 at the goal, the
probability of a link to each of the N nodes (1 to itself), and features. Which links are true it says not.
"""

from __future__ import annotations

import struct
import tokenize
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vipriors.data.files import FilePart, os_errors
from vipriors.problems import BadInput

START, GOAL, LINKS = 2, 3, 4
"""Columns: where one stands first, where one goes, and the first of the link probabilities."""

MOST_NODES = 1000
"""More are refused unread."""

Reals = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Maps:
    """The parts of B maps `(B, N, C)`."""

    places: npt.NDArray[np.float32]
    """`(B, N, 2)`, in metres."""
    start: npt.NDArray[np.int64]
    """`(B,)`."""
    goal: npt.NDArray[np.int64]
    """`(B,)`."""
    probabilities: npt.NDArray[np.float32]
    """`(B, N, N)`, of links."""
    features: npt.NDArray[np.float32]
    """`(B, N, F)`."""

    @classmethod
    def of(cls, arrays: npt.NDArray[np.float32]) -> Maps:
        """The parts of maps; they share memory with `arrays` where they can."""
        nodes = arrays.shape[1]
        return cls(
            arrays[..., :START],
            arrays[..., START].argmax(1),
            arrays[..., GOAL].argmax(1),
            arrays[..., LINKS : LINKS + nodes],
            arrays[..., LINKS + nodes :],
        )

    @property
    def distances(self) -> npt.NDArray[np.float64]:
        """Straight distances of nodes in metres, `(B, N, N)`."""
        return straight(self.places)


def straight(places: Reals) -> npt.NDArray[np.float64]:
    """Distances `(..., N, N)` of places `(..., N, 2)`."""
    apart = places[..., :, None, :].astype(np.float64) - places[..., None, :, :]
    found: npt.NDArray[np.float64] = np.hypot(apart[..., 0], apart[..., 1])
    return found


def shortest(lengths: Reals) -> npt.NDArray[np.float64]:
    """Lengths of the shortest ways `(..., N, N)`, infinite where there is none (Floyd and Warshall).

    Args:
        lengths: Of the links `(..., N, N)`, 0 or more; infinite where there is no link.
    """
    found = np.array(lengths, np.float64)
    nodes = found.shape[-1]
    found[..., range(nodes), range(nodes)] = 0
    for k in range(nodes):
        np.minimum(found, found[..., :, k, None] + found[..., None, k, :], out=found)
    return found


def read_map(
    source: Path | FilePart | bytes, *, channels: int, nodes: int | None = None, name: str | None = None
) -> npt.NDArray[np.float32]:
    """Read a map.

    Args:
        source: an `.npy` file of version 1.0, or its content.
        channels: numbers of a node.
        nodes: how many there must be; None takes any number.
        name: what to call the map in messages; by default its path.

    Returns:
        float32 `(N, C)`.

    Raises:
        BadInput: no such array, damaged, too large, or with numbers that make no map.
    """
    place = name or (str(source) if isinstance(source, Path) else "map")
    with os_errors(place):
        data = source if isinstance(source, bytes) else source.read_bytes()
    found = _decode(data, place)
    expected = f"expected {'N' if nodes is None else nodes} nodes of {channels} numbers"
    if found.shape[1] != channels or channels < LINKS + len(found) or nodes not in (None, len(found)):
        raise BadInput.single(place, f"has {len(found)} nodes of {found.shape[1]} numbers; {expected}")
    if not np.isfinite(found).all():
        raise BadInput.single(place, "has numbers that are not finite")
    ends = found[:, [START, GOAL]]
    if not (np.isin(ends, (0, 1)).all() and (ends.sum(0) == 1).all() and (ends.sum(1) < 2).all()):
        raise BadInput.single(place, "has no start or no goal; expected one 1 for each, at two nodes, and 0")
    links = found[:, LINKS : LINKS + len(found)]
    if links.min() < 0 or links.max() > 1 or (links != links.T).any() or (links.diagonal() != 1).any():
        expected = "expected 0 to 1, the same both ways, and 1 to itself"
        raise BadInput.single(place, f"has wrong probabilities of links; {expected}")
    return found


def _decode(data: bytes, place: str) -> npt.NDArray[np.float32]:
    expected = "expected an npy array of float32, version 1.0, a row for each node"
    stream = BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise BadInput.single(place, f"is an npy file of another version; {expected}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype != np.float32 or len(shape) != 2 or not 2 <= shape[0] <= MOST_NODES or shape[1] > 10**5:
            raise BadInput.single(place, f"found {dtype} of shape {shape}; {expected}, 2 to {MOST_NODES:,}")
        stream.seek(0)
        found: npt.NDArray[np.float32] = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TypeError, struct.error, tokenize.TokenError) as error:
        raise BadInput.single(place, f"damaged map: {error}; {expected}") from None
    return found
