"""Labels for planning: where the nodes of each map are, and which of them are truly linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vipriors.data.maps import MOST_NODES
from vipriors.problems import BadInput
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.index import Index
from vipriors.tasks.json_values import is_whole, numbers, objects, parse, said
from vipriors.tasks.walks import Episode

FARTHEST = 1e6
"""Of a coordinate in metres."""


@dataclass(frozen=True)
class MapIndex:
    """The maps of a test and how many nodes each has. It says nothing of the links.

    Raises:
        BadInput: there are no ids, one occurs twice or cannot stand in a CSV file, or a size is unfit.
    """

    ids: tuple[str, ...]
    nodes: tuple[int, ...]

    def __post_init__(self) -> None:
        Index(self.ids, classes=1)
        if len(self.nodes) != len(self.ids) or not all(2 <= n <= MOST_NODES for n in self.nodes):
            expected = f"expected one number from 2 to {MOST_NODES:,} for each of {len(self.ids)} maps"
            raise BadInput.single("index, nodes", f"{len(self.nodes)} numbers; {expected}")


def index_of(labels: Mapping[str, Episode]) -> MapIndex:
    """The index of labelled maps, sorted by their ids."""
    ids = tuple(sorted(labels))
    return MapIndex(ids, tuple(len(labels[id_].places) for id_ in ids))


def read_labels(data: bytes, name: str = "labels.json") -> dict[str, Episode]:
    """Reads a labels file: JSON with a list `maps` of objects.

    Each has an `id`, its `nodes` as a list of `[x, y]` in metres, `start` and `goal` as numbers of nodes from
    0 on, and the true `links` as a list of `[node, node]`, each once, in either order.

    Args:
        data: the file, any bytes.
        name: what problems call the file.

    Raises:
        BadInput: with every problem in it (of one kind at most `findings.LISTED`), such as a goal out of
        reach.
    """
    findings = Findings(name)
    parsed = parse(data, findings)
    if parsed is None:
        raise BadInput(findings.problems())
    parsed.note_constants(findings)
    maps = parsed.value.get("maps") if isinstance(parsed.value, dict) else None
    if not isinstance(maps, list) or not maps:
        findings.add("faults of the file", "has no list `maps`; expected an object with one map or more")
        raise BadInput(findings.problems())
    labels: dict[str, Episode] = {}
    for entry, place in objects(maps, "maps, ", findings):
        id_ = entry.get("id")
        if not isinstance(id_, str) or id_ in labels:
            found = f"id {shown(id_)} is there twice" if isinstance(id_, str) else f"the id is {said(id_)}"
            findings.add("maps with a wrong id", f"{found}; expected a text of its own", at=place)
            continue
        episode = _episode(entry, place, findings)
        if episode is not None:
            labels[id_] = episode
    if not findings:
        try:
            index_of(labels)
        except BadInput as error:
            raise BadInput([*findings.problems(), *error.problems]) from None
    if findings:
        raise BadInput(findings.problems())
    return labels


def _episode(entry: Mapping[str, Any], place: str, findings: Findings) -> Episode | None:
    """What an object says; None, and a problem, if it is no map."""

    def wrong(field: str, expected: str) -> Episode | None:
        message = f"{field} is {said(entry.get(field))}; expected {expected}"
        findings.add(f"maps with wrong {field}", message, at=place)
        return None

    nodes, links = _pairs(entry.get("nodes")), _pairs(entry.get("links"))
    places = None if nodes is None else numbers(nodes, -FARTHEST, FARTHEST)
    if nodes is None or places is None or not 2 <= len(nodes) // 2 <= MOST_NODES:
        return wrong("nodes", f"2 to {MOST_NODES:,} pairs of numbers [x, y] in metres")
    count = len(nodes) // 2
    for field in ("start", "goal"):
        if not is_whole(end := entry.get(field)) or not 0 <= end < count:
            return wrong(field, f"a node, 0 to {count - 1}")
    if links is None or not all(is_whole(node) and 0 <= node < count for node in links):
        return wrong("links", f"pairs of nodes, each 0 to {count - 1}")
    linked = np.zeros((count, count), bool)
    pairs = np.array(links, np.int64).reshape(-1, 2)
    linked[pairs[:, 0], pairs[:, 1]] = linked[pairs[:, 1], pairs[:, 0]] = True
    if linked.sum() != 2 * len(pairs) or linked.diagonal().any():
        return wrong("links", "each once, of two different nodes")
    episode = Episode(places.reshape(-1, 2), linked, entry["start"], entry["goal"])
    if episode.start == episode.goal or not np.isfinite(episode.ways[episode.start]):
        return wrong("goal", "another node than the start, with a way to it over true links")
    return episode


def _pairs(values: object) -> list[Any] | None:
    """The parts of a list of pairs, one after the other; None if it is no such list."""
    if not isinstance(values, list) or not all(isinstance(v, list) and len(v) == 2 for v in values):
        return None
    return [part for pair in values for part in pair]
