"""What the ids in a label map stand for: which classes they are, which count, and which group together.

Source of the Cityscapes definition: Cordts et al., The Cityscapes Dataset, 2016, and the labels and class
average instance sizes of its published evaluation scripts (mcordts/cityscapesScripts).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vipriors.problems import BadInput
from vipriors.tasks.findings import Findings, shown

MOST_ID = 255
"""The largest id that an 8-bit map can hold."""


@dataclass(frozen=True)
class Class:
    """One id of a label map.

    Attributes:
        id: the value of its pixels.
        name: what it is called.
        category: name of the group it belongs to, if classes are grouped.
        ignored: whether pixels with this label are left out of the scores.
        instance_size: mean pixels of an instance in the training data; None where instances are not told
            apart.
    """

    id: int
    name: str
    category: str | None = None
    ignored: bool = False
    instance_size: float | None = None


@dataclass(frozen=True)
class Classes:
    """All ids that a label map or a prediction may hold.

    Raises:
        BadInput: an id or name occurs twice or is unfit, or no class is evaluated; lists all.
    """

    all: tuple[Class, ...]

    def __post_init__(self) -> None:
        findings = Findings("class map")
        for what, values in (("id", [c.id for c in self.all]), ("name", [c.name for c in self.all])):
            for value, times in Counter(values).items():
                if times > 1:
                    findings.add(
                        f"duplicate {what}s", f"{what} {value!r} occurs {times} times; expected once"
                    )
        for class_ in self.all:
            if not 0 <= class_.id <= MOST_ID:
                message = f"{shown(class_.name)} has id {class_.id}; expected 0 to {MOST_ID}"
                findings.add("ids out of range", message)
            size = class_.instance_size
            if size is not None and not (math.isfinite(size) and size > 0):
                message = f"{shown(class_.name)} has instance size {size}; expected a number above 0"
                findings.add("unfit instance sizes", message)
        if not self.evaluated:
            findings.add("faults of the class map", "no class is evaluated; expected at least one")
        if findings:
            raise BadInput(findings.problems())

    @property
    def evaluated(self) -> tuple[Class, ...]:
        """The classes that scores are taken over."""
        return tuple(class_ for class_ in self.all if not class_.ignored)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the evaluated classes."""
        return tuple(class_.name for class_ in self.evaluated)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the groups that have an evaluated class."""
        return tuple(dict.fromkeys(c.category for c in self.evaluated if c.category is not None))

    @property
    def instance_categories(self) -> tuple[str, ...]:
        """Those of the categories whose classes, ignored ones too, all have instances."""
        without = {class_.category for class_ in self.all if class_.instance_size is None}
        return tuple(category for category in self.categories if category not in without)


def ranges(ids: Iterable[int]) -> str:
    """Ids in words: `0 to 10, 255`."""
    present = set(ids)
    starts = sorted(id_ for id_ in present if id_ - 1 not in present)
    ends = sorted(id_ for id_ in present if id_ + 1 not in present)
    pairs = zip(starts, ends, strict=True)
    return ", ".join(f"{start} to {end}" if end > start else f"{start}" for start, end in pairs)


def plain(names: Sequence[str], ignored: int | None = MOST_ID) -> Classes:
    """Classes 0 to K-1 with one ignored id.

    Args:
        names: of the K classes.
        ignored: the id of pixels without a class; None if there is none.
    """
    void = () if ignored is None else (Class(ignored, "void", ignored=True),)
    return Classes((*(Class(id_, name) for id_, name in enumerate(names)), *void))


# Name and category, in the order of the ids from 0; a * marks what is ignored in evaluation.
_CITYSCAPES = """
unlabeled* void, ego vehicle* void, rectification border* void, out of roi* void, static* void,
dynamic* void, ground* void, road flat, sidewalk flat, parking* flat, rail track* flat,
building construction, wall construction, fence construction, guard rail* construction,
bridge* construction, tunnel* construction, pole object, polegroup* object, traffic light object,
traffic sign object, vegetation nature, terrain nature, sky sky, person human, rider human, car vehicle,
truck vehicle, bus vehicle, caravan* vehicle, trailer* vehicle, train vehicle, motorcycle vehicle,
bicycle vehicle
"""

_CITYSCAPES_INSTANCE_SIZES = {
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "caravan": 36771.8241758242,
    "trailer": 16926.9763313609,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}


def _cityscapes() -> Classes:
    classes = []
    for id_, entry in enumerate(_CITYSCAPES.split(",")):
        name, _, category = entry.strip().rpartition(" ")
        ignored, name = name.endswith("*"), name.removesuffix("*")
        classes.append(Class(id_, name, category, ignored, _CITYSCAPES_INSTANCE_SIZES.get(name)))
    return Classes(tuple(classes))


CITYSCAPES = _cityscapes()
"""The 34 label ids of Cityscapes: 19 are evaluated, in 7 categories."""
