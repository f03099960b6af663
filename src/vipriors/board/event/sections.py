"""The parts of an event's file: calls, program, papers, people, challenges."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Self
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from vipriors.board.event.fields import (
    BoardUrl,
    Clock,
    Day,
    Email,
    ListName,
    Markdown,
    Name,
    PictureFile,
    Some,
    Text,
    Url,
    When,
    Zone,
    unique,
)


class Part(BaseModel):
    """A part of an event's file, which has no fields but those it names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Link(Part):
    """A link to another site."""

    title: Text
    url: Url


class Milestone(Part):
    """Something that happens on a day, or at an hour of it."""

    what: Text
    when: When
    moved_from: When | None = Field(None, description="The day that was announced first.")


class Dates(Part):
    """Important dates."""

    zone: Zone | None = Field(None, description="Needed where one has an hour.")
    items: Some[Milestone]

    @model_validator(mode="after")
    def _hours_have_a_zone(self) -> Self:
        hours = [
            one.what
            for one in self.items
            if isinstance(one.when, datetime) or isinstance(one.moved_from, datetime)
        ]
        if hours and self.zone is None:
            raise ValueError(f"a zone is needed, since an hour is given for: {', '.join(hours)}")
        return self


class Call(Part):
    """A call for papers, posters or something else."""

    name: Annotated[Name, unique("call")]
    title: Text
    summary: Text
    text: Markdown
    topics: tuple[Text, ...] = ()
    guidelines: tuple[Markdown, ...] = ()
    dates: Dates | None = None
    links: tuple[Link, ...] = ()


class Talk(Part):
    """One talk in a session."""

    title: Text
    by: tuple[Text, ...] = ()
    links: tuple[Link, ...] = Field((), description="A recording, slides, the paper.")


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Item(Part):
    """A part of a session."""

    at: Annotated[tuple[Clock, ...], BeforeValidator(_one_or_many)] = Field(
        description="When it starts: an hour, or one for each sitting."
    )
    title: Text | None = None
    text: Markdown | None = None
    papers: ListName | None = Field(None, description="The list of papers that are presented.")
    talks: tuple[Talk, ...] = ()


class Session(Part):
    """A session, or a break between two."""

    title: Text
    pause: bool = False
    items: Some[Item]


class ProgramDay(Part):
    """A day of the program; held several times where there are several sittings."""

    date: Day
    title: Text | None = None
    sittings: Some[Text] = ("Starts",)
    sessions: Some[Session]

    @model_validator(mode="after")
    def _hours_go_on(self) -> Self:
        items = [(item.title or one.title, item.at) for one in self.sessions for item in one.items]
        count = len(self.sittings)
        wrong = [
            f"{title} starts {len(at)} times, expected {count}" for title, at in items if len(at) != count
        ]
        if not wrong:
            for number, sitting in enumerate(self.sittings):
                for before, after in pairwise(at[number] for _, at in items):
                    if after <= before:
                        wrong.append(f"{sitting}: {after:%H:%M} follows {before:%H:%M}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class Program(Part):
    """The program."""

    summary: Text
    zone: Zone
    text: Markdown | None = None
    days: Some[ProgramDay]
    links: tuple[Link, ...] = ()


class Paper(Part):
    """A paper or poster that is presented."""

    title: Text
    authors: Some[Text]
    links: tuple[Link, ...] = ()


class PaperList(Part):
    """Papers that are presented together."""

    name: Annotated[Name, unique("list of papers")]
    title: Text
    text: Markdown | None = None
    papers: Some[Paper]


class Person(Part):
    """An invited speaker or an organizer."""

    name: Text
    title: Text | None = Field(None, description="In front of the name: `prof.`")
    affiliation: Text | None = None
    url: Url | None = None
    picture: PictureFile | None = Field(None, description="Initials stand where there is none.")
    text: Markdown | None = None


class Recording(Part):
    """A recording, on another site."""

    title: Text
    url: Url
    text: Text | None = None


class Work(Link):
    """A paper or report."""

    kind: Text = "Report"


class Rank(Part):
    """A place in a final ranking."""

    rank: int = Field(ge=1)
    members: tuple[Text, ...] = ()
    team: Text | None = None
    affiliations: tuple[Text, ...] = ()
    score: Text | None = None
    works: tuple[Work, ...] = ()
    note: Text | None = None

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        if not self.members and not self.team:
            raise ValueError("members or a team are needed")
        return self


class Ranking(Part):
    """A final ranking."""

    text: Markdown | None = None
    metric: Text | None = Field(None, description="What the scores are.")
    places: Some[Rank]
    links: tuple[Link, ...] = ()

    @model_validator(mode="after")
    def _ranks_go_up(self) -> Self:
        ranks = [one.rank for one in self.places]
        if ranks[0] != 1 or ranks != sorted(ranks):
            raise ValueError(f"ranks must start at 1 and go up, unlike {', '.join(map(str, ranks))}")
        return self


class Board(Part):
    """A leaderboard of a board that runs."""

    url: BoardUrl = Field(description="Of the board: `https://board.example.org`.")
    challenge: Text | None = Field(None, description="Its name there; the track's by default.")
    phase: Text | None = Field(None, description="By default the one that began last.")

    @property
    def origin(self) -> str:
        """Scheme, host and port, as a content security policy names it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def page(self, track: str) -> str:
        """The address of the leaderboard."""
        return f"{self.url}/c/{self._name(track)}/leaderboard{self._query}"

    def frame(self, track: str) -> str:
        """The address of the leaderboard for a frame."""
        return f"{self.url}/c/{self._name(track)}/leaderboard/embed{self._query}"

    def data(self, track: str) -> str:
        """The address of the leaderboard for programs."""
        return f"{self.url}/api/v1/challenges/{self._name(track)}/leaderboard{self._query}"

    def _name(self, track: str) -> str:
        return quote(self.challenge or track, safe="")

    @property
    def _query(self) -> str:
        return f"?phase={quote(self.phase, safe='')}" if self.phase else ""


class Track(Part):
    """One challenge."""

    name: Annotated[Name, unique("track")]
    title: Text
    summary: Text
    data: Link | None = None
    text: Markdown | None = None
    rules: tuple[Markdown, ...] = Field((), description="Beside those of all challenges.")
    links: tuple[Link, ...] = ()
    board: Board | None = Field(None, description="Whose leaderboard is shown.")
    ranking: Ranking | None = None


class Section(Part):
    """A piece of text under a heading."""

    title: Text
    text: Markdown
    links: tuple[Link, ...] = ()


class Challenges(Part):
    """The challenges of the event, and what holds for all of them."""

    title: Text = "Challenges"
    summary: Text
    text: Markdown
    dates: Dates | None = None
    rules: tuple[Markdown, ...] = ()
    sections: tuple[Section, ...] = Field((), description="Data, submission, resources, questions …")
    tracks: Some[Track]


class Contact(Part):
    """How to reach the organizers."""

    text: Markdown | None = None
    email: Email
