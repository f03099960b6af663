"""A contender: a method with its settings, as named on the command line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vipriors import methods
from vipriors.problems import BadInput

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Contender:
    """A method, a preset and what is set over it."""

    name: str
    """Names its records: as given, else the method, the preset where it is not `tiny`, and what is set."""
    method: str
    preset: str = "tiny"
    settings: dict[str, str] = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)
    """What a recipe says of the search that found it; goes into the records."""


def read_contender(text: str) -> Contender:
    """A contender from `METHOD`, `METHOD:PRESET` or the path of a YAML recipe that `vipriors tune` wrote.

    `,NAME=VALUE` behind any of these sets a hyper-parameter, several in a row; `NAME=` before it names the
    contender, as when one method competes with several recipes.

    Raises:
        BadInput: There is no such method, preset, hyper-parameter or file, a value is out of its range, the
            recipe is damaged, or the name is no name.
    """
    contender = _from_words(text)
    methods.configure(contender.method, contender.preset, contender.settings)
    return contender


def method_with_settings(text: str) -> Contender:
    """A contender from `METHOD[:PRESET][,NAME=VALUE…]`, whether or not there is such a method."""
    named, *values = text.split(",")
    method, _, preset = named.partition(":")
    settings = _settings(values, text)
    return Contender(_name(named.replace(":", "-"), settings), method, preset or "tiny", settings)


def _from_words(text: str) -> Contender:
    first, *values = text.split(",") if not text.endswith((".yaml", ".yml")) else [text]
    name, equals, rest = first.partition("=")
    if equals:
        if not NAME.fullmatch(name):
            raise BadInput.single(
                text, f"{name!r} is no name; expected lower-case letters, digits and hyphens"
            )
        return dataclasses.replace(_from_words(",".join([rest, *values])), name=name)
    if not first.endswith((".yaml", ".yml")):
        return method_with_settings(text)
    found, settings = _from_recipe(Path(first)), _settings(values, text)
    return dataclasses.replace(found, name=_name(found.name, settings), settings=found.settings | settings)


def _settings(values: Sequence[str], text: str) -> dict[str, str]:
    for value in values:
        if "=" not in value:
            raise BadInput.single(text, f"{value!r} sets nothing; expected NAME=VALUE")
    return dict(value.split("=", 1) for value in values)


def _name(first: str, settings: Mapping[str, str]) -> str:
    return "-".join([first, *(f"{key}-{value}" for key, value in settings.items())])


def _from_recipe(file: Path) -> Contender:
    try:
        recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput.single(file, f"cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput.single(file, f"is not YAML: {error}") from None
    whole = isinstance(recipe, dict) and {"method", "preset", "set"} <= recipe.keys()
    if not whole or not isinstance(recipe["set"], dict):
        raise BadInput.single(file, "is no recipe; expected the fields method, preset and set")
    settings = {str(key): str(value) for key, value in recipe["set"].items()}
    tuning = recipe.get("found") or {}
    return Contender(recipe["method"], recipe["method"], recipe["preset"], settings, tuning)
