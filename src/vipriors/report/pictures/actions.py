"""Test clips as strips of frames, with the classes that were named for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vipriors.data.clips import even_frames
from vipriors.data.files import read_bytes
from vipriors.data.loader import load_split
from vipriors.data.manifest import read_manifest
from vipriors.data.prepared import read_prepared
from vipriors.pictures import Picture, png
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures import spread
from vipriors.tasks import actions
from vipriors.tasks.labels import align

COUNT = 8
"""Clips that are shown."""
FRAMES = 8
"""Of each clip, in two rows."""
NAMED = 3
"""Predicted classes that a caption names."""
SIDE = 96
"""Longest side of a frame in pixels: smaller ones are enlarged by a whole number, larger ones shrunk."""
GAP = 2
"""Pixels between frames."""


def pictures(run: FinishedRun, data: Path) -> list[Picture]:
    """Clips of the test from the one that was recognised worst to the best, by the place of its class.

    Args:
        run: The run.
        data: The prepared folder whose clips the run used.

    Returns:
        The pictures; none where the folder has no test labels.

    Raises:
        BadInput: The predictions, the labels or the clips are damaged or not those of this run.
    """
    recipe = run.recipe
    labels = read_prepared(data).labels_of("test")
    if labels is None:
        return []
    truth = actions.open_truth(labels, recipe.classes)
    index: actions.ClipIndex = truth.index
    file = run.folder / run.outcome.predictions
    predictions, problems = actions.check(read_bytes(file), index, str(file))
    if predictions is None:
        raise BadInput(problems)
    named, right = predictions.classes - index.first, align(truth.labels, index, index.first)
    place = places(named, right)
    if run.confusion is not None and (scored := int(run.confusion.trace())) != (place == 1).sum():
        message = f"make {(place == 1).sum()} predictions right; expected {scored}, as in scores.json"
        raise BadInput.single(labels, f"{message}: these are not the labels of this run")
    rows = {row.id: row for row in read_manifest(run.folder / "manifest.csv") if row.split == "test"}
    if not set(index.ids) <= rows.keys():
        raise BadInput.single(run.folder / "manifest.csv", f"lacks test clips that are in {labels}")
    shown = spread(-place.astype(np.float64), COUNT)
    clips = load_split(data, [rows[index.ids[number]] for number in shown], recipe.challenge.form).images
    return [
        Picture(
            png(strip(clip)),
            caption(index.ids[number], recipe.classes, named[number], int(right[number]), int(place[number])),
        )
        for number, clip in zip(shown, clips, strict=True)
    ]


def places(named: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of the right class `(N,)` among those named `(N, P)`, from 1 on; P + 1 if it is not there."""
    hits = named == right[:, None]
    found: NDArray[np.int64] = np.where(hits.any(1), hits.argmax(1) + 1, named.shape[1] + 1)
    return found


def caption(id_: str, classes: tuple[str, ...], named: NDArray[np.int64], right: int, place: int) -> str:
    """What a clip is, what it was taken for, and how to read its strip."""
    first = ", ".join(f"“{classes[class_]}”" for class_ in named[:NAMED])
    found = f"at place {place}" if place <= len(named) else f"not among the {len(named)} predictions"
    reading = "Time runs along the upper row, then the lower."
    return f"{id_}: “{classes[right]}”, {found}; predicted {first}. {reading}"


def strip(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Evenly spaced frames of a clip `(T, H, W, C)` in two rows, as one picture `(h, w, 3)`."""
    frames = [enlarged(frame) for frame in clip[even_frames(len(clip), min(FRAMES, len(clip)))]]
    columns = (len(frames) + 1) // 2
    height, width, _ = frames[0].shape
    rows = -(-len(frames) // columns)
    picture = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 128, np.uint8)
    for number, frame in enumerate(frames):
        top, left = number // columns * (height + GAP), number % columns * (width + GAP)
        picture[top : top + height, left : left + width] = frame
    return picture


def enlarged(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame `(H, W, C)` as RGB with about `SIDE` pixels on its longer side."""
    colours = frame[:, :, :3] if frame.shape[2] >= 3 else frame[:, :, :1].repeat(3, axis=2)
    longest = max(frame.shape[:2])
    if longest <= SIDE:
        times = SIDE // longest
        return colours.repeat(times, axis=0).repeat(times, axis=1)
    small = Image.fromarray(np.ascontiguousarray(colours))
    small.thumbnail((SIDE, SIDE))
    return np.asarray(small)
