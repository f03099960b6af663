"""Label maps laid over test images: the truth on the left, the prediction on the right, a legend below."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vipriors.data.files import read_bytes
from vipriors.data.images import read_image
from vipriors.data.manifest import Row, read_manifest
from vipriors.data.packed import PreparedFiles
from vipriors.data.prepared import LABELS
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures import Picture, png, spread
from vipriors.runs.bridges.segmentation import open_truth
from vipriors.tasks import segmentation
from vipriors.tasks.class_map import Classes
from vipriors.tasks.findings import Findings
from vipriors.tasks.iou import confusion_of, count, ious, members_of
from vipriors.tasks.label_map import decode

Pixels = NDArray[np.uint8]

COUNT = 8
PANEL = 240
"""Width of each half in pixels; a report shows both side by side about 320 wide."""
GAP = 6
OPACITY = 0.6
TEXT = 18
"""Height of a line of the legend in pixels."""


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


def half(image: Pixels, map_: Pixels, colours: dict[int, tuple[int, int, int]]) -> Pixels:
    """An image `(H, W, 3)` in grey, `PANEL` wide, under the colours of its map `(H, W)`; others are bare."""
    height = max(1, round(PANEL * image.shape[0] / image.shape[1]))
    # Pixels of a small image stay sharp; a large one is averaged.
    sampling = Image.Resampling.NEAREST if image.shape[1] < PANEL else Image.Resampling.BILINEAR
    grey = Image.fromarray(image).convert("L").resize((PANEL, height), sampling)
    ids = np.asarray(Image.fromarray(map_).resize((PANEL, height), Image.Resampling.NEAREST))
    table, opacity = np.zeros((256, 3)), np.zeros((256, 1))
    for id_, shade in colours.items():
        table[id_], opacity[id_] = shade, OPACITY
    laid: NDArray[np.float64] = np.asarray(grey)[:, :, None] * (1 - opacity[ids]) + table[ids] * opacity[ids]
    return laid.round().astype(np.uint8)


def colour(position: int) -> tuple[int, int, int]:
    """The colour of the class at a position: the first is dark, the others go around the circle of hues."""
    if position == 0:
        return (60, 80, 125)  # not grey, which is the bare image
    # Found by a search for the step and order that keep the first 20 furthest apart to the eye, laid on grey.
    hue = 0.5803 * (position - 1) % 1
    saturation, value = ((1.0, 1.0), (1.0, 0.55), (0.5, 1.0))[(position - 1) // 6 % 3]
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return (red, green, blue)


def legend(entries: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> Pixels:
    """Names with their colours, as many in a line as fit: `(h, width, 3)`."""
    font = ImageFont.load_default(TEXT - 2)
    places, x, y = [], GAP, GAP
    for name, shade in entries:
        length = TEXT + GAP + round(font.getlength(name))
        if x > GAP and x + length > width - GAP:
            x, y = GAP, y + TEXT + GAP
        places.append((x, y, name, shade))
        x += length + 2 * GAP
    strip = Image.new("RGB", (width, y + TEXT + GAP), "white")
    draw = ImageDraw.Draw(strip)
    for x, y, name, shade in places:
        draw.rectangle((x, y, x + TEXT - 2, y + TEXT - 2), fill=shade, outline="black")
        draw.text((x + TEXT + GAP // 2, y + TEXT // 2 - 1), name, fill="black", font=font, anchor="lm")
    return np.asarray(strip)
