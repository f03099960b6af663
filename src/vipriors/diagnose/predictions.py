"""TIDE of the predictions of a task that finds objects, straight from its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vipriors.data.files import read_bytes
from vipriors.diagnose.errors import Settings
from vipriors.diagnose.tide import Diagnosis, tide
from vipriors.problems import BadInput
from vipriors.tasks import detection, instances
from vipriors.tasks.mask_overlaps import mask_overlaps
from vipriors.tasks.matching import Overlaps

TASKS = ("detection", "instances")

Labels = detection.Labels | instances.Labels
Predictions = detection.Predictions | instances.Predictions


@dataclass(frozen=True)
class Diagnosed:
    """Labels, predictions, and where these lose AP."""

    labels: Labels
    predictions: Predictions
    diagnosis: Diagnosis


def diagnose_files(task: str, file: Path, labels_file: Path, settings: Settings | None = None) -> Diagnosed:
    """Diagnoses a predictions file.

    Args:
        task: `detection` compares boxes, `instances` masks.
        file: the predictions, as COCO has results.
        labels_file: the annotated objects, as COCO has ground truth.
        settings: the thresholds, and whether to correct.

    Raises:
        BadInput: one of the files is none, or they do not fit together; lists every problem.
    """
    module = detection if task == "detection" else instances
    labels = module.read_labels(labels_file)
    predictions, problems = module.check(read_bytes(file), labels.index, str(file))
    if predictions is None:
        raise BadInput(problems)
    return Diagnosed(labels, predictions, diagnose(labels, predictions, settings))


def diagnose(labels: Labels, predictions: Predictions, settings: Settings | None = None) -> Diagnosis:
    """Diagnoses predictions as `check` of their task returns them."""
    settings = settings or Settings()
    overlaps = _overlaps(labels, predictions, settings.background)
    return tide(labels.objects, predictions.results, overlaps, labels.index, settings)


def _overlaps(labels: Labels, predictions: Predictions, lowest: float) -> Overlaps:
    crowds = labels.objects.crowds
    if isinstance(labels, detection.Labels) and isinstance(predictions, detection.Predictions):
        boxes, found_boxes = labels.boxes, predictions.boxes

        def of_boxes(found: NDArray[np.int64], annotated: NDArray[np.int64]) -> NDArray[np.float64]:
            return detection.box_overlaps(found_boxes[found], boxes[annotated], crowds[annotated])

        return of_boxes
    if isinstance(labels, instances.Labels) and isinstance(predictions, instances.Predictions):
        masks, found_masks = labels.masks, predictions.masks
        # Somewhat less than what decides, so that rounding decides nothing.
        least = 0.999 * lowest

        def of_masks(found: NDArray[np.int64], annotated: NDArray[np.int64]) -> NDArray[np.float64]:
            return mask_overlaps(found_masks, masks, found, annotated, crowds[annotated], least)

        return of_masks
    raise BadInput.single("predictions", "are of another task than the labels; expected the same")
