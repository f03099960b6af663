"""Planning: labels are the true links, predictions the tries of a planner that walks on them.

A planner is asked again after each try (`tasks.walks.roll_out`), so that the true links must be at hand where
its walks are made. All that it learns of them is whether it was turned back.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes
from vipriors.methods.protocol import Labelled, Planner
from vipriors.problems import BadInput
from vipriors.runs.prepared import RunData
from vipriors.tasks import planning
from vipriors.tasks.planning_labels import MapIndex
from vipriors.tasks.protocol import Truth
from vipriors.tasks.walks import Episode, roll_out

SUFFIX = ".csv"


def labelled(data: RunData, *splits: str) -> Labelled:
    """Maps `(N, P, C)` with their true links, bool `(N, P, P)`."""
    known: dict[str, Episode] = {}
    for split in splits:
        known |= _labels(data, split) or {}
    maps = data.load(*splits)
    return Labelled(maps.images, _links(known, maps.ids))


def truth(data: RunData, split: str) -> Truth | None:
    """The maps of a split with their true links; None where these are not at hand."""
    known = _labels(data, split)
    if known is None:
        return None
    ids = tuple(sorted(row.id for row in data.select(split)))
    return Truth(MapIndex(ids, (data.challenge.form.size[0],) * len(ids)), known, data.classes)


def write(data: RunData, split: str, model: Planner, file: Path) -> None:
    """Walks on the maps of `val` or `test` and writes the tries.

    Raises:
        BadInput: The true links are not at hand.
    """
    known = _labels(data, split)
    if known is None:
        message = "has no true links of the test's maps, which walking takes; prepare it from its source"
        raise BadInput.single(data.root, message)
    maps = data.load(split)
    tries = roll_out(model.next_nodes, maps.images, _links(known, maps.ids))
    planning.write(file, maps.ids, planning.Predictions(tuple(tries)))


def _labels(data: RunData, split: str) -> dict[str, Episode] | None:
    """What is known of the run's maps of a split, which may be some of the folder's."""
    file = data.prepared.labels_of(split)
    if file is None:
        return None
    known = planning.read_labels(read_bytes(file), str(file))
    ids = [row.id for row in data.select(split)]
    if lacking := [id_ for id_ in ids if id_ not in known]:
        raise BadInput.single(file, f"lacks {len(lacking)} maps of the manifest, such as {lacking[0]}")
    return {id_: known[id_] for id_ in ids}


def _links(known: dict[str, Episode], ids: list[str]) -> NDArray[np.bool_]:
    return np.stack([known[id_].links for id_ in ids])
