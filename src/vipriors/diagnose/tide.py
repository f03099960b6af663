"""TIDE: how much average precision (AP) each type of error costs a detector.

The errors are those of `errors`. To tell what a type costs, its errors alone are repaired and AP is computed
anew: a Loc or Cls about an object that nothing took becomes right if it is the surest about that object (a
Cls under the object's class), every other result of the type is taken away, and missed objects are no longer
counted. The difference is the type's ΔAP; the six do not add up to 100 − AP, as errors hide each other.
FalsePos is the ΔAP of giving all right results higher scores than all wrong ones, FalseNeg that of not
counting any object that was not found.

AP is at one overlap, `foreground`: for each class the mean, over 101 recalls, of the best precision at that
recall or beyond it, in percent, and the mean of that over classes.

By default every number equals that of the authors' package, tidecv 1.0.1, so that it can be put beside
published ones. There are some things it does that a reader may not expect. `Settings.corrected` undoes them;
AP is then COCO's AP50 where `foreground` is 0.5:

1. A class with results but without objects has an AP of 0. Corrected: it does not count, as in COCO.
2. A class that a repair leaves without objects and results no longer counts, which moves the mean. Corrected:
   classes stay, and one with nothing left to find and nothing wrong has an AP of 100.
3. Results with the same score are taken in the order of the images in the file; after a repair the errors
   among them come first, so AP can change although nothing was repaired, and FalseNeg be negative. Corrected:
   they are taken in the order of the images' ids, before and after.
4. 100 results count in an image. Corrected: 100 in an image and class, as in COCO.
5. Results in a crowd are not counted as wrong, but they are errors all the same, and repaired ones are
   counted as right. Corrected: they are no errors.
6. Whether a result lies in a crowd: its share inside is above `foreground`. Corrected: or equal.
7. Of objects that a result overlaps equally it takes the first. Corrected: the last, as in COCO.
8. The 101 recalls are k / 100. Corrected: COCO's, some of which are larger in the last digit; it matters to a
   class with 20, 25, 50 or 100 objects, of which such a share may be found exactly.

What differs from the package in either case: where nothing was found, or a repair leaves nothing to be found,
AP is 0 or 100 (the package divides by zero); results in images that the labels lack are refused by `check`
(the package drops them); scores may be below −1.

Source: Bolya, Foley, Hays, Hoffman: TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV
2020; its package, github.com/dbolya/tide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.card import Bound, Card
from vipriors.diagnose.errors import CLS, CUT, HIT, KINDS, LABELS, LOC, Errors, Settings, errors_of
from vipriors.tasks.coco import Index, Objects, Results
from vipriors.tasks.matching import Overlaps

CARD = Card(
    system="D6",
    name="TIDE",
    source="TIDE: a general toolbox for identifying object detection errors, ECCV 2020",
    claims=(
        Bound(
            "AP, every ΔAP and every count as the authors' package has them, boxes and masks, to 1e-6",
            benchmark="diagnosing",
            number="largest_difference",
            most=1e-6,
        ),
        Bound(
            "at least five times as fast as that package on 5,000 images, not counting the reading of files",
            benchmark="diagnosing",
            number="ratio_of_tide",
            least=5.0,
        ),
        Bound(
            "at least five times as fast as that package on 5,000 images, from files to numbers",
            benchmark="diagnosing",
            number="ratio_with_reading",
            least=5.0,
        ),
    ),
)

SPECIAL = ("FalsePos", "FalseNeg")


@dataclass(frozen=True)
class Diagnosis:
    """Where AP is lost. All AP and ΔAP are in percent.

    Attributes:
        settings: how it was made.
        ap: the AP at `settings.foreground`.
        delta_ap: ΔAP of each of `KINDS`.
        special: ΔAP of each of `SPECIAL`.
        counts: errors of each of `KINDS`.
        labels: `(R,)` positions in `LABELS`, in the order of the file.
        ignored: `(R,)` bool, whether the result lies in a crowd.
        about: `(R,)` the object that a hit took or that a Loc or Cls is about; −1 for others.
        overlaps: `(R,)` the overlap with that object, or the largest with any; 0 if below the background.
        missed: `(G,)` bool, the objects that are a Miss.
    """

    settings: Settings
    ap: float
    delta_ap: dict[str, float]
    special: dict[str, float]
    counts: dict[str, int]
    labels: NDArray[np.int8]
    ignored: NDArray[np.bool_]
    about: NDArray[np.int64]
    overlaps: NDArray[np.float64]
    missed: NDArray[np.bool_]

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain JSON data."""
        return {
            "ap": self.ap,
            "delta_ap": self.delta_ap,
            "special": self.special,
            "counts": self.counts,
            "hits": int((self.labels == HIT).sum()),
            "foreground": self.settings.foreground,
            "background": self.settings.background,
            "corrected": self.settings.corrected,
        }


def tide(
    objects: Objects, results: Results, overlaps: Overlaps, index: Index, settings: Settings | None = None
) -> Diagnosis:
    """Diagnoses R results about G objects.

    Args:
        objects: the annotated objects.
        results: the found objects.
        overlaps: as `matching.match` takes it; those below the background may be given as 0.
        index: the images and classes.
        settings: the thresholds, and whether to correct.
    """
    settings = settings or Settings()
    image_order = np.arange(len(index.ids))
    if index.listed is not None and not settings.corrected:
        image_order[list(index.listed)] = np.arange(len(index.ids))
    errors = errors_of(objects, results, overlaps, image_order, settings)
    scale = _Scale.of(objects, index.classes, settings.corrected)
    original = _Points(results.classes[errors.order], errors.labels == HIT, ~errors.ignored)
    scores = results.scores[errors.order]
    ap = original.mean_ap(np.argsort(-scores, kind="stable"), scale)
    later = original.right & (not settings.corrected)
    repaired_order = np.lexsort((later, -scores))
    delta_ap = {}
    for kind, name in enumerate(KINDS):
        if name == "Miss":
            repaired = original.mean_ap(repaired_order, scale.without(objects.classes[errors.missed]))
        else:
            repaired = _repaired(original, errors, kind, objects).mean_ap(repaired_order, scale)
        delta_ap[name] = max(repaired - ap, 0.0)
    right_first = np.argsort(~original.right, kind="stable")
    not_found = ~errors.taken & ~objects.crowds
    special = {
        "FalsePos": original.mean_ap(right_first, scale) - ap,
        "FalseNeg": original.mean_ap(repaired_order, scale.without(objects.classes[not_found])) - ap,
    }
    counts = np.bincount(errors.labels, minlength=len(LABELS)).tolist()[: len(KINDS) - 1]
    return Diagnosis(
        settings,
        ap,
        delta_ap,
        special,
        dict(zip(KINDS, [*counts, int(errors.missed.sum())], strict=True)),
        _in_file(errors, errors.labels, results, CUT),
        _in_file(errors, errors.ignored, results, False),
        _in_file(errors, errors.objects, results, -1),
        _in_file(errors, errors.overlaps, results, 0.0),
        errors.missed,
    )


@dataclass(frozen=True)
class _Scale:
    """What average precisions are measured by: objects of each class, and how to count."""

    objects: NDArray[np.int64]
    """`(K,)`."""
    counted: NDArray[np.bool_] | None
    """`(K,)` classes in the mean; None for those that have objects or results."""
    recalls: NDArray[np.float64]

    @classmethod
    def of(cls, objects: Objects, classes: int, corrected: bool) -> _Scale:
        """The objects that are no crowds."""
        of_class = np.bincount(objects.classes[~objects.crowds], minlength=classes)
        if corrected:
            return cls(of_class, of_class > 0, np.linspace(0, 1, 101))
        return cls(of_class, None, np.arange(101) / 100)

    def without(self, classes: NDArray[np.int64]) -> _Scale:
        """The same without an object of each of the classes."""
        return replace(self, objects=self.objects - np.bincount(classes, minlength=len(self.objects)))


@dataclass(frozen=True)
class _Points:
    """The D results that may lie on curves of precision over recall."""

    classes: NDArray[np.int64]
    right: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    """Those that do."""

    def mean_ap(self, order: NDArray[np.int64], scale: _Scale) -> float:
        """The mean over classes, in percent; 100 if there is none left to count.

        Args:
            order: `(D,)`, the surest first.
            scale: what it is measured by.
        """
        order = order[self.kept[order]]
        order = order[np.argsort(self.classes[order].astype(np.uint32), kind="stable")]
        bounds = np.searchsorted(self.classes[order], np.arange(len(scale.objects) + 1))
        right, each = self.right[order], []
        for class_, (start, end) in enumerate(pairwise(bounds.tolist())):
            objects = int(scale.objects[class_])
            if objects:
                each.append(_average_precision(right[start:end], objects, scale.recalls))
            elif end > start if scale.counted is None else scale.counted[class_]:
                each.append(0.0 if end > start else 100.0)
        return sum(each) / len(each) if each else 100.0


def _average_precision(right: NDArray[np.bool_], objects: int, recalls: NDArray[np.float64]) -> float:
    """AP in percent of one class from its results by falling score, `(n,)`; at least one object."""
    places = np.flatnonzero(right)
    found = np.arange(1, len(places) + 1)
    # The best precision at a recall or beyond is that of a hit, so only these are looked at.
    best = np.maximum.accumulate((found / (places + 1))[::-1])[::-1]
    reached = np.searchsorted(found / objects, recalls)
    return float(np.append(best, 0.0)[reached].mean()) * 100


def _repaired(points: _Points, errors: Errors, kind: int, objects: Objects) -> _Points:
    """The points with all errors of one kind of a result repaired."""
    of_kind = errors.labels == kind
    wins = of_kind & errors.wins if kind in (CLS, LOC) else np.zeros_like(of_kind)
    classes = np.where(wins, objects.classes[errors.objects], points.classes)
    return replace(points, classes=classes, right=points.right | wins, kept=(points.kept & ~of_kind) | wins)


def _in_file(errors: Errors, values: NDArray[Any], results: Results, cut: Any) -> NDArray[Any]:
    """Values `(D,)` of the results that count, and `cut` for the others, in the order of the file `(R,)`."""
    found = np.full(len(results.images), cut, dtype=values.dtype)
    found[errors.order] = values
    return found
