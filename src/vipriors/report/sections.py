"""What a report says of each contender: its method's file, what it was set to, how to measure it again.

The text of the method's file is read; nothing is imported, and no torch is needed.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from markupsafe import Markup, escape

from vipriors import methods
from vipriors.bench.records import group
from vipriors.challenges import embedded
from vipriors.challenges.schema import read_challenge
from vipriors.problems import BadInput
from vipriors.report.recipe import as_text

CODE = re.compile(r"`([^`]+)`")
ITEM = re.compile(r"^\d+\. ", re.M)


@dataclass(frozen=True)
class Part:
    """A paragraph of a description, and the numbered items that follow it."""

    title: str
    """`Source`, `Shapes`, `Deviations from the paper`, or empty."""
    text: Markup
    items: tuple[Markup, ...] = ()


@dataclass(frozen=True)
class Description:
    """What a method's file says of it."""

    summary: Markup
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Measurement:
    """How one contender was measured on one challenge."""

    challenge: str
    settings: dict[str, str]
    """Hyper-parameters; those that were searched on each subset say so."""
    recipe: str
    """YAML for `vipriors bench`; empty where the method sets itself on each subset."""
    file: str
    """Name of the recipe's file in the command."""
    command: str
    tuning: str
    """How the values were searched, if the records say."""


@dataclass(frozen=True)
class Section:
    """All that a report says of one contender."""

    contender: str
    method: str
    preset: str
    description: Description | None
    """None where the method's file is not installed here."""
    measurements: tuple[Measurement, ...]


def sections(records: Sequence[dict[str, Any]]) -> list[Section]:
    """A section for every contender, in the order of their names."""
    found = []
    for (contender,), own in sorted(group(records, "contender").items()):
        method, preset = own[0]["method"], own[0]["preset"]
        measured = tuple(measurement(runs) for _, runs in group(own, "challenge").items())
        found.append(Section(contender, method, preset, read_description(method), measured))
    return found


def read_description(method: str) -> Description | None:
    """What the file of a method says, None if it is not installed here."""
    try:
        file = methods.listing(method).file
    except BadInput:
        return None
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return description_of(docstring)


def description_of(docstring: str) -> Description:
    """A module's docstring as a description: its first line, then its paragraphs with their titles."""
    summary, _, rest = docstring.partition("\n")
    parts = []
    for paragraph in re.split(r"\n\s*\n", rest.strip()):
        head, *items = ITEM.split(paragraph)
        title, colon, text = head.partition(":")
        if not colon or len(title.split()) > 6 or not title[:1].isupper():
            title, text = "", head
        if head.strip() or items:
            parts.append(Part(title.strip(), _marked(text), tuple(map(_marked, items))))
    return Description(_marked(summary), tuple(parts))


def measurement(records: Sequence[dict[str, Any]]) -> Measurement:
    """How the runs of one contender on one challenge were set up, and the command that makes them again."""
    first = records[0]
    challenge, method, preset = first["challenge"], first["method"], first["preset"]
    values: dict[str, list[str]] = {}
    for record in records:
        for name, value in record["hyper_parameters"].items():
            values.setdefault(name, []).append(as_text(value))
    settled = {name: found[0] for name, found in values.items() if len(set(found)) == 1}
    settings = {
        name: found[0] if name in settled else f"{', '.join(sorted(set(found)))} (searched on each subset)"
        for name, found in values.items()
    }
    fixed = len(settled) == len(values) and bool(values)
    file = f"{first['contender']}.yaml"
    text = {"method": method, "preset": preset, "set": settled}
    recipe = yaml.safe_dump(text, sort_keys=False) if fixed else ""
    named = method if preset == "tiny" else f"{method}:{preset}"
    which = file if fixed else named
    plain = method if fixed else named.replace(":", "-")
    if first["contender"] != plain:
        which = f"{first['contender']}={which}"
    return Measurement(challenge, settings, recipe, file, _command(records, which), _tuning(first))


def _command(records: Sequence[dict[str, Any]], contender: str) -> str:
    first = records[0]
    sizes = sorted({record["images_per_class"] for record in records} - {None})
    words = ["vipriors bench", shlex.quote(first["challenge"]), shlex.quote(contender)]
    if sizes:
        words.append(f"--sizes {','.join(map(str, sizes))}")
    words.append(f"--seeds {max(record['seed'] for record in records) + 1}")
    if first.get("precision", "auto") != "auto":
        words.append(f"--precision {first['precision']}")
    known = embedded().get(first["challenge"])
    source = read_challenge(known).source if known else None
    if source and not source.world and not source.path:
        words.append("--source DIR")
    return " ".join([*words, "--out DIR"])


def _tuning(record: dict[str, Any]) -> str:
    found = record.get("tuning")
    if not found:
        return ""
    words = f"{found.get('trials')} trials on {found.get('challenge')}"
    if size := found.get("images_per_class"):
        words += f", {size} images a class"
    return f"{words}, {len(found.get('subsets', []))} subsets of its own"


def _marked(text: str) -> Markup:
    """Text on one line, with what stands in backticks as code."""
    parts = CODE.split(" ".join(text.split()))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )
