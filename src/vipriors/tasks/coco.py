"""What detection and instance segmentation have in common: images, categories, annotated and found objects.

Images and categories are kept in ascending order of their ids, as ties between equal scores are broken in
that order.

Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and the format at cocodataset.org.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vipriors.problems import BadInput, Problem
from vipriors.tasks.json_values import is_whole, said

LARGEST_AREA = 1e10
"""In square pixels. The metric's widest range of areas ends here."""

MOST_PIXELS = 2**31 - 1
"""Of one image, so that positions of pixels fit 32 bits."""

UNKNOWN = -1
"""The position of an image or category that the index does not have."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class Index:
    """What results must be about: N images and K categories, both in ascending order of their ids.

    Attributes:
        ids: N ids of images.
        sizes: N pairs of height and width in pixels.
        categories: K ids of categories.
        names: K names of categories.
        listed: the N positions of the images in the order of the file, where there is one.

    Raises:
        BadInput: lengths differ, ids do not ascend, or there are none.
    """

    ids: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    categories: tuple[int, ...]
    names: tuple[str, ...]
    listed: tuple[int, ...] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        problems = []
        for place, ids, others, what in (
            ("index, images", self.ids, self.sizes, "sizes"),
            ("index, categories", self.categories, self.names, "names"),
        ):
            if not ids or len(ids) != len(others):
                message = f"{len(ids)} ids and {len(others)} {what}; expected as many, and at least one"
                problems.append(Problem(place, message))
            if any(first >= second for first, second in pairwise(ids)):
                problems.append(Problem(place, "ids do not ascend; expected each once, in ascending order"))
        if problems:
            raise BadInput(problems)

    @property
    def classes(self) -> int:
        """The number of categories."""
        return len(self.categories)


@dataclass(frozen=True)
class Objects:
    """The G annotated objects, in the order of the file; `images` and `classes` are positions in the index.

    Attributes:
        images: `(G,)` int64.
        classes: `(G,)` int64.
        areas: `(G,)` float64, in square pixels.
        crowds: `(G,)` bool, whether the annotation covers a crowd of objects.
    """

    images: NDArray[np.int64]
    classes: NDArray[np.int64]
    areas: NDArray[np.float64]
    crowds: NDArray[np.bool_]

    def with_areas(self, areas: NDArray[np.float64]) -> Objects:
        """The objects, where an area is NaN with that of the shape, of `areas` `(G,)`."""
        return replace(self, areas=np.where(np.isnan(self.areas), areas, self.areas))


@dataclass(frozen=True)
class Results:
    """The R found objects, in the order of the file; `images` and `classes` are positions in the index.

    Attributes:
        images: `(R,)` int64.
        classes: `(R,)` int64.
        scores: `(R,)` float64.
    """

    images: NDArray[np.int64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]


def positions(ids: Sequence[int]) -> dict[int, int]:
    """The position of each id."""
    return {id_: position for position, id_ in enumerate(ids)}


def located(entries: Sequence[Entry], field: str, known: Mapping[int, int]) -> NDArray[np.int64]:
    """The position of the id in `field` of each entry, `(n,)`, or `UNKNOWN`."""
    ids = [entry.get(field) for entry in entries]
    return np.array([known.get(id_, UNKNOWN) if is_whole(id_) else UNKNOWN for id_ in ids], dtype=np.int64)


def faults_of_ids(
    entry: Entry, images: Mapping[int, int], categories: Mapping[int, int]
) -> Iterator[tuple[str, str]]:
    """What is wrong with the ids in an annotation or result: the kind of problem and its message."""
    for key, known, what in (
        ("image_id", images, "an image of the test set"),
        ("category_id", categories, "a category"),
    ):
        id_ = entry.get(key)
        if not is_whole(id_):
            expected = f"expected a whole number as in the ground truth, such as {next(iter(known))}"
            yield f"entries with a wrong {key}", f"{key} is {said(id_)}; {expected}"
        elif id_ not in known:
            yield f"entries with an unknown {key}", f"{key} {said(id_)} is not the id of {what}"
