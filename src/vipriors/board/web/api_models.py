"""What the HTTP interface answers, as programs see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from vipriors.board import models, standings, viewing
from vipriors.board.submitting import Declaration, Quota
from vipriors.board.viewing import Viewer


class Answer(BaseModel):
    """Anything that is answered."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class OneProblem(Answer):
    """One thing that is wrong."""

    place: str = Field(description="File and row, field, or whatever is wrong.")
    message: str = Field(description="What was found, and what was expected.")


class Problems(Answer):
    """Everything that is wrong. Every error is answered so."""

    problems: list[OneProblem]


class Baseline(Answer):
    """A score to compare with, which is no entry."""

    name: str
    score: float


class Phase(Answer):
    """A span of time in which a challenge takes submissions. Moments are in UTC."""

    name: str
    start: datetime
    end: datetime | None = Field(description="None never ends.")
    grace_minutes: int = Field(description="After the end, for uploads that are under way.")
    per_day: int | None = Field(description="Submissions of a team on a day in UTC.")
    total: int | None = Field(description="Submissions of a team in the phase.")
    shows: str = Field(description="Part of the test whose scores are seen while it runs, or `hidden`.")
    final_part: str = Field(description="Part of the test that ranks in the end.")
    running: bool = Field(description="Whether it takes submissions now.")

    @classmethod
    def of(cls, phase: models.Phase, at: datetime) -> Phase:
        """As it is at a moment."""
        fields = {name: getattr(phase, name) for name in cls.model_fields if name != "running"}
        return cls(**fields, running=phase.start <= at and standings.is_running(phase, at))


class ChallengeSummary(Answer):
    """A challenge in a list."""

    name: str
    title: str
    task: str
    metric: str = Field(description="The score that ranks.")
    descending: bool = Field(description="Whether more is better.")
    hidden: bool = Field(description="From everybody but its organizers.")


class Challenge(ChallengeSummary):
    """A challenge with all that participants need to know."""

    description: str = Field(description="Markdown, as are rules and data.")
    rules: str
    data: str
    classes: list[Any]
    baseline: Baseline | None
    phases: list[Phase]

    @classmethod
    def seen(cls, challenge: models.Challenge, at: datetime) -> Challenge:
        """As it is at a moment."""
        fields = ("name", "title", "task", "metric", "descending", "hidden", "description", "rules", "data")
        return cls(
            **{name: getattr(challenge, name) for name in fields},
            classes=challenge.classes,
            baseline=baseline_of(challenge),
            phases=[Phase.of(phase, at) for phase in challenge.phases],
        )


class Line(Answer):
    """A team's line of a leaderboard."""

    rank: int | None = Field(description="Shared by equal scores; none without a score.")
    team: str
    score: float | None
    low: float | None = Field(description="Of the 95 % interval.")
    high: float | None
    near_leader: bool = Field(description="The interval overlaps that of the first.")
    moved: int | None = Field(description="Ranks gained in a day; none for the new.")
    received: datetime
    late: bool = Field(description="Received in the phase's grace.")
    qualified: bool = Field(description="Report seen and audit passed.")
    kind: str = Field(description="Single model or ensemble.")
    data: str = Field(description="Data that were learned from.")
    parameters: int | None
    cost: str = Field(description="Of training, in words.")
    gpu_hours: float | None = Field(description="Of training.")
    flops: float | None = Field(description="Floating-point operations for one test image.")


class Leaderboard(Answer):
    """Who leads."""

    challenge: str
    phase: str
    part: str = Field(description="Of the test, over which the scores are; `hidden` while there is none.")
    metric: str
    descending: bool
    baseline: Baseline | None
    lines: list[Line]

    @classmethod
    def of(cls, phase: models.Phase, board: standings.Leaderboard) -> Leaderboard:
        """A phase's leaderboard."""
        return cls(
            challenge=phase.challenge.name,
            phase=phase.name,
            part=board.part,
            metric=phase.challenge.metric,
            descending=phase.challenge.descending,
            baseline=baseline_of(phase.challenge),
            lines=[_line(line) for line in board.lines],
        )


class Number(Answer):
    """A score with its 95 % interval; null where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class PartScore(Number):
    """The score on a part of the test."""

    part: str = Field(description="public, private or all.")
    metric: str


class Lost(Answer):
    """Where average precision (AP) is lost, in percent; rounded, so that it tells of no single object."""

    ap: float
    foreground: float = Field(description="The overlap from which on an object is found.")
    delta_ap: dict[str, float] = Field(description="What each of the six types of error costs.")
    special: dict[str, float] = Field(description="What all that is wrong costs, and all that is missing.")


class Details(Answer):
    """What stands behind the score on a part of the test."""

    part: str
    headline: str
    numbers: dict[str, Number]
    n: int | None = Field(description="Test images, clips or queries in the part.")
    per_class: list[dict[str, Any]] = Field(
        description="Numbers of each class; null where the class has too few samples to tell of them."
    )
    per_category: list[dict[str, Any]]
    lost: Lost | None = Field(description="Of tasks that find objects.")


class Submission(Answer):
    """A submission as its team sees it."""

    id: str
    challenge: str
    phase: str
    team: str
    sent_by: str
    received: datetime
    late: bool
    state: str = Field(description="queued, scoring, scored, failed, cancelled or error.")
    message: str = Field(description="Why it failed.")
    place_in_queue: int | None = Field(description="1 is next; none once it is scored.")
    finished: datetime | None
    file_name: str
    size: int = Field(description="Bytes.")
    sha256: str
    declaration: Declaration
    chosen: bool = Field(description="Stands on the leaderboard in place of the team's best.")
    qualified: bool
    hidden: bool = Field(description="By an organizer.")
    disqualified: str | None = Field(description="The reason.")
    scores: list[PartScore] = Field(description="On the parts of the test that are shown.")


class SubmissionDetails(Submission):
    """A submission with what stands behind its scores."""

    details: list[Details]


class QuotaLeft(Answer):
    """Submissions that a team has left; null where there is no limit."""

    phase: str
    today: int | None
    total: int | None
    left: int | None = Field(description="How many can be sent now.")
    next_day: datetime = Field(description="When the day's quota begins anew.")

    @classmethod
    def of(cls, phase: models.Phase, quota: Quota) -> QuotaLeft:
        """A team's quota in a phase."""
        return cls(
            phase=phase.name,
            today=quota.today,
            total=quota.total,
            left=quota.left,
            next_day=quota.next_day,
        )


class Team(Answer):
    """One's team in a challenge. Who has none submits alone, as a team of one."""

    name: str | None
    members: list[str]
    quota: list[QuotaLeft] = Field(description="In each phase that takes submissions.")


class Membership(Answer):
    """A team that one is in."""

    challenge: str
    team: str


class Me(Answer):
    """Whose token it is."""

    name: str
    email: str
    admin: bool
    organizes: list[str] = Field(description="Names of challenges.")
    teams: list[Membership]


class Health(Answer):
    """Whether the board works."""

    status: str = Field(description="ok; or no workers, so that nothing is scored; or no database.")
    workers: int = Field(description="Processes that score and were heard of lately.")
    queue: int = Field(description="Submissions that wait or are being scored.")


def baseline_of(challenge: models.Challenge) -> Baseline | None:
    """The line that is shown beside the entries."""
    if challenge.baseline_name is None or challenge.baseline_score is None:
        return None
    return Baseline(name=challenge.baseline_name, score=challenge.baseline_score)


def submission_of(session: Session, viewer: Viewer, row: models.Submission, at: datetime) -> Submission:
    """A submission as a viewer may see it."""
    return Submission(**_submission(row, viewing.scores(session, viewer, row, at), session))


def submission_details_of(
    session: Session, viewer: Viewer, row: models.Submission, at: datetime
) -> SubmissionDetails:
    """A submission as a viewer may see it, with what stands behind its scores."""
    scores = viewing.scores(session, viewer, row, at)
    details = [Details.model_validate(viewing.details(score.record, score.part)) for score in scores]
    return SubmissionDetails(**_submission(row, scores, session), details=details)


def _submission(row: models.Submission, scores: Sequence[models.Score], session: Session) -> dict[str, Any]:
    same = (
        *("id", "received", "late", "state", "message", "finished", "file_name", "size", "sha256"),
        *("chosen", "qualified", "hidden", "disqualified"),
    )
    metric = row.phase.challenge.metric
    return {name: getattr(row, name) for name in same} | {
        "challenge": row.phase.challenge.name,
        "phase": row.phase.name,
        "team": row.team.name,
        "sent_by": row.person.name,
        "place_in_queue": standings.place_in_queue(session, row),
        "declaration": Declaration.model_validate(row.declaration),
        "scores": [
            PartScore(part=score.part, metric=metric, value=score.value, low=score.low, high=score.high)
            for score in scores
        ],
    }


def _line(line: standings.Line) -> Line:
    entry = line.place.entry
    said = Declaration.model_validate(line.declaration)
    return Line(
        rank=line.place.rank,
        team=line.team,
        score=entry.value,
        low=entry.low,
        high=entry.high,
        near_leader=line.place.near_leader,
        moved=line.place.moved,
        received=entry.received,
        late=line.late,
        qualified=line.qualified,
        kind=said.kind,
        data=said.data,
        parameters=said.parameters,
        cost=said.cost,
        gpu_hours=said.gpu_hours,
        flops=said.flops,
    )
