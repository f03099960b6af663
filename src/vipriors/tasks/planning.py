"""Task: planning, the nodes to try one after the other on a map with missing and with false links.

A predictions file is UTF-8 CSV with a row for each map, in any order. The nodes are numbered from 0, as in
the map, and parted by spaces; the start is not among them:

    Image IDs,Tries
    img_0.npy,4 7 2

What a try does, and what it costs, is decided by the true links when the file is scored (`walks`): no walk
leads through a wall. `docs/formats/planning.md` states it all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes, write_atomic
from vipriors.problems import BadInput, Problem
from vipriors.tasks import table
from vipriors.tasks.bootstrap import estimate
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.planning_labels import MapIndex, index_of
from vipriors.tasks.planning_labels import read_labels as read_labels
from vipriors.tasks.protocol import Truth
from vipriors.tasks.score import Estimate, Score
from vipriors.tasks.walks import TRIES, Episode, first_is_best, follow, success_by_length

HEADLINE = "spl"
HEADER = "Image IDs,Tries"


@dataclass(frozen=True)
class Predictions:
    """Tries in the order of an index, or of the ids that go with them; none where there is no prediction."""

    tries: tuple[tuple[int, ...], ...]


def write(path: Path, ids: Sequence[str], predictions: Predictions) -> None:
    """Writes a predictions file: the same bytes for the same predictions, and all of it or nothing.

    Args:
        path: the file; folders above it are made.
        ids: the maps.
        predictions: the tries on each.

    Raises:
        BadInput: `check` would refuse the file, as far as can be told without the maps. Nothing is written.
    """
    if len(predictions.tries) != len(ids):
        raise BadInput.single(path, f"tries for {len(predictions.tries)} maps; expected {len(ids)}")
    # As large as the tries ask for: how many nodes the maps have is not said here.
    nodes = tuple(max(2, *tries, -(-len(tries) // TRIES)) + 1 for tries in predictions.tries)
    rows = [f"{id_},{' '.join(map(str, tries))}\n" for id_, tries in zip(ids, predictions.tries, strict=True)]
    data = "".join([HEADER, "\n", *rows]).encode()
    _, problems = check(data, MapIndex(tuple(ids), nodes), str(path))
    if problems:
        raise BadInput(problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)


def check(
    data: bytes, index: MapIndex, name: str = "predictions.csv", *, allow_missing: bool = False
) -> tuple[Predictions | None, list[Problem]]:
    """Reads a predictions file and lists every problem in it (of one kind at most `findings.LISTED`).

    Args:
        data: the file, any bytes.
        index: the maps it must cover, and how many nodes they have.
        name: what problems call the file.
        allow_missing: whether maps may be left out; nothing is tried on them then.

    Returns:
        The predictions and no problems, or None and the problems.
    """
    findings = Findings(name)
    most = TRIES * max(index.nodes)
    line = 64 + max(len(id_.encode()) for id_ in index.ids) + 8 * most
    limits = table.Limits((len(index.ids) + 1000) * line, line, 2 * len(index.ids) + 1000)
    opened = table.read(data, [HEADER.encode()], limits, findings)
    if opened is None:
        return None, findings.problems()
    positions = {id_.encode(): position for position, id_ in enumerate(index.ids)}
    first_rows, tries = [0] * len(index.ids), [()] * len(index.ids)  # type: list[int], list[tuple[int, ...]]
    for row, fields in opened.rows:
        position = positions.get(fields[0])
        if position is None:
            findings.add("rows with an unknown id", f"{shown(fields[0])} is not an id of the test set", row)
            continue
        if first_rows[position]:
            message = f"{shown(fields[0])} is given twice, first in row {first_rows[position]}; expected once"
            findings.add("rows with a duplicate id", message, row)
            continue
        first_rows[position] = row
        if len(fields) > 1:  # else it is reported by the table
            tries[position] = _tries(fields[1], index.nodes[position], row, findings)
    if not allow_missing:
        for id_ in (id_ for id_, row in zip(index.ids, first_rows, strict=True) if not row):
            findings.add("maps without a prediction", f"no row for {shown(id_)}; expected one per map")
    return (None, findings.problems()) if findings else (Predictions(tuple(tries)), [])


def open_truth(labels: Path, classes: Sequence[str] | None = None) -> Truth:
    """Opens a labels file. There are no classes: `classes` is passed on as it is."""
    known = read_labels(read_bytes(labels), labels.name)
    return Truth(index_of(known), known, tuple(classes or ()))


def score(
    predictions: Predictions, labels: Mapping[str, Episode], index: MapIndex, class_names: Sequence[str]
) -> Score:
    """Scores predictions over the whole index; a map without a prediction is one where one never arrives.

    `spl` is the mean of success weighted by length: 0 where the walk does not arrive, else the shortest way
    over the walk's length, in which every try counts. `success` is the share that arrives. `first_step` is
    the share whose first try is a step of a shortest way.

    Args:
        predictions: as `check` returns them.
        labels: the true links of each map.
        index: the maps.
        class_names: not used.

    Raises:
        BadInput: labels or predictions do not fit the index.
    """
    _refuse_misfits(predictions, labels, index)
    episodes = [labels[id_] for id_ in index.ids]
    walks = [follow(one, tries) for one, tries in zip(episodes, predictions.tries, strict=True)]
    weighted = [success_by_length(one, walk) for one, walk in zip(episodes, walks, strict=True)]
    first = [first_is_best(one, tries) for one, tries in zip(episodes, predictions.tries, strict=True)]
    arrived = [walk.arrived for walk in walks]
    estimates = {HEADLINE: _mean(weighted), "success": _mean(arrived), "first_step": _mean(first)}
    details = {
        "n_test": len(index.ids),
        "n_predicted": sum(bool(tries) for tries in predictions.tries),
        "turned_back": sum(len(walk.turned_back) for walk in walks) / len(walks),
        "metres": sum(walk.length for walk in walks) / len(walks),
        "shortest_metres": sum(float(one.ways[one.start]) for one in episodes) / len(episodes),
    }
    return Score("planning", HEADLINE, estimates, details)


def _mean(values: Sequence[float]) -> Estimate:
    """The mean over the maps, whose equal values make up one cell of the bootstrap."""
    cells, counts = np.unique(np.array(values, np.float64), return_counts=True)

    def statistic(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = drawn @ cells / drawn.sum(axis=1)
        return found

    return estimate(counts, statistic)


def _tries(field: bytes, nodes: int, row: int, findings: Findings) -> tuple[int, ...]:
    """The nodes of a row; none, and a problem, if anything is wrong with them."""
    parts = field.split(b" ") if field else []
    if len(parts) > TRIES * nodes:
        message = f"{len(parts):,} tries; expected at most {TRIES * nodes}, {TRIES} for each of {nodes} nodes"
        findings.add("rows with too many tries", message, row)
        return ()
    known = {b"%d" % node: node for node in range(nodes)}
    for part in parts:
        if part not in known:
            expected = f"expected 0 to {nodes - 1}, parted by single spaces"
            findings.add("rows with wrong nodes", f"{shown(part)} is no node of this map; {expected}", row)
            return ()
    return tuple(known[part] for part in parts)


def _refuse_misfits(predictions: Predictions, labels: Mapping[str, Episode], index: MapIndex) -> None:
    findings = Findings("labels")
    for id_, nodes in zip(index.ids, index.nodes, strict=True):
        if id_ not in labels:
            findings.add("maps without a label", f"no label for map {shown(id_)}")
        elif (found := len(labels[id_].places)) != nodes:
            findings.add("maps of another size", f"map {shown(id_)} has {found} nodes; expected {nodes}")
    for id_ in sorted(labels.keys() - set(index.ids)):
        findings.add("unknown ids", f"map {shown(id_)} is not in the index")
    problems = findings.problems()
    if len(predictions.tries) != len(index.ids):
        message = f"tries for {len(predictions.tries)} maps; expected {len(index.ids)}"
        problems.append(Problem("predictions", message))
    elif any(
        not 0 <= node < nodes
        for tries, nodes in zip(predictions.tries, index.nodes, strict=True)
        for node in tries
    ):
        problems.append(Problem("predictions", "there are nodes that a map has not"))
    if problems:
        raise BadInput(problems)
