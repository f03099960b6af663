"""The public and the private part of a test, and what is left of a truth and of predictions in a part.

Which ids are public depends on a secret and on the ids alone: the same after every restart and every fix of
the labels, and not to be guessed. Re-identification is split by queries; every part searches the whole
gallery. Generation is split by the images to reconstruct, and the hidden reference in the same shares; every
part is about all generated images.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vipriors.tasks import (
    actions,
    classification,
    coco,
    detection,
    generation,
    generation_labels,
    instances,
    planning,
    reid,
    rle,
    segmentation,
)
from vipriors.tasks.protocol import Truth

PUBLIC, PRIVATE, ALL = "public", "private", "all"
PARTS = (PUBLIC, PRIVATE, ALL)

Positions = NDArray[np.int64]


def split(ids: Sequence[str | int], seed: str, public_share: float) -> dict[str, Positions]:
    """Positions of the ids in each part, in ascending order.

    Public are the ids with the smallest keyed hashes: as many as the share says, but at least one, and, below
    a share of 1, all but one at most. With a share of 1, or of a test of a single id, every part is the whole
    test.

    Args:
        ids: N ids.
        seed: the secret.
        public_share: from 0 to 1.
    """
    everything = np.arange(len(ids))
    if public_share == 1 or len(ids) == 1:
        return dict.fromkeys(PARTS, everything)
    hashes = [hmac.digest(seed.encode(), str(id_).encode(), hashlib.sha256) for id_ in ids]
    order = sorted(range(len(ids)), key=hashes.__getitem__)
    count = min(max(round(public_share * len(ids)), 1), len(ids) - 1)
    return {
        PUBLIC: np.array(sorted(order[:count])),
        PRIVATE: np.array(sorted(order[count:])),
        ALL: everything,
    }


def restrict(truth: Truth, predictions: Any, which: Positions) -> tuple[Truth, Any]:
    """The truth and the predictions of some of the ids of the truth's index.

    Args:
        truth: as a task's `open_truth` gives it.
        predictions: as that task's `check` gives them.
        which: ascending positions of ids.
    """
    index, labels = truth.index, truth.labels
    match predictions:
        case classification.Predictions(classes, probabilities):
            predictions = classification.Predictions(
                classes[which], None if probabilities is None else probabilities[which]
            )
            index, labels = _of_single_labels(truth, which)
        case actions.Predictions(classes):
            predictions = actions.Predictions(classes[which])
            index, labels = _of_single_labels(truth, which)
        case segmentation.Predictions(maps):
            predictions = segmentation.Predictions(_at(maps, which))
            index = replace(index, ids=_at(index.ids, which), sizes=_at(index.sizes, which))
            labels = replace(labels, images={id_: labels.images[id_] for id_ in index.ids})
        case generation.Predictions():
            predictions = generation.chosen(predictions, which)
            labels = generation_labels.part_of(labels, which)
            index = labels.index
        case reid.Predictions(gallery, distances):
            predictions = reid.Predictions(gallery, distances[which])
            index = replace(index, queries=_at(index.queries, which))
            labels = replace(labels, queries={id_: labels.queries[id_] for id_ in index.queries})
        case planning.Predictions(tries):
            predictions = planning.Predictions(_at(tries, which))
            index = replace(index, ids=_at(index.ids, which), nodes=_at(index.nodes, which))
            labels = {id_: labels[id_] for id_ in index.ids}
        case detection.Predictions(results, boxes):
            found, results = _in_images(results, which)
            annotated, objects = _in_images(labels.objects, which)
            predictions = detection.Predictions(results, boxes[found])
            index = _of_images(index, which)
            labels = detection.Labels(index, objects, labels.boxes[annotated])
        case instances.Predictions(results, masks):
            found, results = _in_images(results, which)
            annotated, objects = _in_images(labels.objects, which)
            predictions = instances.Predictions(results, rle.chosen(masks, found))
            index = _of_images(index, which)
            labels = instances.Labels(index, objects, rle.chosen(labels.masks, annotated))
        case _:
            raise TypeError(f"cannot restrict {type(predictions)}")
    return Truth(index, labels, truth.classes), predictions


def _of_single_labels(truth: Truth, which: Positions) -> tuple[Any, dict[str, int]]:
    index = replace(truth.index, ids=_at(truth.index.ids, which))
    return index, {id_: truth.labels[id_] for id_ in index.ids}


def _of_images(index: coco.Index, which: Positions) -> coco.Index:
    listed = index.listed
    if listed is not None:
        new = {position: number for number, position in enumerate(which.tolist())}
        listed = tuple(new[position] for position in listed if position in new)
    return replace(index, ids=_at(index.ids, which), sizes=_at(index.sizes, which), listed=listed)


def _in_images(objects: Any, which: Positions) -> tuple[Positions, Any]:
    """Positions of the objects (or results) in some images, and these with their images counted anew."""
    inside = np.flatnonzero(np.isin(objects.images, which))
    columns = {name: values[inside] for name, values in vars(objects).items()}
    columns["images"] = np.searchsorted(which, columns["images"])
    return inside, cast(coco.Objects | coco.Results, replace(objects, **columns))


def _at(values: Sequence[Any], which: Positions) -> tuple[Any, ...]:
    return tuple(values[position] for position in which.tolist())
