"""`vipriors claim`: a system's claims, measured, stored and judged.

A claim about a method is a small grid of two contenders on one challenge, so it is run, resumed and
recorded as any grid; one about a system that trains nothing is a bound on what a benchmark measured. A
verdict is computed from the records each time it is asked for.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from vipriors import diagnose, methods
from vipriors.bench.bounds import Kept, Verdict, kept
from vipriors.bench.contender import Contender, method_with_settings
from vipriors.bench.grid import Grid
from vipriors.bench.records import Cell, read_records
from vipriors.bench.statistics import Difference, paired_difference
from vipriors.card import Bound, Card, Claim, read_card
from vipriors.challenges import find
from vipriors.challenges.schema import read_challenge
from vipriors.problems import BadInput

STORE = Path("results", "claims")
"""Where the records of claims are, from the root of a checkout."""

MEASURED = Path("benchmarks", "measured")
"""Where those of benchmarks are."""

FEWEST_SEEDS = 5


@dataclass(frozen=True)
class System:
    """A system that has a card."""

    card: Card
    name: str
    """The method's; of a diagnosis, its module's."""
    task: str
    """What it is for; `diagnose` of a diagnosis."""
    file: Path
    """Where the card stands."""


@dataclass(frozen=True)
class Outcome:
    """What was measured of a claim.

    Attributes:
        claim: The claim.
        verdict: It holds if the 95 % interval of the difference is clear of zero on the claimed side, and
            all is equal that has to be; it does not hold if the interval is clear on the other side.
        seeds: How many were measured of both.
        scores: Means of the method and of the baseline.
        difference: Method less baseline, over the seeds.
        unequal: Costs that are further apart than the claim allows, in words.
    """

    claim: Claim
    verdict: Verdict
    seeds: int
    scores: tuple[float, float] | None = None
    difference: Difference | None = None
    unequal: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        found: dict[str, Any] = {
            "claim": self.claim.text,
            "challenge": self.claim.challenge,
            "metric": self.claim.metric,
            "baseline": self.claim.baseline,
            "verdict": self.verdict,
            "seeds": self.seeds,
        }
        if self.scores and self.difference:
            found |= {"method_score": self.scores[0], "baseline_score": self.scores[1]}
            found |= {"difference": self.difference.mean, "p": self.difference.p}
            found |= {"interval": [self.difference.low, self.difference.high]}
        return found | {"unequal": list(self.unequal)}

    def said(self) -> str:
        """For people, in a line."""
        if self.difference is None:
            return f"{self.verdict} ({self.seeds} of at least {FEWEST_SEEDS} seeds)"
        d = self.difference
        words = f"{self.verdict}: {d.mean:+.4f} [{d.low:+.4f}, {d.high:+.4f}] over {self.seeds} seeds"
        return "; ".join([words, *self.unequal])


def systems() -> list[System]:
    """Every system that has a card, in the order of their numbers."""
    places = [(one.name, one.family, one.file) for one in methods.listings()]
    files = sorted(Path(diagnose.__file__).parent.glob("*.py"))
    places += [(file.stem, file.parent.name, file) for file in files]
    found = [System(card, *place) for place in places if (card := read_card(place[-1])) is not None]
    return sorted(found, key=lambda system: (system.card.system[:1], int(system.card.system[1:])))


def find_system(number: str) -> System:
    """A system by its number.

    Raises:
        BadInput: No method here has a card with that number.
    """
    known = {system.card.system: system for system in systems()}
    if number not in known:
        expected = ", ".join(known) or "none has a card yet"
        raise BadInput.single(f"system {number!r}", f"unknown; expected one of {expected}")
    return known[number]


def contenders(system: System, claim: Claim) -> tuple[Contender, Contender]:
    """The method and its baseline, as the claim names them."""
    return method_with_settings(claim.method or system.name), method_with_settings(claim.baseline)


def at_hand(claim: Claim, source: Path | None = None) -> bool:
    """Whether the images of a claim's challenge are: embedded, or where a person says."""
    section = read_challenge(find(claim.challenge)).source
    return bool(section.world or section.path or source)


def grid_of(
    system: System, claim: Claim, seeds: int, store: Path, work: Path, source: Path | None = None
) -> Grid:
    """What is to be run for a claim; `source` is the user's copy of images that are not embedded.

    Raises:
        BadInput: The claim names a method, preset or hyper-parameter that is not there.
    """
    both = contenders(system, claim)
    for one in both:
        methods.configure(one.method, one.preset, one.settings)
    return Grid(
        challenge=read_challenge(find(claim.challenge)),
        contenders=both,
        sizes=(claim.images_per_class,),
        seeds=tuple(range(seeds)),
        out=store / system.card.system / claim.challenge,
        source=source,
        work=work,
    )


def outcomes(system: System, store: Path = STORE, measured: Path = MEASURED) -> list[Outcome | Kept]:
    """What the stored records say of each claim of a system."""
    return [
        kept(claim, measured) if isinstance(claim, Bound) else outcome(system, claim, store)
        for claim in system.card.claims
    ]


def standing(found: Sequence[Outcome | Kept]) -> str:
    """All verdicts of a system in a few words: `holds`, `2 hold, 1 not clear`."""
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in get_args(Verdict)}
    there = {verdict: count for verdict, count in counts.items() if count}
    if len(there) == 1:
        return str(*there)
    return ", ".join(f"{count} {verdict}" for verdict, count in there.items())


def outcome(system: System, claim: Claim, store: Path) -> Outcome:
    """What the stored records say of a claim about a method."""
    own, other = (
        _by_seed(store / system.card.system / claim.challenge, contender, claim.images_per_class)
        for contender in contenders(system, claim)
    )
    pairs = [(own[seed], other[seed]) for seed in sorted(own.keys() & other.keys())]
    if len(pairs) < FEWEST_SEEDS:
        return Outcome(claim, "not measured", len(pairs))
    first, second = ([record["scores"][claim.metric] for record in side] for side in zip(*pairs, strict=True))
    difference = paired_difference(first, second)
    unequal = tuple(_unequal(claim, pairs))
    sign = 1 if claim.higher else -1
    verdict: Verdict = "not clear"
    if difference.clear:
        verdict = "holds" if sign * difference.mean > 0 and not unequal else "does not hold"
    scores = statistics.fmean(first), statistics.fmean(second)
    return Outcome(claim, verdict, len(pairs), scores, difference, unequal)


def _by_seed(folder: Path, contender: Contender, size: int | None) -> dict[int, dict[str, Any]]:
    """The records of a contender at a size, by their seed."""
    # By the cells' names: where a claim leaves the size to the challenge, records say what that came to.
    seeds = f"{Cell(contender.name, size, 0).name.removesuffix('0')}*"
    return {record["seed"]: record for record in read_records(folder, seeds)}


def _unequal(claim: Claim, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    found = []
    for cost, most in claim.equal.items():
        ratios = [own["cost"][cost] / other["cost"][cost] for own, other in pairs]
        if max(ratios) > most * (1 + 1e-9):
            found.append(f"{cost} are {max(ratios):.2f} times the baseline's; expected at most {most:.2f}")
    return found
