"""COCO's results files: a JSON list of found objects, each with `image_id`, `category_id` and `score`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vipriors.data.files import os_errors, write_atomic
from vipriors.problems import BadInput, Problem
from vipriors.tasks.coco import Entry, Index, Results, faults_of_ids, located, positions
from vipriors.tasks.findings import Findings
from vipriors.tasks.json_values import is_number, numbers, objects, parse, said


@dataclass(frozen=True)
class Limits:
    """What a results file may hold at most, checked before it is parsed."""

    file_bytes: int
    entries: int


def read_results(
    data: bytes, index: Index, limits: Limits, findings: Findings
) -> tuple[Results, list[Entry]] | None:
    """Reads a results file, but for the shapes of its entries.

    Args:
        data: the file, any bytes.
        index: the images and categories that the entries may name.
        limits: the caps on the file's size.
        findings: takes the problems; if there are any, what is returned serves only to find more.

    Returns:
        The results and the entries as they stand in the file (an empty one for each that is no object);
        None if the file is no list.
    """
    if len(data) > limits.file_bytes:
        message = f"the file has {len(data):,} bytes; expected at most {limits.file_bytes:,}"
        findings.add("faults of the file", message)
        return None
    # Counted before parsing: `[{},{},…` and many keys grow in memory far more than any honest file.
    for what, marks, per_entry in (("lists and objects", b"{[", 5), ("quotation marks", b'"', 32)):
        count = sum(data.count(mark) for mark in marks)
        if count > per_entry * limits.entries:
            message = f"the file has {count:,} {what}; expected at most {per_entry * limits.entries:,}"
            findings.add("faults of the file", message)
    if findings:
        return None
    parsed = parse(data, findings)
    if parsed is None:
        return None
    entries = parsed.value
    if not isinstance(entries, list):
        message = f"it holds {said(entries)}; expected a list of results, [] if nothing was found"
        findings.add("faults of the file", message)
        return None
    if len(entries) > limits.entries:
        message = f"the file has {len(entries):,} results; expected at most {limits.entries:,}"
        findings.add("faults of the file", message)
        return None
    images, categories = positions(index.ids), positions(index.categories)
    parsed.note_constants(findings)
    results = _all_at_once(entries, images, categories)
    if results is not None:
        return results, entries
    for entry, place in objects(entries, "", findings):
        for fault in faults_of_ids(entry, images, categories):
            findings.add(*fault, at=place)
        if not is_number(score := entry.get("score")):
            message = f"score is {said(score)}; expected a finite number"
            findings.add("entries with a wrong score", message, at=place)
    entries = [entry if isinstance(entry, dict) else {} for entry in entries]
    classes = located(entries, "category_id", categories)
    return Results(located(entries, "image_id", images), classes, np.zeros(len(entries))), entries


def write_results(
    path: Path,
    ids: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    found: Sequence[tuple[ArrayLike, ArrayLike, Sequence[str]]],
    check: Callable[[bytes, Index, str], tuple[object, list[Problem]]],
) -> None:
    """Writes a results file that `check` accepts, all of it or nothing.

    Args:
        path: the file; folders above it are made.
        ids: N ids of images.
        sizes: N pairs of height and width.
        found: for each image the ids of the categories `(n,)`, the scores `(n,)` and n shapes as JSON text.
        check: of the task.

    Raises:
        BadInput: numbers of things differ, or `check` refuses the file. Nothing is written.
    """
    if not len(ids) == len(sizes) == len(found):
        raise BadInput.single(
            path, f"{len(ids)} ids and predictions of {len(found)} images; expected as many"
        )
    problems, rows, known = [], [], {0}
    for id_, (categories, scores, shapes) in zip(ids, found, strict=True):
        kinds, values = np.asarray(categories), np.asarray(scores, dtype=np.float64)
        whole = np.issubdtype(kinds.dtype, np.integer) or not kinds.size
        if not whole or not kinds.shape == values.shape == (len(shapes),):
            message = (
                f"categories {kinds.shape} of {kinds.dtype}, scores {values.shape}, {len(shapes)} shapes"
            )
            problems.append(Problem(f"{path}, image {id_}", f"{message}; expected (n,) integers, (n,) and n"))
            continue
        known |= set(kinds.tolist())
        rows += [
            f'{{"image_id":{id_},"category_id":{kind},{shape},"score":{value:.9g}}}'
            for kind, value, shape in zip(kinds.tolist(), values.tolist(), shapes, strict=True)
        ]
    if problems:
        raise BadInput(problems)
    in_order = sorted(zip(ids, sizes, strict=True))
    index = Index(
        tuple(id_ for id_, _ in in_order),
        tuple(size for _, size in in_order),
        tuple(sorted(known)),
        tuple(map(str, sorted(known))),
    )
    data = ("[\n" + ",\n".join(rows) + "\n]\n").encode()
    _, problems = check(data, index, str(path))
    if problems:
        raise BadInput(problems)
    with os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)


def _all_at_once(
    entries: Sequence[Any], images: Mapping[int, int], categories: Mapping[int, int]
) -> Results | None:
    """The results of all entries; None if any has a fault."""
    try:
        ids = [entry["image_id"] for entry in entries]
        kinds = [entry["category_id"] for entry in entries]
        scores = numbers([entry["score"] for entry in entries])
    except (KeyError, TypeError):
        return None
    if scores is None or not set(map(type, ids)) | set(map(type, kinds)) <= {int}:
        return None
    if not images.keys() >= set(ids) or not categories.keys() >= set(kinds):
        return None
    return Results(
        np.array([images[id_] for id_ in ids], dtype=np.int64),
        np.array([categories[kind] for kind in kinds], dtype=np.int64),
        scores,
    )
