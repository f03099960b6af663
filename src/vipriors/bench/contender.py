"""A contender: a method with its settings, as named on the command line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
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
    """Names its records: as given, else the method, with the preset where that is not `tiny`."""
    method: str
    preset: str = "tiny"
    settings: dict[str, str] = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)
    """What a recipe says of the search that found it; goes into the records."""


def read_contender(text: str) -> Contender:
    """A contender from `METHOD`, `METHOD:PRESET` or the path of a YAML recipe that `vipriors tune` wrote.

    `NAME=` before any of these names it, as when one method competes with several recipes.

    Raises:
        BadInput: There is no such method, preset or file, the recipe is damaged, or the name is no name.
    """
    name, equals, rest = text.partition("=")
    if equals:
        if not NAME.fullmatch(name):
            raise BadInput.single(
                text, f"{name!r} is no name; expected lower-case letters, digits and hyphens"
            )
        return dataclasses.replace(read_contender(rest), name=name)
    if text.endswith((".yaml", ".yml")):
        return _from_recipe(Path(text))
    method, _, preset = text.partition(":")
    contender = Contender(text.replace(":", "-"), method, preset or "tiny")
    methods.configure(contender.method, contender.preset, {})
    return contender


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
    methods.configure(recipe["method"], recipe["preset"], settings)
    tuning = recipe.get("found") or {}
    return Contender(recipe["method"], recipe["method"], recipe["preset"], settings, tuning)
