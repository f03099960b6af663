"""Who may run what, and the log of everything that organizers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vipriors.board.core import Forbidden, NotFound
from vipriors.board.models import Challenge, LogEntry, Person, Phase, Submission, Team
from vipriors.board.people import is_organizer
from vipriors.problems import BadInput

LONGEST_REASON = 2000


def actor(session: Session, by: int | None) -> Person | None:
    """Who acts; None for the command line, which may do everything.

    Raises:
        Forbidden: nobody may act with this account.
    """
    person = None if by is None else session.get(Person, by)
    if by is not None and (person is None or person.disabled is not None):
        raise Forbidden("nobody may act with this account")
    return person


def may_administer(session: Session, by: int | None) -> None:
    """Lets administrators pass, and the command line.

    Raises:
        Forbidden: the person is none.
    """
    person = actor(session, by)
    if person is not None and not person.admin:
        raise Forbidden("only an administrator of the board may do this")


def challenge_to_run(session: Session, by: int | None, name: str) -> Challenge:
    """A challenge that somebody runs.

    Raises:
        NotFound: there is none of this name, as far as this person may know.
        Forbidden: the person is no organizer of it.
    """
    challenge = session.scalar(select(Challenge).where(Challenge.name == name))
    if challenge is None:
        raise NotFound(f"challenge {name!r}")
    if not _runs(session, by, challenge):
        if challenge.hidden:
            raise NotFound(f"challenge {name!r}")
        raise Forbidden(f"only an organizer of challenge {name} may do this")
    return challenge


def phase_to_run(session: Session, by: int | None, phase_id: int) -> Phase:
    """A phase of a challenge that somebody runs, locked; else as `challenge_to_run`."""
    phase = session.get(Phase, phase_id, with_for_update=True)
    if phase is None:
        raise NotFound(f"phase {phase_id}")
    challenge_to_run(session, by, phase.challenge.name)
    return phase


def submission_to_judge(session: Session, by: int | None, submission_id: str) -> Submission:
    """A submission to a challenge that somebody runs, locked.

    Raises:
        NotFound: there is none, or the person is no organizer of its challenge.
    """
    submission = session.get(Submission, submission_id, with_for_update=True)
    if submission is None or not _runs(session, by, submission.phase.challenge):
        raise NotFound(f"submission {submission_id}")
    return submission


def teams_to_judge(session: Session, by: int | None, *team_ids: int) -> list[Team]:
    """Teams of challenges that somebody runs, locked, in the order of the ids.

    Raises:
        NotFound: there is one missing, or the person is no organizer of its challenge.
    """
    teams = {}
    for id_ in sorted(team_ids):  # those who lock several do it in one order
        team = session.get(Team, id_, with_for_update=True)
        if team is None or not _runs(session, by, team.challenge):
            raise NotFound(f"team {id_}")
        teams[id_] = team
    return [teams[id_] for id_ in team_ids]


def note(
    session: Session,
    by: int | None,
    challenge: Challenge | None,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    **more: Any,
) -> LogEntry:
    """Writes down what was done: to what, how it was before, how it is now, and why.

    Raises:
        BadInput: the reason is too long.
    """
    if len(reason) > LONGEST_REASON:
        raise BadInput.single(
            "reason", f"has {len(reason):,} characters; expected at most {LONGEST_REASON:,}"
        )
    detail = {"reason": reason} | {"before": before, "after": after} | more
    entry = LogEntry(
        person_id=by,
        challenge_id=challenge.id if challenge else None,
        action=action,
        subject=subject,
        detail={key: _plain(value) for key, value in detail.items() if value not in (None, "", {})},
    )
    session.add(entry)
    session.flush()
    return entry


def log(session: Session, challenge: Challenge | None = None, most: int | None = None) -> Sequence[LogEntry]:
    """What was done to a challenge, or to the whole board, the newest first.

    Args:
        session: reads.
        challenge: the challenge; None for everything.
        most: how many entries.
    """
    entries = select(LogEntry).order_by(LogEntry.at.desc(), LogEntry.id.desc()).limit(most)
    if challenge is not None:
        entries = entries.where(LogEntry.challenge_id == challenge.id)
    return session.scalars(entries).all()


def _runs(session: Session, by: int | None, challenge: Challenge) -> bool:
    person = actor(session, by)
    return person is None or is_organizer(session, person, challenge)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value
