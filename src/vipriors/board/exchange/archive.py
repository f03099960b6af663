"""Writes all of a board, or of one challenge, as a zip that another board takes over (see `restoring`).

    board.json                  what this is, and of which version
    tables/TABLE.jsonl          a line for each row
    files/KEY                   submissions and attachments

Labels are not in it, nor are images of the test and what was drawn on them. With `labels` the labels go to a
second file, which holds the secret of the split, too:

    labels.json                 of each challenge the secrets
    files/KEY                   labels

People come with their names and email addresses, so that they can be told apart; what they sign in with is
left out unless asked for. Sign-ins, tokens and invitations never come along.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

import vipriors
from vipriors.board.core import Board, NotFound
from vipriors.board.database import VERSION
from vipriors.board.exchange.rows import write_rows
from vipriors.board.models import (
    Attachment,
    Challenge,
    LogEntry,
    Membership,
    Organizer,
    Person,
    Phase,
    Row,
    Score,
    Submission,
    Team,
    now,
)
from vipriors.board.store import CHUNK
from vipriors.data.files import os_errors, temporary_name
from vipriors.problems import BadInput

KIND, LABELS_KIND = "vipriors board", "vipriors board labels"

TABLES: tuple[type[Row], ...] = (
    Person, Challenge, Organizer, Phase, Team, Membership, Submission, Score, Attachment, LogEntry,
)  # fmt: skip
"""In an order in which each row comes after those that it refers to."""

SECRET = {
    Person: ("password_hash",),
    Challenge: ("labels_key", "split_seed", "images_key"),
    Submission: ("pictures_key",),
}


@dataclass(frozen=True)
class Exported:
    """What was written: how many rows of each table, and files."""

    rows: dict[str, int]
    files: int


def export_archive(
    board: Board,
    out: Path,
    *,
    challenge: str | None = None,
    labels: Path | None = None,
    accounts: bool = False,
) -> Exported:
    """Writes an archive, while the board goes on.

    Args:
        board: the board.
        out: the zip; whole, or not there at all.
        challenge: name of the only one to take; all by default.
        labels: where labels go, as a second zip; left out by default.
        accounts: whether people can sign in as before on the other board, and administrators stay so.

    Raises:
        NotFound: there is no such challenge.
        BadInput: a file cannot be written, or the board has no labels of a challenge.
    """
    with board.database.reading() as session:
        if board.database.engine.dialect.name == "postgresql":  # SQLite reads one state of things anyway
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        challenges = _challenges(session, challenge)
        if labels is not None:
            _write_labels(board, labels, challenges)
        ids = [each.id for each in challenges]
        with os_errors(out):
            part = temporary_name(out)
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
                about = {"kind": KIND, "version": VERSION, "made": now().isoformat()}
                about |= {"by": f"vipriors {vipriors.__version__}", "accounts": accounts}
                archive.writestr("board.json", json.dumps(about, indent=1))
                rows = {}
                for model in TABLES:
                    blank = [
                        name for name in SECRET.get(model, ()) if name != "password_hash" or not accounts
                    ]
                    with archive.open(f"tables/{model.__tablename__}.jsonl", "w", force_zip64=True) as file:
                        found = session.scalars(_of(model, ids, everything=challenge is None))
                        rows[model.__tablename__] = write_rows(found, file, blank)
                keys = _file_keys(session, ids)
                for key in keys:
                    _copy(board, key, archive)
            part.replace(out)
    return Exported(rows, len(keys))


def _challenges(session: Session, name: str | None) -> Sequence[Challenge]:
    wanted = select(Challenge).order_by(Challenge.id)
    if name is not None:
        wanted = wanted.where(Challenge.name == name)
    found = session.scalars(wanted).all()
    if name is not None and not found:
        raise NotFound(f"challenge {name!r}")
    return found


def _of(model: type[Row], challenges: Sequence[int], everything: bool) -> Select[Any]:
    """The rows of a table that belong to some challenges, a thousand at a time."""
    phases = select(Phase.id).where(Phase.challenge_id.in_(challenges))
    teams = select(Team.id).where(Team.challenge_id.in_(challenges))
    submissions = select(Submission.id).where(Submission.phase_id.in_(phases))
    which = {
        Challenge: Challenge.id.in_(challenges),
        Organizer: Organizer.challenge_id.in_(challenges),
        Phase: Phase.challenge_id.in_(challenges),
        Team: Team.challenge_id.in_(challenges),
        Membership: Membership.team_id.in_(teams),
        Submission: Submission.phase_id.in_(phases),
        Score: Score.submission_id.in_(submissions),
        Attachment: Attachment.submission_id.in_(submissions),
        LogEntry: LogEntry.challenge_id.in_(challenges),
        Person: or_(
            Person.id.in_(select(Membership.person_id).where(Membership.team_id.in_(teams))),
            Person.id.in_(select(Submission.person_id).where(Submission.phase_id.in_(phases))),
            Person.id.in_(select(Organizer.person_id).where(Organizer.challenge_id.in_(challenges))),
            Person.id.in_(select(LogEntry.person_id).where(LogEntry.challenge_id.in_(challenges))),
        ),
    }
    rows: Select[Any] = select(model).order_by(*model.__table__.primary_key)  # type: ignore[attr-defined]
    rows = rows.execution_options(yield_per=1000)
    return rows if everything and model in (Person, LogEntry) else rows.where(which[model])


def _file_keys(session: Session, challenges: Sequence[int]) -> list[str]:
    phases = select(Phase.id).where(Phase.challenge_id.in_(challenges))
    submissions = select(Submission.id).where(Submission.phase_id.in_(phases))
    keys = session.scalars(select(Submission.file_key).where(Submission.phase_id.in_(phases))).all()
    attached = select(Attachment.file_key).where(Attachment.submission_id.in_(submissions))
    return sorted({*keys, *session.scalars(attached)})


def _write_labels(board: Board, out: Path, challenges: Iterable[Challenge]) -> None:
    secrets = {}
    with os_errors(out):
        part = temporary_name(out)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            for each in challenges:
                if not each.labels_key:
                    raise BadInput.single(f"challenge {each.name}", "has no labels on this board")
                secrets[each.name] = {
                    "labels_key": each.labels_key,
                    "labels_sha256": each.labels_sha256,
                    "split_seed": each.split_seed,
                }
                _copy(board, each.labels_key, archive)
            about = {"kind": LABELS_KIND, "version": VERSION, "challenges": secrets}
            archive.writestr("labels.json", json.dumps(about, indent=1))
        part.chmod(0o600)
        part.replace(out)


def _copy(board: Board, key: str, archive: zipfile.ZipFile) -> None:
    with board.files.open(key) as file, archive.open(f"files/{key}", "w", force_zip64=True) as to:
        shutil.copyfileobj(file, to, CHUNK)
