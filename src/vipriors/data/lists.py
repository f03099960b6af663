"""Subsets given by a list of a source's images instead of a rule."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from vipriors.problems import BadInput, Problem


def read_list(path: Path) -> list[Listed]:
    """Read a list: a CSV file with the columns `split,source` and perhaps `id`."""
    try:
        reader = csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        header, *rows = list(reader) or [[]]
    except OSError as error:
        raise BadInput.single(path, f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput.single(path, f"is not a CSV file in UTF-8: {error}") from None
    if header not in (["split", "source"], ["split", "source", "id"]):
        message = f"header is {','.join(header)!r}; expected split,source or split,source,id"
        raise BadInput.single(f"{path}, row 1", message)
    problems = [
        Problem(f"{path}, row {number}", f"found {len(row)} values; expected {len(header)}")
        for number, row in enumerate(rows, start=2)
        if len(row) != len(header)
    ]
    if problems:
        raise BadInput(problems)
    return [Listed(row[0], row[1], row[2] if len(row) == 3 and row[2] else None) for row in rows]


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of a list that says which image of a source goes where."""

    split: str
    source: str
    id: str | None = None


@dataclass(frozen=True)
class ListRule:
    """What a list names: all of it, or an equal part of the training and validation images of each class.

    Raises:
        BadInput: with every number that is out of range.
    """

    rows: tuple[Listed, ...]
    images_per_class: int | None = None
    """Training and validation images of each class together, shared as in the whole list; None takes all."""
    seed: int = 0
    """0 takes the first of each class in the order of the list; any other draws them from the list."""
    name: str = "list"
    """What messages call the list."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        problems: list[Problem] = []
        if self.images_per_class is not None and self.images_per_class < 1:
            problems.append(Problem("images_per_class", f"found {self.images_per_class}; expected 1 or more"))
        if self.images_per_class is None and self.seed != 0:
            found = f"found {self.seed} for the whole list, of which nothing is drawn"
            problems.append(Problem("seed", f"{found}; expected 0, or a number of images per class too"))
        if problems:
            raise BadInput(problems)

    @cached_property
    def sha256(self) -> str:
        """Hash of the rows: equal hashes mean the same list."""
        return hashlib.sha256(
            json.dumps([(row.split, row.source, row.id) for row in self.rows]).encode()
        ).hexdigest()

    def chosen(self, classes: Mapping[str, str]) -> set[str]:
        """The training and validation images to take.

        The smaller choices of a seed are parts of the larger ones, and no image changes its split.

        Args:
            classes: the class of each training and validation image that there is, by its key.

        Raises:
            BadInput: with every class of which the list has too few images.
        """
        if self.images_per_class is None:
            return set(classes)
        count = Counter(row.split for row in self.rows)
        learned = max(1, count["train"] + count["val"])
        held_out = int(self.images_per_class * Fraction(count["val"], learned))
        quota = {"train": self.images_per_class - held_out, "val": held_out}

        rows = [row for row in self.rows if row.split in quota and row.source in classes]
        if self.seed:
            rows.sort(key=lambda row: _draw(f"{self.seed}/{classes[row.source]}/{row.source}"))
        keys: set[str] = set()
        taken: Counter[tuple[str, str]] = Counter()
        for row in rows:
            place = classes[row.source], row.split
            if taken[place] < quota[row.split]:
                taken[place] += 1
                keys.add(row.source)
        problems = [
            Problem(f"class {name}", f"has {taken[name, split]} {split} images in {self.name}; expected {n}")
            for name in sorted(set(classes.values()))
            for split, n in quota.items()
            if taken[name, split] < n
        ]
        if problems:
            raise BadInput(problems)
        return keys


def _draw(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
