"""What an event's file says, validated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from vipriors.board.event.fields import Day, Markdown, Reading, Text
from vipriors.board.event.places import place, read_yaml
from vipriors.board.event.sections import (
    Call,
    Challenges,
    Contact,
    Dates,
    Link,
    PaperList,
    Part,
    Person,
    Program,
    Recording,
)
from vipriors.problems import BadInput, Problem


class Event(Part):
    """A workshop or competition event."""

    title: Text
    short: Text = Field(description="For the top of each page: `VIPriors 2020`.")
    tagline: Text
    venue: Text = Field(description="The conference, or the town.")
    place: Text | None = Field(None, description="Where in it, or that it is online.")
    date: Day
    until: Day | None = None
    notice: Markdown | None = Field(None, description="News, above all else.")
    about: Markdown
    dates: Dates | None = Field(None, description="Beside those of calls and challenges.")
    links: tuple[Link, ...] = Field((), description="Shown as buttons; the most important first.")
    calls: tuple[Call, ...] = ()
    program: Program | None = None
    papers: tuple[PaperList, ...] = ()
    speakers: tuple[Person, ...] = ()
    organizers: tuple[Person, ...] = ()
    recordings: tuple[Recording, ...] = ()
    challenges: Challenges | None = None
    contact: Contact

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.until is not None and self.until <= self.date:
            raise ValueError(f"until {self.until} is not after date {self.date}")
        return self


def read_event(file: Path) -> Event:
    """Reads and validates an event's file.

    Raises:
        BadInput: Lists every field that is wrong, with its line and what was expected.
    """
    content, lines = read_yaml(file)
    context = Reading(file.parent, _list_names(content.get("papers")))
    try:
        return Event.model_validate(content, context=context)
    except ValidationError as error:
        raise BadInput(
            Problem(place(file, fault["loc"], lines), _describe(fault))
            for fault in error.errors(include_url=False)
        ) from None


def _list_names(papers: object) -> frozenset[str]:
    """Names of the lists of papers, before it is known whether they are right."""
    lists = papers if isinstance(papers, list) else []
    names = [one.get("name") for one in lists if isinstance(one, dict)]
    return frozenset(name for name in names if isinstance(name, str))


_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "tuple_type": "expected a list",
    "model_type": "expected a mapping of fields",
    "string_type": "expected a text",
    "string_too_short": "expected a text",
}


def _describe(fault: Any) -> str:
    message = _MESSAGES.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
    if fault["type"] != "value_error":
        message = f"{message[0].lower()}{message[1:]}"
    found = fault["input"]
    if isinstance(found, str) and fault["type"] != "extra_forbidden":
        return f"{message}; found {found[:80]!r}{'…' if len(found) > 80 else ''}"
    return message
