"""What a board remembers. Rows are added and marked; none is ever deleted.

Times are UTC and aware. Ids of submissions are random, so that they tell nothing of others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, TypeDecorator, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Moment(TypeDecorator[datetime]):
    """A moment as microseconds since 1970 in UTC: sorts and compares alike in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database; a moment without a zone is a mistake."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; expected an aware moment")
        since = value - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else datetime.fromtimestamp(value / 1_000_000, UTC)


def now() -> datetime:
    """The current moment."""
    return datetime.now(UTC)


class Row(DeclarativeBase):
    """A row of any table."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: Moment, dict[str, Any]: JSON, list[Any]: JSON}


class Person(Row):
    """Somebody who can sign in."""

    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str]
    admin: Mapped[bool] = mapped_column(default=False)
    """May do everything an organizer may, of every challenge."""
    created: Mapped[datetime] = mapped_column(default=now)
    disabled: Mapped[datetime | None]


class SignIn(Row):
    """A browser that is signed in."""

    __tablename__ = "sign_in"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
    person: Mapped[Person] = relationship(lazy="joined")


class ApiToken(Row):
    """What a program signs in with."""

    __tablename__ = "api_token"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime] = mapped_column(default=now)
    last_used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]
    person: Mapped[Person] = relationship(lazy="joined")


class Challenge(Row):
    """A challenge as the board runs it."""

    __tablename__ = "challenge"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    title: Mapped[str]
    task: Mapped[str] = mapped_column(String(30))
    yaml: Mapped[str]
    """The challenge file it was added from."""
    description: Mapped[str] = mapped_column(default="")
    """Markdown, as are rules and data."""
    rules: Mapped[str] = mapped_column(default="")
    data: Mapped[str] = mapped_column(default="")
    hidden: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(default=now)
    labels_key: Mapped[str]
    """Of the labels in the file store: a file, or a zip of label maps."""
    labels_name: Mapped[str]
    labels_sha256: Mapped[str] = mapped_column(String(64))
    images_key: Mapped[str | None]
    """Of a few images of the test in the file store, on which predictions are drawn; see `samples`."""
    labels_version: Mapped[int] = mapped_column(default=1)
    """Goes up when labels or the way of scoring change, and with it every score is made anew."""
    shown_version: Mapped[int] = mapped_column(default=1)
    """The version whose scores rank: the last one in which everything has been scored."""
    classes: Mapped[list[Any]]
    split_seed: Mapped[str]
    """Secret: which test ids are in the public part."""
    public_share: Mapped[float] = mapped_column(default=0.5)
    """Share of the test ids in the public part; 1 makes all of them public."""
    metric: Mapped[str]
    """The estimate that entries are ranked by."""
    descending: Mapped[bool] = mapped_column(default=True)
    """Whether more is better."""
    baseline_name: Mapped[str | None]
    baseline_score: Mapped[float | None]
    outside: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What an imported bundle said that the board has no place for."""
    phases: Mapped[list[Phase]] = relationship(order_by="Phase.position", back_populates="challenge")


class Organizer(Row):
    """Who may run a challenge."""

    __tablename__ = "organizer"
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenge.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)


class Phase(Row):
    """A span of time in which a challenge takes submissions, and its quotas."""

    __tablename__ = "phase"
    __table_args__ = (UniqueConstraint("challenge_id", "position"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenge.id"), index=True)
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(60))
    start: Mapped[datetime]
    end: Mapped[datetime | None]
    """None never ends."""
    grace_minutes: Mapped[int] = mapped_column(default=0)
    """After the end, for uploads that are under way; entries in it are marked."""
    per_day: Mapped[int | None]
    """Submissions of a team on a day in UTC."""
    total: Mapped[int | None]
    """Submissions of a team in the phase."""
    shows: Mapped[str] = mapped_column(String(10), default="public")
    """The part of the test whose score is seen while the phase runs: public, all, or hidden for none."""
    final_part: Mapped[str] = mapped_column(String(10), default="private")
    """The part that ranks when the phase has ended: private, public or all."""
    challenge: Mapped[Challenge] = relationship(back_populates="phases")


class Team(Row):
    """Who submits; quotas are the team's. Alone, a person is a team of one."""

    __tablename__ = "team"
    __table_args__ = (UniqueConstraint("challenge_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    challenge_id: Mapped[int] = mapped_column(ForeignKey("challenge.id"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    created: Mapped[datetime] = mapped_column(default=now)
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    challenge: Mapped[Challenge] = relationship()


class Membership(Row):
    """A person's time in a team; open while `left` is None. One open one a person and challenge."""

    __tablename__ = "membership"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    joined: Mapped[datetime] = mapped_column(default=now)
    left: Mapped[datetime | None]
    team: Mapped[Team] = relationship(lazy="joined")
    person: Mapped[Person] = relationship(lazy="joined")


class Invitation(Row):
    """A link that lets whoever has it join a team."""

    __tablename__ = "invitation"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
    revoked: Mapped[datetime | None]
    team: Mapped[Team] = relationship(lazy="joined")


QUEUED, SCORING, SCORED, FAILED, CANCELLED, ERROR = (
    "queued",
    "scoring",
    "scored",
    "failed",
    "cancelled",
    "error",
)
"""States of a submission. Failed is the file's fault, error the board's."""

PENDING = (QUEUED, SCORING)
COUNTED = (*PENDING, SCORED)
"""States that use quota; pending ones until it is known better."""


class Submission(Row):
    """A predictions file that passed the check and was acknowledged."""

    __tablename__ = "submission"
    __table_args__ = (
        UniqueConstraint("team_id", "phase_id", "upload_key"),
        Index("submission_by_phase", "phase_id", "state"),
        Index("submission_by_team", "team_id", "received"),
        Index("submission_to_do", "due", "job"),
    )
    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    phase_id: Mapped[int] = mapped_column(ForeignKey("phase.id"))
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    received: Mapped[datetime] = mapped_column(default=now)
    late: Mapped[bool] = mapped_column(default=False)
    """Received in the phase's grace."""
    file_key: Mapped[str]
    file_name: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    upload_key: Mapped[str] = mapped_column(String(100))
    """Chosen by the sender, or made of the file's hash: the same upload sent twice is one submission."""
    state: Mapped[str] = mapped_column(String(10), default=QUEUED)
    message: Mapped[str] = mapped_column(default="")
    """Why it failed, for its team."""
    due: Mapped[int | None]
    """The version of the labels that it is to be scored with; None when nothing is left to do."""
    job: Mapped[str | None] = mapped_column(String(60))
    """The durable job that is to do it; None until a worker has taken it over."""
    attempts: Mapped[int] = mapped_column(default=0)
    """How often scoring with the version that is due has begun."""
    finished: Mapped[datetime | None]
    pictures_key: Mapped[str | None]
    """Of pictures of its predictions in the file store; see `picturing`."""
    declaration: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Single model or ensemble, data used, parameters, cost, method card, as the team says."""
    chosen: Mapped[bool] = mapped_column(default=False)
    """Stands on the leaderboard in place of the team's best."""
    hidden: Mapped[bool] = mapped_column(default=False)
    disqualified: Mapped[str | None]
    """The reason."""
    qualified: Mapped[bool] = mapped_column(default=False)
    """Report seen and audit passed: may win."""
    phase: Mapped[Phase] = relationship()
    team: Mapped[Team] = relationship()
    person: Mapped[Person] = relationship()
    scores: Mapped[list[Score]] = relationship(back_populates="submission")


class Score(Row):
    """What a submission scored on a part of the test. An older one stays when labels change."""

    __tablename__ = "score"
    __table_args__ = (
        UniqueConstraint("submission_id", "part", "labels_version"),
        # Holds what a leaderboard needs: the rows themselves are large, with their records.
        Index("score_to_rank", "submission_id", "part", "labels_version", "value", "low", "high"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), index=True)
    part: Mapped[str] = mapped_column(String(10))
    """public, private or all."""
    labels_version: Mapped[int]
    made: Mapped[datetime] = mapped_column(default=now)
    value: Mapped[float | None]
    """The headline; None where it is not defined, which never ranks."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    record: Mapped[dict[str, Any]]
    """The whole score as JSON."""
    submission: Mapped[Submission] = relationship(back_populates="scores")


class Attachment(Row):
    """A report or a run's folder that goes with a submission."""

    __tablename__ = "attachment"
    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submission.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))
    """report or run."""
    file_key: Mapped[str]
    file_name: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    pages: Mapped[int | None]
    """Of a report."""
    audit: Mapped[dict[str, Any] | None]
    """Outcome of `vipriors audit` on a run."""
    added: Mapped[datetime] = mapped_column(default=now)


class LogEntry(Row):
    """One thing that somebody did to a board."""

    __tablename__ = "log_entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    """None for the board itself, and for the command line."""
    challenge_id: Mapped[int | None] = mapped_column(ForeignKey("challenge.id"), index=True)
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    person: Mapped[Person | None] = relationship()


class Worker(Row):
    """A process that scores, and when it was last heard of."""

    __tablename__ = "worker"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    started: Mapped[datetime]
    heartbeat: Mapped[datetime]
    version: Mapped[str] = mapped_column(String(30))


class SchemaVersion(Row):
    """Which version of these tables a database holds; one row."""

    __tablename__ = "schema_version"
    version: Mapped[int] = mapped_column(primary_key=True)
