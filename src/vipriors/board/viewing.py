"""Who may see what. Whatever a viewer may not know of is not found: that it is there is no news either.

Everything that answers a person, pages and programs alike, reads challenges, submissions and scores through
these functions. Anybody may see a challenge that is not hidden. A submission is its team's and the
organizers' alone. Of scores, a team sees the part of the test that the phase shows, and the final part when
the phase has ended; organizers see all, of older versions of the labels too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board.core import NotFound
from vipriors.board.models import Challenge, Membership, Organizer, Person, Phase, Score, Submission, Team
from vipriors.board.parts import PARTS
from vipriors.board.standings import HIDDEN, is_running

FEWEST = 5
"""Test samples of a class below which its numbers are not told: they would tell of single ones."""

DIGITS = 4
"""To which numbers of a class are rounded."""

LOST_STEP = 0.5
"""To which losses of AP in percent are rounded: more than a single object costs where there are many."""

_OF_CLASS = ("class", "category", "n", "pixels")
_NUMBERS_OF_CLASS = ("recall", "top1", "top3", "top5", "iou", "iiou", "AP", "AP50", "AP75")


@dataclass(frozen=True)
class Viewer:
    """Who looks; nobody in particular without an id."""

    person_id: int | None = None
    admin: bool = False


NOBODY = Viewer()


@dataclass(frozen=True)
class Number:
    """A score with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Lost:
    """Where average precision (AP) is lost: all in percent, rounded to `LOST_STEP`.

    Attributes:
        ap: at the overlap `foreground`.
        delta_ap: what each of the six types of error costs.
        special: what all that was wrongly found costs, and all that was not found.
    """

    ap: float
    foreground: float
    delta_ap: dict[str, float]
    special: dict[str, float]


@dataclass(frozen=True)
class Details:
    """What a team may see of its score on a part of the test.

    Attributes:
        part: public, private or all.
        headline: the name of the score that ranks; empty where the part has nothing to score.
        numbers: each score by its name.
        n: test images, clips or queries in the part; None where it is not known.
        per_class: a row for each class: its name, what there is of it, and its numbers, rounded; None where
            they are not defined, or not told because the class has too few samples.
        per_category: the same of groups of classes, where the task has them.
        lost: where it is lost, of tasks that find objects; None where that is not known.
    """

    part: str
    headline: str
    numbers: dict[str, Number]
    n: int | None
    per_class: list[dict[str, Any]]
    per_category: list[dict[str, Any]]
    lost: Lost | None = None


def viewer_of(person: Person | None) -> Viewer:
    """The viewer that a person is. Whose account is disabled sees what everybody sees."""
    if person is None or person.disabled is not None:
        return NOBODY
    return Viewer(person.id, person.admin)


def challenges(session: Session, viewer: Viewer) -> list[Challenge]:
    """The challenges that a viewer may know of, the newest first."""
    every = session.scalars(select(Challenge).order_by(Challenge.created.desc(), Challenge.id.desc()))
    return [each for each in every if not each.hidden or runs(session, viewer, each)]


def challenge(session: Session, viewer: Viewer, name: str) -> Challenge:
    """The challenge of a name.

    Raises:
        NotFound: there is none that this viewer may know of.
    """
    found = session.scalar(select(Challenge).where(Challenge.name == name))
    if found is None or (found.hidden and not runs(session, viewer, found)):
        raise NotFound(f"challenge {name!r}")
    return found


def phase(session: Session, viewer: Viewer, challenge_name: str, name: str) -> Phase:
    """A phase of a challenge.

    Raises:
        NotFound: there is none that this viewer may know of.
    """
    for each in challenge(session, viewer, challenge_name).phases:
        if each.name == name:
            return each
    raise NotFound(f"phase {name!r} of challenge {challenge_name!r}")


def runs(session: Session, viewer: Viewer, challenge: Challenge) -> bool:
    """Whether the viewer is an organizer of a challenge, or an admin."""
    if viewer.person_id is None:
        return False
    return viewer.admin or session.get(Organizer, (challenge.id, viewer.person_id)) is not None


def team(session: Session, viewer: Viewer, challenge: Challenge) -> Team | None:
    """The viewer's own team in a challenge."""
    if viewer.person_id is None:
        return None
    own = select(Team).join(Membership).where(
        Membership.person_id == viewer.person_id,
        Membership.left.is_(None),
        Team.challenge_id == challenge.id,
    )  # fmt: skip
    return session.scalar(own)


def submission(session: Session, viewer: Viewer, id_: str) -> Submission:
    """A submission of the viewer's team, or of a challenge that the viewer runs.

    Raises:
        NotFound: there is none that this viewer may know of.
    """
    found = session.get(Submission, id_)
    if found is None or not _may_see(session, viewer, found):
        raise NotFound(f"submission {id_!r}")
    return found


def own_submissions(
    session: Session, viewer: Viewer, challenge: Challenge, phase: Phase | None = None
) -> list[Submission]:
    """What the viewer's team has sent, the newest first."""
    own = team(session, viewer, challenge)
    if own is None:
        return []
    sent = select(Submission).where(Submission.team_id == own.id)
    if phase is not None:
        sent = sent.where(Submission.phase_id == phase.id)
    return list(session.scalars(sent.order_by(Submission.received.desc(), Submission.id.desc())))


def parts_visible(session: Session, viewer: Viewer, phase: Phase, at: datetime) -> tuple[str, ...]:
    """The parts of the test whose scores the viewer may see at a moment, in the order of `PARTS`."""
    if runs(session, viewer, phase.challenge):
        return PARTS
    seen = {phase.shows} - {HIDDEN}
    if not is_running(phase, at):
        seen.add(phase.final_part)
    return tuple(part for part in PARTS if part in seen)


def scores(session: Session, viewer: Viewer, submission: Submission, at: datetime) -> list[Score]:
    """The scores of a submission that count, on the parts that the viewer may see.

    These are of the version of the labels that ranks; of a submission that has none of it, because it came
    while everything was being scored anew, the newest.

    Raises:
        NotFound: the viewer may not know of the submission.
    """
    if not _may_see(session, viewer, submission):
        raise NotFound(f"submission {submission.id!r}")
    version = _version(session, submission)
    visible = parts_visible(session, viewer, submission.phase, at)
    found = {
        score.part: score for score in _all_scores(session, submission) if score.labels_version == version
    }
    return [found[part] for part in visible if part in found]


def old_scores(session: Session, viewer: Viewer, submission: Submission) -> list[Score]:
    """The scores with other versions of the labels, the newest first; for organizers, others get none."""
    if not runs(session, viewer, submission.phase.challenge):
        return []
    version = _version(session, submission)
    return [score for score in _all_scores(session, submission) if score.labels_version != version]


def details(record: dict[str, Any], part: str) -> Details:
    """What a team may see of a score record: never what was taken for what, or how much it sent of a part.

    A confusion matrix gives away labels: a file that says each class of one image only would read them off
    it. The numbers of what was predicted in a part tell which ids are in it; so errors are not counted.

    Args:
        record: as a `Score` row holds it; empty where the part has nothing to score.
        part: public, private or all.
    """
    behind = record.get("details", {})
    intervals = record.get("intervals", {})
    numbers = {
        name: Number(value, *intervals.get(name, (None, None)))
        for name, value in record.get("scores", {}).items()
    }
    rows = {kind: [_of_class(row) for row in behind.get(kind, [])] for kind in ("per_class", "per_category")}
    n = behind.get("n_test", behind.get("n_images"))
    lost = _lost(record["tide"]) if record.get("tide") else None
    return Details(part, record.get("headline", ""), numbers, n, **rows, lost=lost)


def _lost(tide: dict[str, Any]) -> Lost:
    def told(costs: dict[str, float]) -> dict[str, float]:
        return {kind: _step(cost) for kind, cost in costs.items()}

    return Lost(_step(tide["ap"]), tide["foreground"], told(tide["delta_ap"]), told(tide["special"]))


def _step(value: float) -> float:
    return round(value / LOST_STEP) * LOST_STEP


def _of_class(row: dict[str, Any]) -> dict[str, Any]:
    told = row.get("n") is None or row["n"] >= FEWEST
    shown = {key: row[key] for key in _OF_CLASS if key in row}
    for key in _NUMBERS_OF_CLASS:
        if key in row:
            shown[key] = None if row[key] is None or not told else round(row[key], DIGITS)
    return shown


def _may_see(session: Session, viewer: Viewer, submission: Submission) -> bool:
    of = submission.phase.challenge
    if runs(session, viewer, of):
        return True
    own = team(session, viewer, of)
    return own is not None and own.id == submission.team_id and not of.hidden


def _version(session: Session, submission: Submission) -> int:
    versions = {score.labels_version for score in _all_scores(session, submission)}
    shown = submission.phase.challenge.shown_version
    return shown if shown in versions else max(versions, default=shown)


def _all_scores(session: Session, submission: Submission) -> list[Score]:
    every = select(Score).where(Score.submission_id == submission.id)
    return list(session.scalars(every.order_by(Score.labels_version.desc(), Score.part)))
