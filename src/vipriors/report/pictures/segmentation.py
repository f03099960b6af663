"""Label maps laid over test images: the truth on the left, the prediction on the right, a legend below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes
from vipriors.data.images import read_image
from vipriors.data.manifest import Row, read_manifest
from vipriors.data.packed import PreparedFiles
from vipriors.data.prepared import LABELS
from vipriors.pictures import Picture, png
from vipriors.pictures.maps import GAP, colour, half, legend
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures import spread
from vipriors.runs.bridges.segmentation import open_truth
from vipriors.tasks import segmentation
from vipriors.tasks.class_map import Classes
from vipriors.tasks.findings import Findings
from vipriors.tasks.iou import confusion_of, count, ious, members_of
from vipriors.tasks.label_map import decode

Pixels = NDArray[np.uint8]

COUNT = 8


def pictures(run: FinishedRun, data: Path) -> list[Picture]:
    """Test images from the worst to the best by their mean IoU; none without test labels.

    Raises:
        BadInput: Predictions, labels or images are damaged or not those of this run.
    """
    folder = data / LABELS / "test"
    if not folder.is_dir():
        return []
    rows = [row for row in read_manifest(run.folder / "manifest.csv") if row.split == "test"]
    truth = open_truth(folder, rows, run.recipe.challenge, run.recipe.classes)
    file = run.folder / run.outcome.predictions
    predictions, problems = segmentation.check(read_bytes(file), truth.index, str(file))
    if predictions is None:
        raise BadInput(problems)
    pairs = []
    for id_, content in zip(truth.index.ids, predictions.maps, strict=True):
        label_map, _ = truth.labels.images[id_].load(id_)
        predicted = decode(content or b"", Findings(str(file)), id_)
        assert predicted is not None, "checked above"
        pairs.append((label_map, predicted))
    scores = np.array([score_of(*pair, truth.index.classes) for pair in pairs])
    scored = np.flatnonzero(~np.isnan(scores))
    shown = [int(scored[place]) for place in spread(scores[scored], COUNT)]
    return [
        picture(data, rows[place], *pairs[place], float(scores[place]), truth.index.classes)
        for place in shown
    ]


def score_of(truth: Pixels, predicted: Pixels, classes: Classes) -> float:
    """Mean IoU over the classes that occur in one image; NaN where none of its pixels counts."""
    groups = members_of([[class_] for class_ in classes.evaluated])
    each = ious(count(confusion_of(truth, predicted), groups, classes))
    occurs = ~np.isnan(each)
    return float(each[occurs].mean()) if occurs.any() else float("nan")


def picture(
    data: Path, row: Row, truth: Pixels, predicted: Pixels, score: float, classes: Classes
) -> Picture:
    """The picture of one image; `truth` and `predicted` are ids `(H, W)`."""
    image = read_image(PreparedFiles(data).locate(row.file), channels=3, name=str(data / row.file))
    ids = [class_.id for class_ in classes.evaluated]
    colours = {id_: colour(position) for position, id_ in enumerate(ids)}
    halves = [half(image, map_, colours) for map_ in (truth, predicted)]
    gap = np.full((len(halves[0]), GAP, 3), 255, np.uint8)
    counts = np.bincount(np.concatenate([truth.ravel(), predicted.ravel()]), minlength=256)
    names = {class_.id: class_.name for class_ in classes.evaluated if counts[class_.id]}
    order = sorted(names, key=lambda id_: -counts[id_])
    pixels = np.concatenate([halves[0], gap, halves[1]], axis=1)
    below = legend([(names[id_], colours[id_]) for id_ in order], pixels.shape[1])
    bare = "" if np.isin(truth, ids).all() else " Where the truth shows the bare image, nothing counts."
    caption = f"{row.id}, mean IoU {100 * score:.1f} %. Left: truth, right: prediction.{bare}"
    return Picture(png(np.concatenate([pixels, below])), caption)
