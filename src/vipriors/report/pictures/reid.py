"""Queries with what was found for them: the nearest gallery images, framed green where it is the person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes
from vipriors.data.loader import load_split
from vipriors.data.manifest import read_manifest
from vipriors.data.prepared import read_prepared
from vipriors.pictures import Picture, png
from vipriors.pictures.rankings import strip
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures import spread
from vipriors.tasks import reid
from vipriors.tasks.reid_labels import Labels
from vipriors.tasks.reid_matrix import QueryIndex

QUERIES, SHOWN = 6, 8


@dataclass(frozen=True)
class Ranking:
    """What was found for a query."""

    places: NDArray[np.int64]
    """Places in the gallery, the nearest first, without those that are left out of the ranking."""
    matches: NDArray[np.bool_]
    """Which of them are the query's person."""

    @property
    def average_precision(self) -> float:
        """Mean of the precision at each match."""
        ranks = np.flatnonzero(self.matches) + 1
        return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def pictures(run: FinishedRun, data: Path) -> list[Picture]:
    """Six queries, the worst to the best by average precision, each with the first eight of its ranking.

    Args:
        run: A run on a challenge of re-identification.
        data: The prepared folder whose images it used.

    Returns:
        None where the folder has no test labels.

    Raises:
        BadInput: Predictions, labels or images are damaged or not those of this run.
    """
    labels_file = read_prepared(data).labels_of("test")
    if labels_file is None:
        return []
    labels = reid.read_labels(read_bytes(labels_file), str(labels_file))
    index = reid.index_of(labels)
    file = run.folder / run.outcome.predictions
    predictions, problems = reid.check(read_bytes(file), index, str(file))
    if predictions is None:
        raise BadInput(problems)
    found = rankings(predictions.distances, labels, index)
    precisions = np.array([ranking.average_precision for ranking in found])
    scored = run.score.estimates[reid.HEADLINE].value if run.score else precisions.mean()
    if abs(scored - precisions.mean()) > 1e-9:
        message = f"give mAP {precisions.mean():.6f}; expected {scored:.6f}, as in scores.json"
        raise BadInput.single(labels_file, f"{message}: these are not the labels of this run")
    rows = {row.id: row for row in read_manifest(run.folder / "manifest.csv") if row.split == "test"}
    if not {*index.queries, *index.gallery} <= rows.keys():
        raise BadInput.single(run.folder / "manifest.csv", f"lacks test images that are in {labels_file}")
    shown = []
    for place in spread(precisions, QUERIES):
        query, ranking = index.queries[place], found[place]
        first = [index.gallery[p] for p in ranking.places[:SHOWN]]
        images = load_split(data, [rows[id_] for id_ in (query, *first)], run.recipe.challenge.form).images
        caption = _caption(query, labels.queries[query].person, ranking)
        shown.append(Picture(png(strip(images, ranking.matches[:SHOWN])), caption))
    return shown


def rankings(distances: NDArray[np.float64], labels: Labels, index: QueryIndex) -> list[Ranking]:
    """The ranking of each query, as the task scores it.

    Args:
        distances: `(M, N)`.
        labels: Of all images.
        index: Their ids in the order of the distances.
    """
    persons = np.array([labels.gallery[id_].person for id_ in index.gallery])
    cameras = np.array([labels.gallery[id_].camera or "" for id_ in index.gallery])
    ids = np.array(index.gallery)
    found = []
    for id_, row in zip(index.queries, distances, strict=True):
        query = labels.queries[id_]
        same_person = persons == query.person
        left_out = same_person & ((cameras == query.camera) | (ids == id_))
        order = np.argsort(row, kind="stable")
        order = order[~left_out[order]]
        found.append(Ranking(order, same_person[order]))
    return found


def _caption(query: str, person: str, ranking: Ranking) -> str:
    ranks = np.flatnonzero(ranking.matches) + 1
    there = f"{len(ranks)} images of the person are among {len(ranking.places):,}"
    precision = f"average precision {100 * ranking.average_precision:.1f} %"
    return f"{query} (left), person {person}: {precision}; {there}, the first at rank {ranks[0]}."
