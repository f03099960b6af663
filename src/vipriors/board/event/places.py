"""YAML read as plain text, with the line of every field, so that a problem can say where it is.

All values stay the text that was written: a name such as `No` is no boolean, `18:00` is not a number to base
60, and a score keeps its last zero. What a field means is decided by the schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vipriors.data.files import read_bytes
from vipriors.problems import BadInput, Problem

MOST_BYTES = 1_000_000

Location = tuple[str | int, ...]
"""Keys and positions that lead to a field: `("speakers", 1, "url")`."""


class _Loader(yaml.SafeLoader):
    """Collects aliases instead of following them: one may stand for a million nodes, or for itself."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.aliases: list[Problem] = []

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.get_event()  # type: ignore[no-untyped-call]
            self.aliases.append(
                Problem(f"line {alias.start_mark.line + 1}", f"*{alias.anchor}: write it out")
            )
            return yaml.ScalarNode("tag:yaml.org,2002:str", "", alias.start_mark, alias.end_mark)
        return super().compose_node(parent, index)


def read_yaml(file: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """A YAML file's content, and the line on which each of its fields starts.

    Raises:
        BadInput: it cannot be read, is no YAML, is no mapping, repeats a key, or uses anchors.
    """
    data = read_bytes(file)
    if len(data) > MOST_BYTES:
        raise BadInput.single(file, f"has {len(data):,} bytes; expected at most {MOST_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
        loader = _Loader(text)
        root = loader.get_single_node()
    except UnicodeDecodeError as error:
        raise BadInput.single(file, f"is not UTF-8: byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput.single(f"{file}{line}", f"is not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput.single(file, f"is not YAML: {error}") from None
    if loader.aliases:
        raise BadInput(Problem(f"{file}, {alias.place}", alias.message) for alias in loader.aliases)
    if not isinstance(root, yaml.MappingNode):
        raise BadInput.single(file, "is not a mapping of fields such as title, venue, date")
    lines: dict[Location, int] = {}
    repeated: list[Location] = []
    content = _plain(root, (), lines, repeated)
    if repeated:
        raise BadInput(Problem(place(file, at, lines), "is given twice") for at in repeated)
    return content, lines


def place(file: Path, location: Sequence[str | int], lines: dict[Location, int]) -> str:
    """Where a field is, or, if it is missing, where it would be: `event.yaml, line 7, speakers.1.url`."""
    known = tuple(location)
    while known and known not in lines:
        known = known[:-1]
    line = f", line {lines[known]}" if known else ""
    return f"{file}{line}" + (f", {'.'.join(map(str, location))}" if location else "")


def _plain(node: yaml.Node, at: Location, lines: dict[Location, int], repeated: list[Location]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*at, position)] = item.start_mark.line + 1
        return [_plain(item, (*at, position), lines, repeated) for position, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        content: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            lines[(*at, name)] = key.start_mark.line + 1
            if name in content:
                repeated.append((*at, name))
            content[name] = _plain(value, (*at, name), lines, repeated)
        return content
    return node.value
