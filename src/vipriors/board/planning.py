"""What an organizer says of a challenge before it is a row: its phases and its baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vipriors.board.models import now
from vipriors.problems import BadInput, Problem
from vipriors.tasks.findings import shown


class PhasePlan(BaseModel):
    """A phase as an organizer describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("main", min_length=1, max_length=60)
    start: AwareDatetime = Field(default_factory=now)
    end: AwareDatetime | None = Field(None, description="None never ends.")
    grace_minutes: int = Field(0, ge=0, le=60 * 24 * 7)
    per_day: int | None = Field(None, ge=1)
    total: int | None = Field(None, ge=1)
    shows: Literal["public", "all", "hidden"] = "public"
    final_part: Literal["private", "public", "all"] = "private"

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> PhasePlan:
        if self.end is not None and self.end <= self.start:
            raise ValueError("the end is not after the start")
        return self


def read_plan(fields: dict[str, Any], place: str) -> PhasePlan:
    """A phase from its fields.

    Raises:
        BadInput: lists every field that does not fit; `place` is what problems call the phase.
    """
    try:
        return PhasePlan.model_validate(fields)
    except ValidationError as error:
        raise BadInput(
            Problem(", ".join([place, *map(str, fault["loc"])]), fault["msg"].removeprefix("Value error, "))
            for fault in error.errors(include_url=False)
        ) from None


def in_utc(plan: PhasePlan) -> dict[str, object]:
    """The fields of a phase's row."""
    fields = plan.model_dump()
    return {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in fields.items()
    }


def refuse_same_names(names: Sequence[str]) -> None:
    """Raises `BadInput` if two phases have one name, by which uploads tell them apart."""
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise BadInput.single("phase name", f"{shown(name)} is taken in this challenge; expected another")


def check_baseline(name: str | None, score: float | None) -> None:
    """Raises `BadInput` if a baseline cannot be shown."""
    if name is not None and not (0 < len(name.strip()) <= 100 and name.isprintable()):
        raise BadInput.single("baseline", f"is called {shown(name)}; expected 1 to 100 printable characters")
    if score is not None and not math.isfinite(score):
        raise BadInput.single("baseline", f"scores {score}; expected a number")


def read_fields(text: str) -> dict[str, Any]:
    """Fields of a phase as they are written on a command line: `name=main,end=2026-07-01,per-day=5`.

    Moments without a zone are UTC; `end=never` and `total=none` take a limit away.

    Raises:
        BadInput: a field is none.
    """
    fields: dict[str, Any] = {}
    problems = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, given, value = part.partition("=")
        field = _FIELDS.get(name.strip())
        if not given or field is None:
            expected = ", ".join(f"{each}=…" for each in _FIELDS)
            problems.append(Problem(f"phase, {part!r}", f"expected some of {expected}"))
            continue
        fields[field] = None if value.strip() in ("never", "none") else value.strip()
        if field in ("start", "end") and fields[field]:
            fields[field] = _moment(fields[field])
    if problems:
        raise BadInput(problems)
    return fields


def read_form(fields: dict[str, str]) -> dict[str, Any]:
    """Fields of a phase as a form sends them: moments in UTC, empty for no limit."""
    found: dict[str, Any] = {name: value.strip() or None for name, value in fields.items()}
    for name in ("start", "end"):
        if found.get(name):
            found[name] = _moment(found[name].removesuffix("UTC").strip())
    return found


def _moment(text: str) -> datetime | str:
    """A moment, in UTC where it has no zone; a text that is none stays one, for the model to refuse."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_FIELDS = {
    "name": "name",
    "start": "start",
    "end": "end",
    "grace": "grace_minutes",
    "per-day": "per_day",
    "total": "total",
    "shows": "shows",
    "final": "final_part",
}
