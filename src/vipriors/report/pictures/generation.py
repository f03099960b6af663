"""Generated images above the nearest ones learned from, test images above reconstructions, interpolations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes
from vipriors.data.manifest import read_manifest
from vipriors.data.prepared import read_prepared
from vipriors.pictures import Picture, png
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures import spread
from vipriors.tasks import generation
from vipriors.tasks.feature_distances import nearest
from vipriors.tasks.generation_labels import Images, labels_of

SIDE = 40
"""Of an image in pixels, at least."""
GAP = 4
COLUMNS = 16
GENERATED = 64
"""New images that are shown by themselves."""
PAGE = 255


def pictures(run: FinishedRun, data: Path) -> list[Picture]:
    """New images, the newest and the least new of them, reconstructions, and steps between images.

    Args:
        run: A run on a challenge of generation.
        data: The prepared folder whose images it used.

    Returns:
        None where the folder has no test labels.

    Raises:
        BadInput: Predictions or labels are damaged or not those of this run.
    """
    file = read_prepared(data).labels_of("test")
    if file is None:
        return []
    rows = [row.id for row in read_manifest(run.folder / "manifest.csv") if row.split == "test"]
    labels = labels_of(generation.read_labels(read_bytes(file), str(file)), rows)
    handed_in = run.folder / run.outcome.predictions
    found, problems = generation.check(read_bytes(handed_in), labels.index, str(handed_in))
    if found is None:
        raise BadInput(problems)
    errors = ((found.reconstructed.astype(np.float64) - labels.images) ** 2).mean((1, 2, 3)) / 255**2
    scored = run.score.estimates["pixel_error"].value if run.score else errors.mean()
    if abs(scored - errors.mean()) > 1e-9:
        message = f"give a pixel error of {errors.mean():.6f}; expected {scored:.6f}, as in scores.json"
        raise BadInput.single(file, f"{message}: these are not the labels of this run")
    distances, places = nearest(_flat(found.generated), _flat(labels.learned_from))
    by_novelty = spread(distances, COLUMNS)
    by_error = spread(-errors, COLUMNS)
    shown = [
        _picture(
            found.generated[:GENERATED].reshape(-1, COLUMNS, *found.generated.shape[1:]),
            f"The first {min(GENERATED, len(found.generated))} generated images, not chosen.",
        ),
        _picture(
            np.stack([found.generated[by_novelty], labels.learned_from[places[by_novelty]]]),
            "Above, generated images from the one nearest to an image that may have been learned from to "
            "the one farthest from all; below, that nearest image.",
        ),
        _picture(
            np.stack([labels.images[by_error], found.reconstructed[by_error]]),
            "Above, test images from the one reconstructed worst by its pixels to the best; below, what the "
            "model made of each.",
        ),
    ]
    if found.interpolated is not None:
        words = "Rows of steps between two test images; at the ends their reconstructions."
        shown.append(_picture(found.interpolated, words))
    return shown


def sheet(images: Images) -> NDArray[np.uint8]:
    """Rows of images `(R, N, H, W, C)` as one picture, enlarged by a whole number so that pixels show."""
    rows, columns, height, width, channels = images.shape
    times = max(1, -(-SIDE // max(height, width)))
    visible = images[..., :3] if channels >= 3 else images[..., :1]
    page = np.full(
        (rows * (times * height + GAP) - GAP, columns * (times * width + GAP) - GAP, visible.shape[-1]),
        PAGE,
        np.uint8,
    )
    for row in range(rows):
        for column in range(columns):
            top, left = row * (times * height + GAP), column * (times * width + GAP)
            large = visible[row, column].repeat(times, axis=0).repeat(times, axis=1)
            page[top : top + times * height, left : left + times * width] = large
    return page if page.shape[-1] == 3 else page[..., 0]


def _picture(images: Images, caption: str) -> Picture:
    return Picture(png(sheet(images)), caption)


def _flat(images: Images) -> NDArray[np.float64]:
    return images.reshape(len(images), -1).astype(np.float64)
