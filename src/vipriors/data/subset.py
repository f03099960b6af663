"""Cuts a small training, validation and test set out of a source, by a rule or by a list.

Images are put in order by SHA-256 of seed, class and key, not by a random number generator: the order is the
same on every machine and with every version of numpy, does not change when other images are added, and gives
subsets that are nested: the 10 images a class of a seed are the first of its 50.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vipriors.data.files import os_errors
from vipriors.data.lists import ListRule
from vipriors.data.sources.base import Source, SourceSample
from vipriors.problems import BadInput, Problem

SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"
"""The split of images that may be learned from without their labels, where a rule asks for some."""
HIDDEN = ("test", UNLABELLED)
"""Splits whose images are numbered in an order, and listed in a way, that tell nothing of their class."""

SHORTEST_KEY = 16
"""Characters."""
MOST_ABSENT = 10
"""Rows of a list whose source is not there that are named one by one."""

SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
"""What an id may look like: it becomes a file name on every system."""


@dataclass(frozen=True)
class SubsetRule:
    """How many images a class, and which.

    Raises:
        BadInput: with every number that is out of range.
    """

    images_per_class: int | None
    """Training and validation images of each class together; None takes all."""
    seed: int
    """Draws the training and validation images."""
    validation: float | None
    """Share of the images of each class that is validation, in [0, 1). None takes the source's own validation
    split whole, and `images_per_class` counts training images alone."""
    test_per_class: int | None
    """Test images of each class; None takes the source's own test split whole; 0 gives no test split."""
    test_seed: int = 0
    """Draws the test images, alone: every `seed` has the same test set."""
    unlabelled: int | None = 0
    """Images without labels in all, drawn without a look at their class: of a source's own split
    `unlabelled`, or of what is left over. None takes them all."""
    tail: float = 1.0
    """Each class has this share of the images without labels of the class before it; 1 leaves them even."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        problems: list[Problem] = []
        if self.images_per_class is not None and self.images_per_class < 1:
            problems.append(Problem("images_per_class", f"found {self.images_per_class}; expected 1 or more"))
        if self.validation is not None and not 0 <= self.validation < 1:
            problems.append(Problem("validation", f"found {self.validation}; expected a share in [0, 1)"))
        if self.test_per_class is not None and self.test_per_class < 0:
            problems.append(Problem("test_per_class", f"found {self.test_per_class}; expected 0 or more"))
        if self.unlabelled is not None and self.unlabelled < 0:
            problems.append(Problem("unlabelled", f"found {self.unlabelled}; expected 0 or more"))
        if not 0 < self.tail <= 1:
            problems.append(Problem("tail", f"found {self.tail}; expected a share in (0, 1]"))
        if problems:
            raise BadInput(problems)


@dataclass(frozen=True, slots=True)
class Pick:
    """One image of a subset."""

    id: str
    """Unique in the subset; the suffix of the image's file is added where it is missing."""
    split: str
    sample: SourceSample


Rule = SubsetRule | ListRule
"""How a subset is cut: by number or by list."""


def cut(source: Source, rule: Rule, *, test_key: str = "") -> list[Pick]:
    """Cut a source by a rule or by a list.

    Args:
        source: where the images come from.
        rule: how many, and which.
        test_key: test images are numbered in an order that depends on it; an organizer keeps it secret.

    Returns:
        Training, validation, test and unlabelled images, in this order.

    Raises:
        BadInput: with every class that has too few images; with every row of a list whose split, source or
            id is unknown, unusable or a duplicate.
    """
    return (
        _by_list(source, rule, test_key) if isinstance(rule, ListRule) else _by_rule(source, rule, test_key)
    )


def read_test_key(file: Path) -> str:
    """An organizer's secret, from a file that is made, for its owner's eyes only, if it is not there.

    Raises:
        BadInput: it cannot be read or written, or is so short that it can be guessed.
    """
    with os_errors(file):
        if not file.exists():
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
                made.write(secrets.token_hex(32) + "\n")
        key = file.read_text("utf-8", "replace").strip()
    if len(key) < SHORTEST_KEY:
        message = f"has a key of {len(key)} characters; expected {SHORTEST_KEY} or more, or no file"
        raise BadInput.single(file, message)
    return key


def _by_rule(source: Source, rule: SubsetRule, test_key: str) -> list[Pick]:
    """Take the test images first: the source's own test split, or a draw that depends on `test_seed` only.

    What is left is the pool for training and validation: a source's own `val` too, unless it stays apart.
    """
    has_test = any(sample.split == "test" for sample in source.samples)
    if rule.test_per_class is None and not has_test:
        message = "has no test split of its own; expected a rule with test_per_class (0 for no test split)"
        raise BadInput.single(source.name, message)
    if rule.validation is None and not any(sample.split == "val" for sample in source.samples):
        message = "has no validation split of its own; expected a rule with a share for validation"
        raise BadInput.single(source.name, message)
    candidates: list[list[SourceSample]] = [[] for _ in source.classes]
    pools: list[list[SourceSample]] = [[] for _ in source.classes]
    chosen: list[tuple[str, SourceSample]] = []
    spare: list[list[SourceSample]] = [[] for _ in source.classes]
    own_spare = any(sample.split == UNLABELLED for sample in source.samples)
    for sample in source.samples:
        if sample.split == "val" and rule.validation is None:
            chosen.append(("val", sample))
        elif sample.split == UNLABELLED:
            spare[sample.label].append(sample)
        else:
            side = candidates if sample.split == "test" or not has_test else pools
            side[sample.label].append(sample)

    problems: list[Problem] = []
    for label, (name, tests, pool) in enumerate(zip(source.classes, candidates, pools, strict=True)):
        ordered = _shuffled(tests, f"test/{rule.test_seed}/{name}")
        wanted = len(ordered) if rule.test_per_class is None else rule.test_per_class
        if len(ordered) < wanted:
            problems.append(Problem(f"class {name}", f"has {len(ordered)} images for {wanted} of the test"))
        if not has_test:
            pool = ordered[wanted:]
        ordered_pool = _shuffled(pool, f"{rule.seed}/{name}")
        n = len(pool) if rule.images_per_class is None else rule.images_per_class
        # With splits of its own a source may have classes, such as persons, that are in one split only.
        least = max(n, 1) if rule.validation is not None or pool else 0
        if len(pool) < least:
            what = "training and validation" if rule.validation is not None else "training"
            found = f"has {len(pool)} images for {what}; expected {least}"
            problems.append(Problem(f"class {name}", found))
        splits = validation_places(n, rule.validation or 0.0)
        chosen += [("test", sample) for sample in ordered[:wanted]]
        chosen += [
            ("val" if held_out else "train", sample)
            for held_out, sample in zip(splits, ordered_pool, strict=False)
        ]
        if not own_spare:
            spare[label] = ordered_pool[n:]
    without = _unlabelled(source.classes, spare, rule)
    if rule.unlabelled is not None and len(without) < rule.unlabelled:
        found = f"has {len(without)} images left over; expected {rule.unlabelled} without labels"
        problems.append(Problem(source.name, found))
    if problems:
        raise BadInput(problems)
    chosen += [(UNLABELLED, sample) for sample in without]
    return _named(source.classes, [(split, sample, sample.id) for split, sample in chosen], test_key)


def _unlabelled(
    classes: Sequence[str], spare: Sequence[Sequence[SourceSample]], rule: SubsetRule
) -> list[SourceSample]:
    """The images without labels; a long tail leaves the first of each class in the order of the seed."""
    if rule.unlabelled == 0:
        return []
    most, kept = len(spare[0]), []
    for rank, (name, samples) in enumerate(zip(classes, spare, strict=True)):
        ordered = _shuffled(samples, f"{rule.seed}/{name}")
        kept += ordered if rule.tail == 1 else ordered[: max(1, round(most * rule.tail**rank))]
    return _shuffled(kept, f"{UNLABELLED}/{rule.seed}")[: rule.unlabelled]


def _by_list(source: Source, rule: ListRule, test_key: str) -> list[Pick]:
    samples = {sample.key: sample for sample in source.samples}
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    absent = 0
    for number, row in enumerate(rule.rows, start=2):
        where = f"{rule.name}, row {number}"
        if row.split not in SPLITS:
            problems.append(Problem(where, f"split {row.split!r} is unknown; expected train, val or test"))
        if row.source not in samples and (absent := absent + 1) <= MOST_ABSENT:
            problems.append(Problem(where, f"source {row.source!r} is not in {source.name}"))
        if row.id is not None and not SAFE_ID.fullmatch(row.id):
            problems.append(Problem(where, f"id {row.id!r} is no plain file name (letters, digits, _ . -)"))
        # Ids meet on file systems that ignore case.
        for what in (f"source {row.source!r}", f"id {row.id.casefold()!r}" if row.id is not None else ""):
            if what and (first := seen.setdefault(what, number)) != number:
                problems.append(Problem(where, f"{what} is a duplicate of row {first}"))
    if absent > MOST_ABSENT:
        message = f"{absent - MOST_ABSENT} more sources are not in {source.name}; is it the whole data set?"
        problems.append(Problem(rule.name, message))
    if problems:
        raise BadInput(problems)
    # Names are given before a part is taken, so that an image has the same one in every part.
    picks = _named(source.classes, [(row.split, samples[row.source], row.id) for row in rule.rows], test_key)
    keys = rule.chosen(
        {pick.sample.key: source.classes[pick.sample.label] for pick in picks if pick.split != "test"}
    )
    return [pick for pick in picks if pick.split == "test" or pick.sample.key in keys]


def validation_places(n: int, share: float) -> list[bool]:
    """Which of n ordered images are validation: place k iff floor((k + 1) share) > floor(k share).

    So every first part of the order holds its share, and growing n never moves an image to the other split.
    """
    exact = Fraction(str(share))  # 0.29 * 100 is below 29 in floating point.
    return [int((k + 1) * exact) > int(k * exact) for k in range(n)]


def _shuffled(samples: Iterable[SourceSample], salt: str) -> list[SourceSample]:
    return sorted(samples, key=lambda sample: hashlib.sha256(f"{salt}/{sample.key}".encode()).digest())


def _named(
    classes: Sequence[str], chosen: list[tuple[str, SourceSample, str | None]], test_key: str
) -> list[Pick]:
    """Give ids where there are none, and put train before val before test."""
    names = _safe_names(classes)
    picks: list[Pick] = []
    count: Counter[int] = Counter()
    tests = [(sample, given) for split, sample, given in chosen if split == "test"]
    for split, sample, given in chosen:
        if split not in HIDDEN:
            picks.append(Pick(given or f"{names[sample.label]}_{count[sample.label]}", split, sample))
            count[sample.label] += 1
    picks.sort(key=lambda pick: pick.split)  # stable, and "train" comes before "val"
    ids = {sample.key: given for sample, given in tests}
    # The order in which test images are numbered must tell nothing about their class.
    numbered = _shuffled((sample for sample, _ in tests), test_key)
    picks += [Pick(ids[sample.key] or f"img_{k}", "test", sample) for k, sample in enumerate(numbered)]
    without = _shuffled(
        (sample for split, sample, _ in chosen if split == UNLABELLED), f"{UNLABELLED}/{test_key}"
    )
    return picks + [Pick(f"{UNLABELLED}_{k}", UNLABELLED, sample) for k, sample in enumerate(without)]


def _safe_names(classes: Sequence[str]) -> list[str]:
    """Names of the classes that are part of a file name anywhere: unique, and not those of hidden images."""
    names = [re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:80] for name in classes]
    distinct = {name.lower() for name in names} - {"", "img", UNLABELLED}
    return names if len(distinct) == len(names) else [f"{i}-{name}" for i, name in enumerate(names)]
