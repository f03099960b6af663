"""Takes over what `archive` wrote: all of it, or nothing where a challenge or submission is here already.

Submissions keep their ids. People who are known here by their email address are the same people; others come
with their name, or one like it where the name is taken. Nobody becomes an administrator or can sign in by an
archive without accounts.

Without labels a challenge shows what it showed, and takes no submissions until `rescore` gets its labels.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from vipriors.board.acting import may_administer, note
from vipriors.board.core import Board
from vipriors.board.exchange.archive import KIND, LABELS_KIND, TABLES
from vipriors.board.exchange.reading import open_archive, table_of, take_files, take_labels
from vipriors.board.jobs import SYSTEM_ERROR
from vipriors.board.models import (
    ERROR,
    PENDING,
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
)
from vipriors.board.people import LONGEST_NAME
from vipriors.problems import BadInput, Problem

NO_PASSWORD = "none"


@dataclass
class Restored:
    """What was taken over.

    Attributes:
        challenges: names.
        rows: how many of each table.
        known: people who were here already.
        renamed: people whose name was taken: as they were called, and as they are.
        without_labels: names of challenges whose labels are missing.
    """

    challenges: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    without_labels: list[str] = field(default_factory=list)


def import_archive(
    board: Board, file: Path, labels: Path | None = None, *, by: int | None = None
) -> Restored:
    """Takes an archive over.

    Args:
        board: the board.
        file: the archive.
        labels: the second file, with labels.
        by: who does it, an administrator; None for the command line.

    Raises:
        Forbidden: the person is no administrator.
        BadInput: the archive is damaged, of another version, or something in it is here already. Nothing has
            changed then.
    """
    with open_archive(file, "board.json", KIND) as (archive, about):
        found = {model: list(table_of(archive, model, file)) for model in TABLES}
        _refuse_what_is_here(board, found)
        secret = {}
        if labels is not None:
            with open_archive(labels, "labels.json", LABELS_KIND) as (hidden, known):
                secret = take_labels(board, hidden, known, labels)
        keys = take_files(board, archive, found, file)
    try:
        with board.database.writing() as session, session.begin():
            may_administer(session, by)
            taking = _Taking(session, found, keys, secret, bool(about.get("accounts")))
            restored = taking.all()
            for name in restored.challenges:
                challenge = session.scalars(select(Challenge).where(Challenge.name == name)).one()
                note(session, by, challenge, "import challenge", name, archive=file.name)
    except IntegrityError as error:
        raise BadInput.single(file, f"its rows contradict each other: {error.orig}") from None
    return restored


class _Taking:
    """Adds the rows of an archive, whose numbers are others here."""

    def __init__(
        self,
        session: Session,
        found: dict[type[Row], list[dict[str, Any]]],
        keys: dict[str, str],
        secret: dict[str, dict[str, str]],
        accounts: bool,
    ):
        self.session, self.found, self.keys = session, found, keys
        self.secret, self.accounts = secret, accounts
        self.numbers: dict[type[Row], dict[Any, Any]] = {}
        self.restored = Restored()

    def all(self) -> Restored:
        """Adds everything."""
        self._people()
        self._add(Challenge, self._challenge)
        self.restored.challenges = [row["name"] for row in self.found[Challenge]]
        people, challenges = ("person_id", Person), ("challenge_id", Challenge)
        self._add(Organizer, None, challenges, people)
        self._add(Phase, None, challenges)
        self._add(Team, lambda row: {"merged_into_id": None}, challenges)
        self._add(Membership, None, ("team_id", Team), people)
        self._add(Submission, self._submission, ("phase_id", Phase), ("team_id", Team), people)
        self._add(Score, None, ("submission_id", Submission))
        self._add(Attachment, self._attachment, ("submission_id", Submission))
        self._add(LogEntry, None, challenges, people)
        for row in self.found[Team]:
            if row["merged_into_id"] is not None:
                team = self.session.get_one(Team, self._here(Team, row["id"]))
                team.merged_into_id = self._here(Team, row["merged_into_id"])
        return self.restored

    def _add(
        self,
        model: type[Row],
        changes: Callable[[dict[str, Any]], dict[str, Any]] | None,
        *references: tuple[str, type[Row]],
    ) -> None:
        """Adds the rows of a table, with its references as they are here."""
        numbers = self.numbers[model] = {}
        for row in self.found[model]:
            values = {**row, **(changes(row) if changes else {})}
            for column, to in references:
                values[column] = self._here(to, row[column])
            old = row.get("id")
            if isinstance(old, int):
                del values["id"]
            made = model(**values)
            self.session.add(made)
            if isinstance(made, Challenge | Phase | Team):
                self.session.flush()
                numbers[old] = made.id
            elif isinstance(made, Submission):
                numbers[old] = made.id
        self.session.flush()
        self.restored.rows[model.__tablename__] = len(self.found[model])

    def _here(self, model: type[Row], old: Any) -> Any:
        if old is None:
            return None
        if old not in self.numbers[model]:
            raise BadInput.single("archive", f"refers to {model.__tablename__} {old!r}, which is not in it")
        return self.numbers[model][old]

    def _people(self) -> None:
        numbers = self.numbers[Person] = {}
        names = set(self.session.scalars(select(Person.name)))
        for row in self.found[Person]:
            person = self.session.scalar(select(Person).where(Person.email == row["email"]))
            if person is not None:
                self.restored.known.append(row["name"])
            else:
                name = _free(row["name"], names)
                if name != row["name"]:
                    self.restored.renamed[row["name"]] = name
                values = {**row, "name": name}
                del values["id"]
                if not self.accounts:
                    values |= {"password_hash": NO_PASSWORD, "admin": False}
                person = Person(**values)
                self.session.add(person)
                self.session.flush()
                names.add(name)
            numbers[row["id"]] = person.id
        self.restored.rows["person"] = len(self.found[Person]) - len(self.restored.known)

    def _challenge(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["name"] in self.secret:
            return {**self.secret[row["name"]], "images_key": None}
        self.restored.without_labels.append(row["name"])
        return {"labels_key": "", "split_seed": secrets.token_hex(16), "images_key": None}

    def _submission(self, row: dict[str, Any]) -> dict[str, Any]:
        changes = {"file_key": self.keys[row["file_key"]], "job": None, "attempts": 0}
        changes |= {"pictures_key": None}
        if self.restored.without_labels and row["state"] in PENDING:
            changes |= {"state": ERROR, "message": SYSTEM_ERROR, "due": None}
        elif self.restored.without_labels:
            changes |= {"due": None}
        return changes

    def _attachment(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"file_key": self.keys[row["file_key"]]}


def _refuse_what_is_here(board: Board, found: dict[type[Row], list[dict[str, Any]]]) -> None:
    names = {row["name"] for row in found[Challenge]}
    ids = {row["id"] for row in found[Submission]}
    with board.database.reading() as session:
        here = names & set(session.scalars(select(Challenge.name)))
        sent = ids & set(session.scalars(select(Submission.id)))
    problems = [Problem(f"challenge {name}", "is on this board already") for name in sorted(here)]
    if sent and not here:
        problems.append(Problem("archive", f"{len(sent)} of its submissions are on this board already"))
    if problems:
        raise BadInput(problems)


def _free(name: str, names: set[str]) -> str:
    free, number = name, 1
    while free in names:
        number += 1
        free = f"{name[: LONGEST_NAME - 5]} {number}"
    return free
