"""Pictures of what a run predicted, for each task but classification: a module of this folder each.

Such a module has `pictures(run, data)`: a run's predictions over the images of its prepared folder, some of
the worst, the middling and the best of them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from vipriors.pictures import Picture

if TYPE_CHECKING:
    from vipriors.report.finished import FinishedRun


def pictures_of(run: FinishedRun, data: Path) -> list[Picture]:
    """Pictures of a run; none where the prepared folder has no test labels.

    Raises:
        BadInput: Predictions, labels or images are damaged or not those of this run.
    """
    module = import_module(f"{__name__}.{run.recipe.challenge.task}")
    return cast(list[Picture], module.pictures(run, data))


def spread(scores: NDArray[np.float64], count: int) -> list[int]:
    """Positions of `count` items: worst, best, and evenly between, the worst first; of equals the first."""
    order = np.argsort(scores, kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [int(order[place]) for place in places]
