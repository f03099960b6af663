"""From a challenge to decoded images: finds or makes the prepared folder, and cuts the run's subset."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vipriors.challenges.schema import Challenge
from vipriors.data.lists import ListRule
from vipriors.data.loader import Split, load_split
from vipriors.data.manifest import Row, manifest_hash
from vipriors.data.place import Mode
from vipriors.data.prepare import prepare
from vipriors.data.prepared import DATASET, Prepared, read_prepared
from vipriors.data.sources import Noted
from vipriors.data.subset import Rule, validation_places
from vipriors.problems import BadInput

StageProgress = Callable[[str, int, int, str], None]
"""What is being done, how much of it is done, how much there is, a few words."""


@dataclass(frozen=True)
class RunData:
    """The images of one run: which, and where they lie."""

    prepared: Prepared
    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    challenge: Challenge
    images_per_class: int | None
    subset_seed: int
    cache: Path | None

    @property
    def root(self) -> Path:
        """The prepared folder."""
        return self.prepared.root

    @property
    def manifest_sha256(self) -> str:
        """SHA-256 of the run's manifest; where labels are more than a class, of it and of theirs."""
        annotations, manifest = self.prepared.dataset.annotations_sha256, manifest_hash(self.rows)
        return hashlib.sha256((manifest + annotations).encode()).hexdigest() if annotations else manifest

    def select(self, *splits: str) -> list[Row]:
        """The rows of some splits, in the manifest's order."""
        return [row for row in self.rows if row.split in splits]

    def load(self, *splits: str) -> Split:
        """Decoded images, clips or clouds of some splits, in the challenge's form."""
        return load_split(self.root, self.select(*splits), self.challenge.form, cache=self.cache)


def default_folder(challenge: Challenge, rule: Rule) -> Path:
    """Where a challenge's prepared images lie when nothing else is said: `data/digits-n10-s0`."""
    size = "all" if rule.images_per_class is None else f"n{rule.images_per_class}"
    return Path("data") / f"{challenge.name}-{size}-s{rule.seed}"


def prepare_challenge(
    challenge: Challenge,
    rule: Rule,
    out: Path,
    source: Path | None = None,
    mode: Mode = "copy",
    test_key: str = "",
    progress: StageProgress | None = None,
) -> Prepared:
    """Cuts a challenge's subset into a prepared folder; see `vipriors.data.prepare`.

    Raises:
        BadInput: The source cannot be had or used, or `out` holds something else.
    """
    tell = partial(progress, "prepare") if progress else None
    opened = challenge.open(source)
    words = "; ".join(opened.notes) if isinstance(opened, Noted) else ""
    return prepare(
        opened,
        rule,
        out,
        challenge=challenge.name,
        channels=challenge.input.channels,
        mode=mode,
        test_key=test_key,
        progress=(lambda done, total: tell(done, total, words)) if tell else None,
    )


def prepare_if_missing(
    challenge: Challenge,
    rule: Rule,
    folder: Path,
    source: Path | None = None,
    progress: StageProgress | None = None,
) -> None:
    """Prepares a folder unless something finished is there, which `find_data` holds against the rule."""
    if not (folder / DATASET).is_file():
        prepare_challenge(challenge, rule, folder, source, progress=progress)


def find_data(
    challenge: Challenge,
    rule: Rule,
    *,
    data: Path | None = None,
    source: Path | None = None,
    cache: bool = True,
    progress: StageProgress | None = None,
) -> RunData:
    """The images of a run, prepared now if they are not yet.

    Args:
        challenge: Whose images.
        rule: Which subset.
        data: A prepared folder, or where to make one; by default one named after the subset in `data/`.
        source: The user's copy of the images, where the challenge has no embedded ones.
        cache: Keep decoded images beside the prepared ones.
        progress: Told of every prepared image.

    Raises:
        BadInput: The folder holds another challenge or subset, or images are missing or damaged.
    """
    folder = data or default_folder(challenge, rule)
    prepare_if_missing(challenge, rule, folder, source, progress)
    prepared = read_prepared(folder)
    return RunData(
        prepared=prepared,
        rows=tuple(_subset(prepared, challenge, rule)),
        classes=tuple(prepared.dataset.classes),
        challenge=challenge,
        images_per_class=rule.images_per_class,
        subset_seed=rule.seed,
        cache=folder / "cache" if cache else None,
    )


def _subset(prepared: Prepared, challenge: Challenge, rule: Rule) -> list[Row]:
    """The rows of the subset in a prepared folder, which may hold a larger one of the same seed."""
    place, held = prepared.root / DATASET, prepared.dataset.rule
    if prepared.dataset.challenge != challenge.name:
        found = prepared.dataset.challenge
        raise BadInput.single(place, f"holds challenge {found!r}; expected {challenge.name!r}")
    if isinstance(rule, ListRule):
        return _part_of_list(prepared, rule)
    if "list_sha256" in held:
        raise BadInput.single(place, "holds a subset cut by a list; expected one drawn by number")
    for key in ("seed", "validation", "test_per_class", "test_seed"):
        if held[key] != getattr(rule, key):
            raise BadInput.single(
                place, f"holds a subset with {key} {held[key]}; expected {getattr(rule, key)}"
            )
    for key, usual in (("unlabelled", 0), ("tail", 1.0)):
        if (found := held.get(key, usual)) != getattr(rule, key):
            expected = f"{_number(found)}; expected {_number(getattr(rule, key))}"
            raise BadInput.single(place, f"holds a subset with {key} {expected}")
    most, wanted = held["images_per_class"], rule.images_per_class
    if most == wanted:
        return prepared.rows
    if rule.unlabelled != 0:
        # What is without a label in a small subset may have one in a larger.
        raise BadInput.single(place, f"holds {_number(most)} images a class; expected {_number(wanted)}")
    if wanted is None or (most is not None and most < wanted):
        raise BadInput.single(place, f"holds {most} images a class; expected {wanted or 'all'}")
    # Subsets are nested, in each split: the first of each class, in the order in which they were drawn.
    in_validation = sum(validation_places(wanted, rule.validation or 0.0))
    quota = {"train": wanted - in_validation, "val": in_validation}
    whole = {"test"} if rule.validation is not None else {"test", "val"}
    taken: Counter[tuple[str, int | None]] = Counter()
    rows = []
    for row in prepared.rows:
        taken[row.split, row.label] += 1
        if row.split in whole or taken[row.split, row.label] <= quota[row.split]:
            rows.append(row)
    return rows


def _number(value: float | None) -> str:
    return "all" if value is None else str(value)


def _part_of_list(prepared: Prepared, rule: ListRule) -> list[Row]:
    """The rows of a part of a list, in a folder that holds all of it or a larger part of the same seed."""
    place, held = prepared.root / DATASET, prepared.dataset.rule
    if held.get("list_sha256") != rule.sha256:
        raise BadInput.single(place, f"holds a subset that is not cut by the list {rule.name}")
    most, wanted = held.get("images_per_class"), rule.images_per_class
    if most is not None and (wanted is None or most < wanted):
        raise BadInput.single(place, f"holds {most} images a class; expected {wanted or 'the whole list'}")
    if most is not None and held.get("seed") != rule.seed:
        raise BadInput.single(place, f"holds a subset with seed {held.get('seed')}; expected {rule.seed}")
    classes = prepared.dataset.classes
    learned = [row for row in prepared.rows if row.split != "test"]
    # Images without a class are one group, as in the source they were cut from.
    keys = rule.chosen({row.source: "image" if row.label is None else classes[row.label] for row in learned})
    return [row for row in prepared.rows if row.split == "test" or row.source in keys]
