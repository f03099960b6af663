"""Labels for re-identification: who is on each query and gallery image, and by which camera."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from vipriors.problems import BadInput
from vipriors.tasks import table
from vipriors.tasks.findings import Findings, shown

HEADERS = ("split,id,person", "split,id,person,camera")

_LIMITS = table.Limits(file_bytes=2**30, line_bytes=4096, lines=10_000_000)


class Image(NamedTuple):
    """What is known of an image. Persons and cameras are names, equal if they are the same text."""

    person: str
    camera: str | None = None


@dataclass(frozen=True)
class Labels:
    """The images of a test set by their ids.

    Attributes:
        queries: what is searched for.
        gallery: where it is searched. With cameras, an image of the query's own person and camera is left out
            of the query's ranking. Without cameras (SynergyReID) only the query itself is, if it is there.
    """

    queries: dict[str, Image]
    gallery: dict[str, Image]


def read_labels(data: bytes, name: str = "labels.csv") -> Labels:
    """Reads a labels file, UTF-8 CSV with the header `split,id,person` or `split,id,person,camera`.

    The split is `query` or `gallery`. An image that is both has a row for each.

    Args:
        data: the file, any bytes.
        name: what problems call the file.

    Raises:
        BadInput: with every problem in it (of one kind at most `findings.LISTED`), such as a query without a
            match in the gallery.
    """
    findings = Findings(name)
    splits: dict[bytes, dict[str, Image]] = {b"query": {}, b"gallery": {}}
    first_rows: dict[tuple[bytes, bytes], int] = {}
    opened = table.read(data, [header.encode() for header in HEADERS], _LIMITS, findings)
    for row, fields in opened.rows if opened else ():
        if len(fields) == 1:  # reported by the table
            continue
        split, id_, *rest = fields
        if split not in splits:
            findings.add("unknown splits", f"split {shown(split)}; expected 'query' or 'gallery'", row)
        elif first_rows.setdefault((split, id_), row) != row:
            message = f"{split.decode()} {shown(id_)} is given twice, first in row {first_rows[split, id_]}"
            findings.add("rows with a duplicate id", f"{message}; expected once", row)
        else:
            splits[split][id_.decode()] = Image(*(field.decode() for field in rest))
        for column, field in zip(("id", "person", "camera"), (id_, *rest), strict=False):
            if not field.strip():
                findings.add("empty fields", f"the {column} is empty; expected one", row)
    labels = Labels(splits[b"query"], splits[b"gallery"])
    for part, images in (("query", labels.queries), ("gallery", labels.gallery)):
        if not images and not findings:
            findings.add("faults of the file", f"there are no rows of split {part!r}; expected one per image")
    for query in queries_without_match(labels) if not findings else ():
        message = f"query {shown(query)}, person {shown(labels.queries[query].person)}, has no match"
        row = first_rows[b"query", query.encode()]
        findings.add("queries without a match", f"{message}; expected one in the gallery", row)
    if findings:
        raise BadInput(findings.problems())
    return labels


def queries_without_match(labels: Labels) -> list[str]:
    """The queries that cannot find anything: their average precision is not defined."""
    of_person = Counter(image.person for image in labels.gallery.values())
    of_camera = Counter(labels.gallery.values())
    without = []
    for id_, query in labels.queries.items():
        left_out = 0 if query.camera is None else of_camera[query]
        itself = labels.gallery.get(id_)
        if itself and itself.person == query.person and (query.camera is None or itself != query):
            left_out += 1
        if of_person[query.person] == left_out:
            without.append(id_)
    return without
