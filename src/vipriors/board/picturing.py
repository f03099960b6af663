"""Draws a submission's predictions on a few test images. What would be right is never looked at."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.board.samples import Samples
from vipriors.pictures import Picture, png
from vipriors.pictures.maps import colour, half, legend
from vipriors.pictures.objects import LEAST_SCORE, Thing, box_of, corners, enlarged, mask_of, panel
from vipriors.pictures.rankings import strip
from vipriors.tasks import actions, classification, detection, generation, instances, reid, segmentation
from vipriors.tasks.findings import Findings
from vipriors.tasks.label_map import decode
from vipriors.tasks.protocol import Truth

NAMED = 3
"""Classes that are named of a clip."""
NEAREST = 8
"""Images that are shown of a ranking."""
MOST_THINGS = 100
"""Objects that are drawn on an image, the surest."""


def pictures_of(truth: Truth, predictions: Any, images: Path) -> list[dict[str, str]]:
    """Pictures as an answer of the scoring process has them: `caption`, and `png` in base64.

    Args:
        truth: whose index says which prediction is of which image; its labels are not used.
        predictions: as the task's `check` gives them.
        images: what `samples.pack` made.
    """
    samples = Samples(images)
    place_of = {str(id_): place for place, id_ in enumerate(truth.index.ids)}
    drawn = []
    for number, id_ in enumerate(samples.shown):
        if id_ in place_of:
            picture = _picture(truth, predictions, samples, place_of[id_], samples.image(number))
            picture = Picture(picture.png, f"{id_}: {picture.caption}" if picture.caption else id_)
            drawn.append({"caption": picture.caption, "png": base64.b64encode(picture.png).decode()})
    return drawn


def _picture(
    truth: Truth, predictions: Any, samples: Samples, place: int, image: NDArray[np.uint8]
) -> Picture:
    """The picture of one image, and what was predicted for it in words."""
    names = truth.classes
    match predictions:
        case classification.Predictions(classes, probabilities):
            class_ = int(classes[place])
            said = names[class_] if 0 <= class_ < len(names) else "nothing"
            if probabilities is not None and said != "nothing":
                said += f", probability {probabilities[place, class_]:.2f}"
            return Picture(_enlarged(image), said)
        case actions.Predictions(classes):
            first = (int(class_) - truth.index.first for class_ in classes[place][:NAMED])
            said = ", ".join(names[class_] for class_ in first if 0 <= class_ < len(names))
            return Picture(_enlarged(image), said or "nothing")
        case segmentation.Predictions(maps):
            return Picture(_map(image, maps[place], truth), "")
        case detection.Predictions(results, boxes):
            which = _surest(results, place)
            things = [
                Thing(int(results.classes[k]), corners(boxes[k]), float(results.scores[k])) for k in which
            ]
            return _objects(image, things, names)
        case instances.Predictions(results, masks):
            things = []
            for k in _surest(results, place):
                mask = mask_of(masks, k, truth.index.sizes[place])
                things.append(Thing(int(results.classes[k]), box_of(mask), float(results.scores[k]), mask))
            return _objects(image, things, names)
        case reid.Predictions(_, distances):
            order = np.argsort(distances[place], kind="stable")[: NEAREST + 1].tolist()
            ids = [truth.index.gallery[k] for k in order if np.isfinite(distances[place, k])]
            nearest = [
                found
                for id_ in ids
                if id_ != truth.index.queries[place] and (found := samples.of_gallery(id_)) is not None
            ]
            said = "the query on the left, then what is nearest to it"
            return Picture(png(strip([image, *nearest[:NEAREST]])), said)
        case generation.Predictions(_, reconstructed, given):
            if not given[place]:
                return Picture(_enlarged(image), "no reconstruction")
            return Picture(png(strip([image, reconstructed[place]])), "the image, and its reconstruction")
    raise TypeError(f"cannot draw {type(predictions)}")


def _surest(results: Any, image: int) -> list[int]:
    """Positions of the objects that were found in an image, by falling score."""
    which = np.flatnonzero((results.images == image) & (results.scores >= LEAST_SCORE))
    order = which[np.argsort(-results.scores[which], kind="stable")]
    return [int(place) for place in order[:MOST_THINGS]]


def _objects(image: NDArray[np.uint8], things: Sequence[Thing], names: Sequence[str]) -> Picture:
    count = f"{len(things)} objects" if len(things) != 1 else "1 object"
    return Picture(png(panel(image, things, names)), f"{count} with a score of {LEAST_SCORE} or more")


def _map(image: NDArray[np.uint8], content: bytes | None, truth: Truth) -> bytes:
    """A label map on its image, with a legend of what is in it; the bare image if there is no map."""
    classes = truth.index.classes.evaluated
    colours = {class_.id: colour(position) for position, class_ in enumerate(classes)}
    map_ = None if content is None else decode(content, Findings("map"), "map")
    if map_ is None:
        return _enlarged(image)
    pixels = half(image, map_, colours)
    counts = np.bincount(map_.ravel(), minlength=256)
    seen = sorted((class_ for class_ in classes if counts[class_.id]), key=lambda one: -counts[one.id])
    below = legend([(class_.name, colours[class_.id]) for class_ in seen], pixels.shape[1])
    return png(np.concatenate([pixels, below]) if seen else pixels)


def _enlarged(image: NDArray[np.uint8]) -> bytes:
    return png(np.asarray(enlarged(image)[0]))
