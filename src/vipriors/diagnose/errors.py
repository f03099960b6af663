"""Which error each found object is: the first half of TIDE, before any average precision is computed.

Results are taken by falling score, at most `MOST_FOUND` an image. Each takes, of the objects of its class
that are still free, the one it overlaps most, if by `foreground` or more. One that took none is ignored if
it lies in a crowd of its class. What is then left is an error, the first of these that fits:

    Loc   it overlaps an object of its class by `background` to `foreground`, and none of them more
    Cls   it overlaps an object of another class by `foreground` or more
    Dupe  it overlaps an object of its class by more than `foreground`, which a surer result has taken
    Bkg   it overlaps no object by more than `background`
    Both  anything else

An object is a Miss if no result took it and no Loc or Cls is about it.

Source: Bolya, Foley, Hays, Hoffman: TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV
2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.problems import BadInput, Problem
from vipriors.tasks.coco import Objects, Results
from vipriors.tasks.matching import MOST_FOUND, Overlaps, Pairs, overlapping

KINDS = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
"""The six types of error. All but the last are errors of a result."""

LABELS = (*KINDS[:-1], "hit", "ignored", "cut")
"""What a result can be: an error, right, in a crowd, or beyond the most that count in an image."""

CLS, LOC, BOTH, DUPE, BKG, HIT, IGNORED, CUT = range(len(LABELS))


@dataclass(frozen=True)
class Settings:
    """How errors are told apart.

    Attributes:
        foreground: overlap from which on a result has found an object.
        background: overlap up to which a result has nothing to do with an object.
        corrected: count as COCO does where the authors' package differs; see `tide`.

    Raises:
        BadInput: not 0 < background <= foreground <= 1.
    """

    foreground: float = 0.5
    background: float = 0.1
    corrected: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.background <= self.foreground <= 1:
            found = f"background {self.background} and foreground {self.foreground}"
            raise BadInput([Problem("thresholds", f"{found}; expected 0 < background <= foreground <= 1")])


@dataclass(frozen=True)
class Errors:
    """What each of the D results that count is, by image and falling score.

    Attributes:
        order: `(D,)` indices of the results.
        labels: `(D,)` positions in `LABELS`; a hit, an error, or where `Settings.corrected` ignored.
        ignored: `(D,)` bool, lies in a crowd: it does not lower precision, whatever its label.
        objects: `(D,)` the object that a hit took, or that a Loc or Cls is about; −1 for others.
        overlaps: `(D,)` with that object, or the largest with any.
        wins: `(D,)` bool, the surest Loc or Cls about an object that no result took.
        taken: `(G,)` bool, the objects that were found.
        missed: `(G,)` bool, the objects that are a Miss.
    """

    order: NDArray[np.int64]
    labels: NDArray[np.int8]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]
    overlaps: NDArray[np.float64]
    wins: NDArray[np.bool_]
    taken: NDArray[np.bool_]
    missed: NDArray[np.bool_]


def errors_of(
    objects: Objects, results: Results, overlaps: Overlaps, image_order: NDArray[np.int64], settings: Settings
) -> Errors:
    """Tells the errors of R results about G objects.

    Args:
        objects: the annotated objects.
        results: the found objects.
        overlaps: as `matching.match` takes it; those below the background may be given as 0.
        image_order: `(N,)` the place of each image, which orders results with the same score.
        settings: the thresholds.
    """
    order = _ordered(results, image_order, settings.corrected)
    single = np.where(objects.crowds, -1, objects.images)
    pairs = overlapping(order, results.images, single, overlaps, settings.background)
    same = results.classes[order[pairs.places]] == objects.classes[pairs.objects]
    of_same = _chosen(pairs, same)
    hit, hit_overlaps = _best(_matched(of_same, settings), len(order))
    own, own_overlaps = _best(of_same, len(order))
    other, other_overlaps = _best(_chosen(pairs, ~same), len(order))
    hits, largest = hit >= 0, np.maximum(own_overlaps, other_overlaps)
    ignored = _in_crowds(objects, results, order, np.flatnonzero(~hits), overlaps, settings)

    rules = {
        HIT: hits,
        IGNORED: ignored & settings.corrected,
        LOC: (own_overlaps >= settings.background) & (own_overlaps <= settings.foreground),
        CLS: other_overlaps >= settings.foreground,
        DUPE: own_overlaps > settings.foreground,
        BKG: largest <= settings.background,
    }
    labels = np.select(list(rules.values()), list(rules), BOTH).astype(np.int8)
    of_label = [labels == HIT, labels == LOC, labels == CLS]
    about = np.select(of_label, [hit, own, other], -1)
    with_object = np.select(of_label, [hit_overlaps, own_overlaps, other_overlaps], largest)

    taken = np.zeros(len(objects.images), dtype=bool)
    taken[hit[hits]] = True
    # The surest comes first in the order; an image's results are never about another's objects.
    repairs = np.flatnonzero((about >= 0) & ~hits & ~taken[about])
    repairs = repairs[np.unique(about[repairs], return_index=True)[1]]
    wins = np.zeros(len(order), dtype=bool)
    wins[repairs] = True
    missed = ~taken & ~objects.crowds
    missed[about[repairs]] = False
    return Errors(order, labels, ignored, about, with_object, wins, taken, missed)


def _ordered(results: Results, image_order: NDArray[np.int64], per_class: bool) -> NDArray[np.int64]:
    """The results that count, by image and falling score."""
    order = np.lexsort((-results.scores, image_order[results.images]))
    groups = results.images[order]
    if per_class:
        groups = groups * (1 + int(results.classes.max(initial=0))) + results.classes[order]
    by_group = np.argsort(groups, kind="stable")
    in_order = groups[by_group]
    ranks = np.empty_like(by_group)
    ranks[by_group] = np.arange(len(groups)) - np.searchsorted(in_order, in_order)
    return order[ranks < MOST_FOUND]


def _matched(pairs: Pairs, settings: Settings) -> Pairs:
    """The pairs of a result and the object that it took, from all pairs of the same class."""
    enough = np.flatnonzero(pairs.overlaps >= settings.foreground)
    places, objects = pairs.places[enough], pairs.objects[enough]
    ties = -objects if settings.corrected else objects
    order = np.lexsort((ties, -pairs.overlaps[enough], places))
    took, taken, last = [], set(), -1
    for pair, place, object_ in zip(
        order.tolist(), places[order].tolist(), objects[order].tolist(), strict=True
    ):
        if place != last and object_ not in taken:
            took.append(pair)
            taken.add(object_)
            last = place
    return _chosen(pairs, enough[took])


def _in_crowds(
    objects: Objects,
    results: Results,
    order: NDArray[np.int64],
    free: NDArray[np.int64],
    overlaps: Overlaps,
    settings: Settings,
) -> NDArray[np.bool_]:
    """Which of the D results lie in a crowd of their class, of those at the places `free` `(F,)`."""
    classes = 1 + int(max(objects.classes.max(initial=0), results.classes.max(initial=0)))
    crowds = np.where(objects.crowds, objects.images * classes + objects.classes, -1)
    groups = results.images * classes + results.classes
    pairs = overlapping(order[free], groups, crowds, overlaps, settings.foreground)
    inside = (pairs.overlaps > settings.foreground) | settings.corrected
    ignored = np.zeros(len(order), dtype=bool)
    ignored[free[pairs.places[inside]]] = True
    return ignored


def _chosen(pairs: Pairs, which: NDArray[Any]) -> Pairs:
    return Pairs(pairs.places[which], pairs.objects[which], pairs.overlaps[which])


def _best(pairs: Pairs, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The object that each of D results overlaps most, the first of equals, and by how much; or −1 and 0."""
    order = np.lexsort((pairs.objects, -pairs.overlaps, pairs.places))
    places, firsts = np.unique(pairs.places[order], return_index=True)
    objects, overlaps = np.full(count, -1, dtype=np.int64), np.zeros(count)
    objects[places] = pairs.objects[order[firsts]]
    overlaps[places] = pairs.overlaps[order[firsts]]
    return objects, overlaps
