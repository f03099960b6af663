"""A contender: a method with its settings, as named on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from vipriors import methods
from vipriors.problems import BadInput


@dataclass(frozen=True)
class Contender:
    """A method, a preset and what is set over it."""

    name: str
    """Names its records: the method, with the preset or the recipe file's stem where that matters."""
    method: str
    preset: str = "tiny"
    settings: dict[str, str] = field(default_factory=dict)


def read_contender(text: str) -> Contender:
    """A contender from `METHOD`, `METHOD:PRESET` or the path of a YAML recipe that `vipriors tune` wrote.

    Raises:
        BadInput: There is no such method, preset or file, or the recipe is damaged.
    """
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
    if not isinstance(recipe, dict) or not {"method", "preset", "set"} <= recipe.keys():
        raise BadInput.single(file, "is no recipe; expected the fields method, preset and set")
    settings = {str(key): str(value) for key, value in recipe["set"].items()}
    methods.configure(recipe["method"], recipe["preset"], settings)
    return Contender(recipe["method"], recipe["method"], recipe["preset"], settings)
