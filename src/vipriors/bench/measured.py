"""The numbers of a grid: what was measured on a challenge, and how it compares.

Records of `vipriors bench` in, means, differences, data-saving factors and costs out. Methods are compared
with one of them, the reference: the challenge's baseline, unless another is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vipriors.bench.records import FAILED, group, headline, read_records, score_of
from vipriors.bench.saving import Saving, data_saving
from vipriors.bench.statistics import Difference, bootstrap_interval, holm, paired_difference
from vipriors.challenges import embedded
from vipriors.challenges.schema import METHODS, read_challenge
from vipriors.problems import BadInput, Problem
from vipriors.tasks import BY_CLASS

NEEDED = ("challenge", "contender", "method", "preset", "images_per_class", "seed", "hyper_parameters")
LEVEL = 0.05
"""A difference is marked if its p value, corrected for all of its challenge's table, is below this."""

Size = int | None
"""Images a class, or in all where they have none; None for all that the challenge takes by itself."""


def size_name(task: str, size: Size) -> str:
    """A size in words: images a class, where each has one."""
    if size is None:
        return "all images"
    return f"{size} a class" if task in BY_CLASS else f"{size} images"


@dataclass(frozen=True)
class Place:
    """One contender at one size, over subsets."""

    contender: str
    size: Size
    scores: dict[int, float]
    """Headline score by subset."""
    difference: Difference | None
    """From the reference on the same subsets; None for the reference, or where there are fewer than two."""
    bootstrap: tuple[float, float] | None
    """The studentised bootstrap interval of the same difference."""
    adjusted_p: float | None
    """Of the difference, corrected by Holm for all comparisons of the challenge."""
    saving: Saving | None

    @property
    def mean(self) -> float:
        """Mean score."""
        return float(np.mean(list(self.scores.values())))

    @property
    def deviation(self) -> float | None:
        """Standard deviation over subsets."""
        return float(np.std(list(self.scores.values()), ddof=1)) if len(self.scores) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean over subsets (Student's t)."""
        if len(self.scores) < 2:
            return None
        found = paired_difference(list(self.scores.values()), [0.0] * len(self.scores))
        return found.low, found.high

    @property
    def mark(self) -> str:
        """`above` or `below` the reference after correction, else empty."""
        if self.difference is None or self.adjusted_p is None or self.adjusted_p >= LEVEL:
            return ""
        return "above" if self.difference.mean > 0 else "below"


@dataclass(frozen=True)
class Cost:
    """What one run of a contender took."""

    steps: int | None
    seconds: float | None
    """Median over runs."""
    flops: float | None
    """Of training: three times the forward pass of every image that was seen. An estimate."""
    parameters: int | None
    device: str


@dataclass(frozen=True)
class Measured:
    """All records of one challenge."""

    challenge: str
    records: tuple[dict[str, Any], ...]
    reference: str
    """A contender."""

    @property
    def task(self) -> str:
        """The challenge's task."""
        return str(self.records[0].get("task", "classification"))

    @property
    def headline(self) -> str:
        """The score that is compared."""
        return headline(self.records[0])

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The smallest first."""
        return tuple(sorted({record["images_per_class"] for record in self.records}, key=lambda n: n or 0))

    def size_name(self, size: Size) -> str:
        """What a table says of a size."""
        return size_name(self.task, size)

    @cached_property
    def scores(self) -> dict[tuple[str, Size], dict[int, float]]:
        """Headline scores by subset, of each contender at each size."""
        found: dict[tuple[str, Size], dict[int, float]] = {}
        for record in sorted(self.records, key=lambda record: record["seed"]):
            key = record["contender"], record["images_per_class"]
            found.setdefault(key, {})[record["seed"]] = score_of(record)
        return found

    @cached_property
    def contenders(self) -> tuple[str, ...]:
        """The reference first, then those with the higher scores."""
        means: dict[str, list[float]] = {}
        for (contender, _), scores in self.scores.items():
            means.setdefault(contender, []).append(float(np.mean(list(scores.values()))))
        return tuple(sorted(means, key=lambda name: (name != self.reference, -np.mean(means[name]), name)))

    @cached_property
    def places(self) -> dict[tuple[str, Size], Place]:
        """Every contender at every size that was measured, in the order of contenders and sizes."""
        keys = [
            (name, size) for name in self.contenders for size in self.sizes if (name, size) in self.scores
        ]
        pairs = {key: self._pairs(*key) for key in keys}
        differences = {key: paired_difference(*pair) for key, pair in pairs.items() if len(pair[0]) > 1}
        adjusted = dict(
            zip(differences, holm([found.p for found in differences.values()]).tolist(), strict=True)
        )
        found = {}
        for key in keys:
            gaps = np.subtract(*pairs[key]).tolist()
            interval = bootstrap_interval(gaps) if key in differences else None
            found[key] = Place(
                *key,
                scores=self.scores[key],
                difference=differences.get(key),
                bootstrap=interval,
                adjusted_p=adjusted.get(key),
                saving=self._saving(*key),
            )
        return found

    def cost(self, contender: str, size: Size) -> Cost | None:
        """What a run took, if it was measured."""
        own = [r for r in self.records if (r["contender"], r["images_per_class"]) == (contender, size)]
        if not own:
            return None
        costs = [record.get("cost", {}) for record in own]
        seconds = [cost["seconds"] for cost in costs if "seconds" in cost]
        first, batch = costs[0], own[0]["hyper_parameters"].get("batch_size")
        seen = first["steps"] * batch if "steps" in first and batch else None
        return Cost(
            steps=first.get("steps"),
            seconds=float(np.median(seconds)) if seconds else None,
            flops=3.0 * first["flops_per_image"] * seen if seen and "flops_per_image" in first else None,
            parameters=first.get("parameters"),
            device=str(own[0].get("environment", {}).get("device", "")),
        )

    def _pairs(self, contender: str, size: Size) -> tuple[list[float], list[float]]:
        """Scores of a contender and the reference on the subsets that both have; none for the reference."""
        own, other = self.scores[contender, size], self.scores.get((self.reference, size), {})
        both = [seed for seed in own if seed in other and contender != self.reference]
        return [own[seed] for seed in both], [other[seed] for seed in both]

    def _saving(self, contender: str, size: Size) -> Saving | None:
        """The data-saving factor over the subsets on which the reference has its whole curve."""
        if contender == self.reference or size is None:
            return None
        curve = {
            n: self.scores[self.reference, n] for n in self.sizes if n and (self.reference, n) in self.scores
        }
        own = self.scores[contender, size]
        seeds = [seed for seed in own if all(seed in scores for scores in curve.values())]
        if len(curve) < 2 or len(seeds) < 2:
            return None
        baseline = np.array([[scores[seed] for scores in curve.values()] for seed in seeds])
        return data_saving(list(curve), baseline, [own[seed] for seed in seeds], size)


def holds_records(folder: Path) -> bool:
    """Whether a folder, or a folder in it, holds records of `vipriors bench`; a run's folder does not."""
    patterns = ("*-n*-s*.json", "*/*-n*-s*.json")
    return not (folder / "recipe.json").exists() and any(any(folder.glob(p)) for p in patterns)


def read_measured(folder: Path, reference: str | None = None) -> list[Measured]:
    """What was measured, by challenge, from the records in a folder and in the folders in it.

    Args:
        folder: Where `vipriors bench` put its records, or a folder of such folders.
        reference: The contender that others are compared with, where it was measured.

    Raises:
        BadInput: There are no records; or some are damaged, doubled, or of other images than their peers.
    """
    problems: list[Problem] = []
    records: list[dict[str, Any]] = []
    for place in (
        folder,
        *sorted(path for path in folder.iterdir() if path.is_dir() and path.name != FAILED),
    ):
        for record in read_records(place):
            missing = [name for name in NEEDED if name not in record]
            if missing or headline(record) not in record.get("scores", {}):
                what = ", ".join(missing) or f"the score {headline(record)}"
                problems.append(
                    Problem(str(place), f"a record lacks {what}; expected one of `vipriors bench`")
                )
            else:
                records.append(record)
    problems += _conflicts(records)
    if not records and not problems:
        problems.append(Problem(str(folder), "holds no records of `vipriors bench` (files *-n*-s*.json)"))
    if problems:
        raise BadInput(problems)
    grouped = group(records, "challenge")
    names = {record["contender"] for record in records}
    if reference is not None and reference not in names:
        expected = f"expected one of {', '.join(sorted(names))}"
        raise BadInput.single(f"--reference {reference}", f"was not measured; {expected}")
    return [
        Measured(challenge, tuple(own), _reference(challenge, own, reference))
        for (challenge,), own in sorted(grouped.items())
    ]


def _conflicts(records: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Cells that were measured twice, and subsets of the same number that are not the same images."""
    keys = ("challenge", "contender", "images_per_class", "seed")
    for (challenge, contender, size, seed), own in group(records, *keys).items():
        if len(own) > 1:
            place = f"{challenge}, {contender}, size {size}, seed {seed}"
            yield Problem(place, f"is there {len(own)} times; expected one record")
    with_hash = [record for record in records if "manifest_sha256" in record]
    for (challenge, size, seed), own in group(with_hash, "challenge", "images_per_class", "seed").items():
        if len({record["manifest_sha256"] for record in own}) > 1:
            names = ", ".join(sorted(record["contender"] for record in own))
            place = f"{challenge}, size {size}, seed {seed}"
            yield Problem(place, f"{names} did not learn from the same images; expected one manifest")


def _reference(challenge: str, records: Sequence[dict[str, Any]], wanted: str | None) -> str:
    """Whom to compare with: as asked, else the challenge's baseline, else its task's, else the first."""
    methods = {record["contender"]: record["method"] for record in records}
    if wanted is not None and wanted in methods:
        return wanted
    task = records[0].get("task", "classification")
    known = embedded().get(challenge)
    baselines = [read_challenge(known).baseline] if known else []
    baselines += [METHODS[task][0]] if task in METHODS else []
    for baseline in baselines:
        own = [str(contender) for contender, method in methods.items() if method == baseline]
        if own:
            return min(own, key=lambda contender: (contender != baseline, contender))
    return str(min(methods))
