"""The test index of segmentation: which label maps a submission must hold, how large, and with which ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vipriors.problems import BadInput
from vipriors.tasks.class_map import Classes, ranges
from vipriors.tasks.findings import Findings, shown
from vipriors.tasks.label_map import MOST_PIXELS
from vipriors.tasks.segmentation_labels import Labels, id_of


@dataclass(frozen=True)
class MapIndex:
    """What a submission must cover. It says nothing of the labels.

    Attributes:
        ids: of the N test images, in order: their file names without suffix.
        sizes: `(height, width)` of each.
        classes: the ids that a map may hold.

    Raises:
        BadInput: there are no ids, one occurs twice or cannot be a file's name, or a size is unfit.
    """

    ids: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    classes: Classes

    def __post_init__(self) -> None:
        findings = Findings("index")
        if not self.ids:
            findings.add("faults of the index", "no ids; expected at least one test image")
        if len(self.sizes) != len(self.ids):
            message = f"{len(self.sizes)} sizes; expected one for each of {len(self.ids)} images"
            findings.add("faults of the index", message)
        add_id_faults(self.ids, findings)
        for id_, (height, width) in zip(self.ids, self.sizes, strict=False):
            if min(height, width) < 1 or height * width > MOST_PIXELS:
                message = f"{shown(id_)} is {width} x {height}; expected 1 to {MOST_PIXELS:,} pixels"
                findings.add("unfit sizes", message)
        if findings:
            raise BadInput(findings.problems())


def index_of(labels: Labels, classes: Classes) -> MapIndex:
    """The index of the labelled images, in the order of their ids.

    Args:
        labels: as `read_labels` returns them.
        classes: the class map that they use.

    Raises:
        BadInput: a map has ids outside of the class map, or none is evaluated anywhere; lists all.
    """
    findings = Findings("labels")
    add_label_faults(labels, classes, findings)
    if findings:
        raise BadInput(findings.problems())
    ids = tuple(sorted(labels.images))
    return MapIndex(ids, tuple(labels.images[id_].size for id_ in ids), classes)


def add_label_faults(labels: Labels, classes: Classes, findings: Findings) -> None:
    """Adds a problem for each image whose labels the class map does not explain."""
    with_size = {class_.id for class_ in classes.all if class_.instance_size is not None}
    for id_, image in labels.images.items():
        add_unknown_ids(image.label_ids, classes, findings, id_)
        if with_size and (others := image.instance_classes - with_size):
            message = f"instances of class {ranges(others)}; expected of {ranges(with_size)}"
            findings.add("instances of other classes", message, entry=id_)
    evaluated = {class_.id for class_ in classes.evaluated}
    if not any(image.label_ids & evaluated for image in labels.images.values()):
        findings.add("faults of the labels", "no pixel has an evaluated class; expected some")


def add_unknown_ids(ids: frozenset[int], classes: Classes, findings: Findings, entry: str) -> None:
    """Adds a problem if a map with these ids holds some that are not in the class map."""
    known = {class_.id for class_ in classes.all}
    if ids - known:
        message = f"ids {ranges(ids - known)} are not in the class map; expected {ranges(known)}"
        findings.add("maps with unknown ids", message, entry=entry)


def add_id_faults(ids: Sequence[str], findings: Findings) -> None:
    """Adds a problem for each id that occurs twice or is no plain file name."""
    expected = "expected plain text without / \\ : , a dot at its start, or an ending that Cityscapes adds"
    for id_, times in Counter(ids).items():
        if times > 1:
            findings.add("duplicate ids", f"id {shown(id_)} occurs {times} times; expected once")
        plain = id_.isprintable() and not id_.startswith(".") and not set(id_) & set("/\\:")
        if not plain or not id_ or id_of(f"{id_}.png") != id_:
            findings.add("unfit ids", f"id {shown(id_)} cannot be the name of a map; {expected}")
