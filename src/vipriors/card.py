"""A system's card: what was published under which name, and the claims that are measured here.

The file of a system of the source documents says which one it is, with literal values only:

    CARD = Card(
        system="R3",
        name="Sandglass block",
        source="Rethinking bottleneck structure for efficient mobile network design, ECCV 2020",
        claims=(Claim("accuracy up at equal parameters", "digits", "top1", baseline="inverted-residual"),),
    )

It stands in the file of a method, or of a diagnosis (`vipriors/diagnose/<name>.py`), and nowhere else.
Cards are read from the text of the files: listing them imports nothing, and needs no torch.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Claim:
    """One measurable sentence about a method, against a baseline on equal terms.

    A method is given as `vipriors bench` takes it, with values to set behind it: `moco`, `moco:small`,
    `moco,queue=0`.
    """

    text: str
    """The claim in the form in which it is measured."""
    challenge: str
    """On whose test it is measured."""
    metric: str
    """Name of the score that is compared."""
    baseline: str
    """The method it is measured against."""
    method: str = ""
    """The method itself; by default the one whose file this is, in its preset `tiny`."""
    images_per_class: int | None = None
    """None for as many as the challenge takes by itself."""
    equal: Mapping[str, float] = field(default_factory=lambda: {"steps": 1.0})
    """What is held equal: a cost by its name in the records, and the largest ratio to the baseline's."""
    higher: bool = True
    """Whether the method is claimed to score higher, or lower."""
    published: str = ""
    """What the paper reports for the like, with its numbers."""


@dataclass(frozen=True)
class Bound:
    """One measurable sentence about a system that trains nothing: all records of a benchmark keep a bound."""

    text: str
    """The claim in the form in which it is measured."""
    benchmark: str
    """Name of a script of `benchmarks/`, whose records are in `benchmarks/measured`."""
    number: str
    """Name of the number in each record."""
    least: float | None = None
    """What it is at least; None for no such bound."""
    most: float | None = None
    """What it is at most; None for no such bound."""


@dataclass(frozen=True)
class Card:
    """What a system is."""

    system: str
    """Its number in the source documents, such as `R3`."""
    name: str
    source: str
    """Title of the paper, venue and year: `Title, ECCV 2020`."""
    claims: tuple[Claim | Bound, ...] = ()


_KINDS: Mapping[str, type[Any]] = {"Card": Card, "Claim": Claim, "Bound": Bound}


def read_card(file: Path) -> Card | None:
    """The card in a Python file, without running it; None if it has none.

    Raises:
        ValueError: The card is not made of literal values, or lacks a field.
    """
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="CARD")], value=value)
                | ast.AnnAssign(target=ast.Name(id="CARD"), value=value)
            ) if value is not None:
                try:
                    card = _value(value)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"{file.name}, line {statement.lineno}: no card: {error}") from None
                assert isinstance(card, Card)
                return card
    return None


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _KINDS:
            named = {keyword.arg: _value(keyword.value) for keyword in keywords if keyword.arg}
            return _KINDS[name](*map(_value, args), **named)
        case ast.Tuple(elts=parts):
            return tuple(map(_value, parts))
        case _:
            return ast.literal_eval(node)
