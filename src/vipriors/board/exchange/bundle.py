"""Bundles of other platforms: a YAML file and what it refers to, as a zip or a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from vipriors.board.exchange.markdown import markdown_of
from vipriors.board.planning import PhasePlan, read_plan
from vipriors.data.files import os_errors, read_bytes
from vipriors.problems import BadInput, Problem
from vipriors.tasks.archive import Archive, Limits, open_archive
from vipriors.tasks.findings import Findings, shown

LIMITS = Limits(archive_bytes=2**29, entries=10_000, entry_bytes=2**31, total_bytes=2**32, archives=True)
MOST_YAML = 2**20
MOST_TEXT = 2 * 2**20


@dataclass(frozen=True)
class Bundle:
    """A bundle that is open.

    Attributes:
        place: what problems call it.
        names: paths of its files.
        source: the folder, or the archive.
    """

    place: str
    names: frozenset[str]
    source: Path | Archive

    def read(self, name: str, most: int) -> bytes:
        """A file of the bundle.

        Raises:
            BadInput: it leads out of the bundle, is missing, too large, or cannot be read.
        """
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise BadInput.single(f"{self.place}, {shown(name)}", "leads out of the bundle")
        if str(path) not in self.names:
            raise BadInput.single(f"{self.place}, {shown(name)}", "is not in the bundle")
        if isinstance(self.source, Path):
            file = self.source / path
            if not file.resolve().is_relative_to(self.source.resolve()):
                raise BadInput.single(f"{self.place}, {shown(name)}", "leads out of the bundle")
            size = file.stat().st_size
        else:
            size = self.source.files[str(path)].file_size
        if size > most:
            raise BadInput.single(f"{self.place}, {shown(name)}", f"is larger than {most:,} bytes")
        if isinstance(self.source, Path):
            return read_bytes(self.source / path)
        findings = Findings(self.place)
        content = self.source.read(str(path), findings)
        if content is None:
            raise BadInput(findings.problems())
        return content

    def text(self, name: str) -> str:
        """A page as Markdown: HTML is brought to it.

        Raises:
            BadInput: as `read`, or it is not UTF-8.
        """
        try:
            text = self.read(name, MOST_TEXT).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput.single(f"{self.place}, {shown(name)}", "is not UTF-8") from None
        is_html = name.lower().endswith((".html", ".htm"))
        return markdown_of(text) if is_html else text.strip()


@dataclass
class Plan:
    """What a bundle becomes here.

    Attributes:
        format: what it was.
        title: of the challenge.
        pages: Markdown of description, rules and data.
        phases: in their order.
        hidden: from everybody but its organizers.
        columns: of its leaderboard, as it described them.
        left: what was not taken over, each with where it stood and why.
    """

    format: str
    title: str = ""
    pages: dict[str, str] = field(default_factory=lambda: {"description": "", "rules": "", "data": ""})
    phases: list[PhasePlan] = field(default_factory=list)
    hidden: bool = False
    columns: list[dict[str, Any]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add_page(self, page: str, heading: str, text: str) -> None:
        """Puts a text at the end of a page, under a heading if there is something above."""
        if not text.strip():
            return
        above = self.pages[page]
        self.pages[page] = f"{above}\n\n# {heading}\n\n{text}" if above else text

    def add_phase(self, place: str, fields: dict[str, Any]) -> None:
        """Adds a phase, or notes why it cannot be one."""
        try:
            self.phases.append(read_plan(fields, place))
        except BadInput as error:
            self.problems += error.problems

    def take_text(self, bundle: Bundle, name: object, page: str, heading: str) -> None:
        """Puts the text of a file into a page, or notes why it cannot be had."""
        if not name:
            return
        try:
            self.add_page(page, heading, bundle.text(str(name)))
        except BadInput as error:
            self.problems += error.problems

    def leave(self, fields: Mapping[str, Any], place: str, reasons: Mapping[str, str]) -> None:
        """Notes fields that are not taken over, if they say something."""
        for name, value in fields.items():
            if name in reasons and value not in (None, "", [], {}, False):
                self.left.append(f"{place}{name}: {reasons[name]}")

    def leave_unknown(self, fields: Mapping[str, Any], place: str, known: Iterable[str]) -> None:
        """Notes fields of which nothing is known."""
        known = set(known)
        self.left += [f"{place}{name}: unknown here" for name in map(str, fields) if name not in known]


class _Loader(yaml.SafeLoader):
    """Reads plain YAML. Without references: a few lines of them stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*name) are not taken")
        return super().compose_node(parent, index)


def open_bundle(path: Path) -> Bundle:
    """Opens a bundle.

    Raises:
        BadInput: it cannot be read, or holds what no bundle may; lists everything.
    """
    with os_errors(path):
        if path.is_dir():
            names = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
            return Bundle(str(path), frozenset(names), path)
        if path.stat().st_size > LIMITS.archive_bytes:
            expected = (
                f"expected at most {LIMITS.archive_bytes:,}: data and programs are not taken over anyway"
            )
            raise BadInput.single(path, f"has {path.stat().st_size:,} bytes; {expected}")
        findings = Findings(path.name)
        archive = open_archive(path.read_bytes(), LIMITS, findings)
    if archive is None or findings:
        raise BadInput(findings.problems())
    return Bundle(path.name, frozenset(archive.files), archive)


def read_yaml(bundle: Bundle, name: str) -> dict[str, Any]:
    """The mapping in a YAML file of a bundle.

    Raises:
        BadInput: it is none, or uses tags or references.
    """
    place = f"{bundle.place}, {name}"
    try:
        content = yaml.load(bundle.read(name, MOST_YAML).decode("utf-8-sig"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadInput.single(place, f"is not plain YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(content, dict):
        raise BadInput.single(place, "is no mapping")
    return content


def moment(value: object, place: str, problems: list[Problem]) -> datetime | None:
    """A moment as bundles write it, in UTC unless they say otherwise; notes one that cannot be read."""
    if value is None or value == "":
        return None
    found: datetime | None = None
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            found = None
    if found is None or not 1970 < found.year < 9999:
        problems.append(Problem(place, f"is {shown(str(value))}; expected such as 2026-05-04 12:00:00"))
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def number(value: object, place: str, problems: list[Problem]) -> int | None:
    """A count of submissions; 0 and less stand for no limit; notes what is none."""
    if value is None or value == "":
        return None
    try:
        found = int(str(value))
    except ValueError:
        problems.append(Problem(place, f"is {shown(str(value))}; expected a whole number"))
        return None
    return found if found > 0 else None


def plain(fields: Mapping[Any, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """Some fields of a mapping, or all, as JSON can keep them."""
    wanted = fields if names is None else [name for name in names if name in fields]
    return {str(name): _plain(fields[name]) for name in wanted}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value[:100]]
    is_json = value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
    return value if is_json else str(value)[:200]


def mappings(value: object, place: str, problems: list[Problem]) -> list[dict[str, Any]]:
    """A list of mappings; notes what is none."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            problems.append(Problem(f"{place}[{position}]", "expected a mapping"))
    return [item for item in items if isinstance(item, dict)]
