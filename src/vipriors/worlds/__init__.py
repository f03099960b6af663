"""Seeded generators of labelled samples: data that every machine has.

A world is a module of this folder with a function of the same name, from a task to a `Source` with labels
for it.
"""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from vipriors.problems import BadInput

if TYPE_CHECKING:
    from vipriors.data.sources import Source


def summaries() -> list[tuple[str, str]]:
    """Name and first line of each world, found without importing them."""
    files = sorted(file for file in Path(__file__).parent.glob("*.py") if not file.name.startswith("_"))
    docs = {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) for file in files}
    return [(name, (doc or "").partition("\n")[0]) for name, doc in docs.items()]


def load_source(name: str, task: str, variant: str | None = None) -> Source:
    """The samples of a world, with labels for a task; in one of its variants, where it has several.

    Raises:
        BadInput: There is no such world, or it has no such labels or variant; lists what there is.
    """
    names = [known for known, _ in summaries()]
    if name not in names:
        raise BadInput.single(f"world {name!r}", f"unknown; expected one of {', '.join(names)}")
    world = getattr(import_module(f"{__name__}.{name}"), name)
    if variant is not None and "variant" not in inspect.signature(world).parameters:
        raise BadInput.single(f"world {name}", f"has no variants; found {variant!r}")
    source: Source = world(task) if variant is None else world(task, variant)
    return source
