"""What stands behind the scores of a segmentation: each class and category, and what is taken for what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vipriors.tasks.class_map import Classes
from vipriors.tasks.iou import Confusion, Counts, ious

MOST_CONFUSION = 40
"""Classes up to which the confusion is given."""


def details_of(
    by_image: Mapping[str, Counts], confusion: Confusion, classes: Classes, class_names: Sequence[str]
) -> dict[str, Any]:
    """What stands behind the scores: each class and category, and the confusion of the evaluated classes."""
    scores = {name: ious(counts.sum(axis=0)).tolist() for name, counts in by_image.items()}
    pixels = by_image["iou_class"].sum(axis=0)[:, :2].sum(axis=1).tolist()
    with_instances = [c.id for c in classes.evaluated if c.instance_size is not None]
    per_class = []
    for position, (class_, name) in enumerate(zip(classes.evaluated, class_names, strict=True)):
        row = {"class": name, "pixels": int(pixels[position]), "iou": _number(scores["iou_class"][position])}
        row["boundary_iou"] = _number(scores["boundary_iou"][position])
        if "iiou_class" in scores and class_.id in with_instances:
            row["iiou"] = _number(scores["iiou_class"][with_instances.index(class_.id)])
        per_class.append(row)
    per_category = []
    for position, name in enumerate(classes.categories):
        row = {"category": name, "iou": _number(scores["iou_category"][position])}
        if "iiou_category" in scores and name in classes.instance_categories:
            row["iiou"] = _number(scores["iiou_category"][classes.instance_categories.index(name)])
        per_category.append(row)
    details: dict[str, Any] = {"per_class": per_class, "per_category": per_category}
    if len(class_names) <= MOST_CONFUSION:
        ids = [class_.id for class_ in classes.evaluated]
        rows = confusion[ids]
        others = rows.sum(axis=1) - rows[:, ids].sum(axis=1)  # predicted as an ignored class, or missing
        details["confusion"] = np.column_stack([rows[:, ids], others]).astype(np.int64).tolist()
    return details


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
