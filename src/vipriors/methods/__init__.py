"""Published systems and the floors they are measured against, one file each.

A method is found by its file: `methods/<family>/<name>.py`. Listing reads the files' docstrings and imports
nothing, so it stays quick however many methods there are and whatever they need.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import importlib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vipriors.card import Card, read_card
from vipriors.problems import BadInput, Problem

ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Listing:
    """A method as the list shows it."""

    name: str
    family: str
    """Also the task that it is for."""
    summary: str
    module: str
    file: Path


def listings() -> list[Listing]:
    """All methods, in the order of their names."""
    return list(_listings())


@functools.cache
def _listings() -> tuple[Listing, ...]:
    # Read once: a run, a grid and the tests ask for methods by name many times.
    found = []
    for path in sorted(ROOT.glob("*/*.py")):
        if path.name.startswith("_"):
            continue
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        family = path.parent.name
        module = f"{__name__}.{family}.{path.stem}"
        name, summary = path.stem.replace("_", "-"), docstring.partition("\n")[0]
        found.append(Listing(name, family, summary, module, path))
    return tuple(sorted(found, key=lambda listing: listing.name))


def listing(name: str) -> Listing:
    """A method by its name.

    Raises:
        BadInput: There is no method of that name.
    """
    found = {one.name: one for one in listings()}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BadInput.single(f"method {name!r}", f"unknown; expected one of {', '.join(found)}{hint}")
    return found[name]


def card_of(listing: Listing) -> Card | None:
    """The card of a method, read from its file; None if it is no system of the source documents."""
    return read_card(listing.file)


def load(name: str) -> type[Any]:
    """The dataclass of a method: the one class of its module that can `fit`.

    Raises:
        BadInput: There is no method of that name.
    """
    module = importlib.import_module(listing(name).module)
    (method,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "presets")
    )
    return method


def configure(name: str, preset: str, overrides: Mapping[str, str]) -> Any:
    """A method's hyper-parameters: its defaults, then a preset, then `--set` values given as text.

    Raises:
        BadInput: Lists every unknown preset or field and every value of the wrong type.
    """
    method = load(name)
    problems = []
    if preset not in method.presets:
        expected = ", ".join(method.presets)
        problems.append(Problem(f"preset {preset!r}", f"unknown for {name}; expected one of {expected}"))
    values = dict(method.presets.get(preset, {}))
    types = typing.get_type_hints(method)
    fields = {f.name for f in dataclasses.fields(method)}
    for key, text in overrides.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(Problem(f"--set {key}", f"{name} has no such hyper-parameter{hint}"))
            continue
        try:
            values[key] = parse_value(types[key], text)
        except ValueError as error:
            problems.append(Problem(f"--set {key}={text}", str(error)))
    if problems:
        raise BadInput(problems)
    return method(**values)


def restore(name: str, hyper_parameters: Mapping[str, Any]) -> Any:
    """A method from the hyper-parameters that a run recorded as JSON, where tuples are lists."""
    return load(name)(**{k: tuple(v) if isinstance(v, list) else v for k, v in hyper_parameters.items()})


def parse_value(kind: Any, text: str) -> Any:
    """A hyper-parameter from text, by its type: bool, int, float, str, a Literal or a tuple of ints.

    Raises:
        ValueError: Says what was expected.
    """
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text
    if typing.get_origin(kind) is tuple:
        return tuple(parse_value(int, part.strip()) for part in text.strip("()").split(",") if part.strip())
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("expected true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"expected {'an integer' if kind is int else 'a number'}") from None


def field_docs(method: type[Any]) -> dict[str, str]:
    """The one-line docstring under each field, from the source; inherited fields included."""
    import inspect
    import textwrap

    docs: dict[str, str] = {}
    for cls in reversed(method.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        assert isinstance(definition, ast.ClassDef)
        docs |= _docs_in(definition.body)
    return docs


def _docs_in(body: Iterable[ast.stmt]) -> dict[str, str]:
    docs, name = {}, None
    for statement in body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            docs[name], name = str(statement.value.value), None
        else:
            name = None
    return docs
