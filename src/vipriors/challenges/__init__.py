"""Challenges: one YAML file each, embedded here or written by a user."""

from __future__ import annotations

import difflib
from pathlib import Path

from vipriors.problems import BadInput

ROOT = Path(__file__).parent


def embedded() -> dict[str, Path]:
    """The challenge files that come with the package, by name."""
    return {path.stem: path for path in sorted(ROOT.glob("*.yaml"))}


def find(name_or_file: str) -> Path:
    """The file of a challenge, given by its embedded name or by a path to a YAML file or its folder.

    Raises:
        BadInput: There is neither.
    """
    path = Path(name_or_file)
    if path.is_dir() and (path / "challenge.yaml").is_file():
        return path / "challenge.yaml"
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise BadInput.single(path, "no such challenge file")
        return path
    known = embedded()
    if name_or_file not in known:
        near = difflib.get_close_matches(name_or_file, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        expected = f"expected one of {', '.join(known)}, or the path of a challenge's YAML file{hint}"
        raise BadInput.single(f"challenge {name_or_file!r}", f"unknown; {expected}")
    return known[name_or_file]


def summaries() -> list[tuple[str, str, str]]:
    """Name, task and title of each embedded challenge, read quickly and without validation."""
    found = []
    for name, path in embedded().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        top = dict(line.split(": ", 1) for line in lines if ": " in line and line[0].isalpha())
        found.append((name, top.get("task", ""), top.get("title", "")))
    return found
