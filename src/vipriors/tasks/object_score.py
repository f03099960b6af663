"""The score of detection and of instance segmentation, which differ in nothing but the overlaps of shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vipriors.problems import BadInput, Problem
from vipriors.tasks.coco import Index, Objects, Results
from vipriors.tasks.matching import Overlaps, match
from vipriors.tasks.precision import DRAWS as DRAWS
from vipriors.tasks.precision import NAMES, curves, estimates
from vipriors.tasks.score import Score


def score_objects(
    task: str,
    objects: Objects,
    results: Results,
    areas: NDArray[np.float64],
    overlaps: Overlaps,
    index: Index,
    class_names: Sequence[str],
    draws: int,
) -> Score:
    """Scores results over the whole index; an image without results is one in which nothing was found.

    Args:
        task: its name.
        objects: the annotated objects.
        results: R found objects.
        areas: `(R,)` areas of the results in square pixels.
        overlaps: as `match` takes it.
        index: the test images.
        class_names: K names.
        draws: resamples for the intervals.

    Raises:
        BadInput: objects, results or names do not fit the index.
    """
    _refuse_misfits(objects, results, index, class_names)
    images, classes = len(index.ids), index.classes
    found = curves(match(objects, results, areas, overlaps), objects, results, images, classes)
    numbers, intervals = estimates(found, draws)
    of_class = [
        np.bincount(values, minlength=classes).tolist()
        for values in (objects.classes[~objects.crowds], results.classes)
    ]
    details = {
        "n_images": images,
        "n_images_predicted": len(np.unique(results.images)),
        "n_objects": int((~objects.crowds).sum()),
        "n_crowds": int(objects.crowds.sum()),
        "n_results": len(results.images),
        "draws": draws,
        "summary": dict(zip(NAMES, map(_defined, numbers.values.tolist()), strict=True)),
        "classes": list(class_names),
        "per_class": [
            {"class": name, "n": n, "n_results": n_results}
            | dict(zip(NAMES[:3], map(_defined, values), strict=True))
            for name, n, n_results, values in zip(
                class_names, *of_class, numbers.per_class.tolist(), strict=True
            )
        ],
    }
    return Score(task, NAMES[0], intervals, details)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value


def _refuse_misfits(objects: Objects, results: Results, index: Index, class_names: Sequence[str]) -> None:
    problems = []
    for place, columns in (("labels", objects), ("predictions", results)):
        for what, values, size in (
            ("images", columns.images, len(index.ids)),
            ("classes", columns.classes, index.classes),
        ):
            if values.size and not 0 <= values.min() <= values.max() < size:
                found = f"positions {values.min()} to {values.max()}"
                problems.append(Problem(f"{place}, {what}", f"{found}; expected 0 to {size - 1}"))
    if len(class_names) != index.classes:
        problems.append(Problem("class names", f"{len(class_names)} names; expected {index.classes}"))
    if problems:
        raise BadInput(problems)
