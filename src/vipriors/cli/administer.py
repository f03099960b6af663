"""`board people`, `log` and `audit-outcome`: who has an account, what was done, what an audit found."""

from __future__ import annotations

import argparse
from pathlib import Path

from vipriors.cli.boards import add_board_command, opened
from vipriors.cli.output import Commands, answer
from vipriors.problems import BadInput


def add_commands(board: Commands) -> None:
    """Adds the commands of this module to those of `board`."""
    audit = add_board_command(board, "audit-outcome", audit_outcome_, "record what `vipriors audit` said")
    audit.add_argument("submission", help="its id")
    audit.add_argument("file", type=Path, help="what `vipriors audit RUN --json` printed")

    log = add_board_command(board, "log", log_, "what organizers did, the newest first")
    log.add_argument("challenge", nargs="?", help="all by default")
    log.add_argument("--most", type=int, default=50, metavar="N", help="entries (default: 50)")

    people = add_board_command(board, "people", people_, "who has an account; let somebody do more or less")
    what = people.add_mutually_exclusive_group()
    for option, help_ in (
        ("make-admin", "let a person do everything"),
        ("remove-admin", "no more"),
        ("disable", "keep a person out"),
        ("enable", "let a person in again"),
    ):
        what.add_argument(f"--{option}", metavar="NAME", help=help_)
    people.add_argument("--reason", default="", help="for the log")


def audit_outcome_(arguments: argparse.Namespace) -> int:
    """`vipriors board audit-outcome`"""
    from vipriors.board import service
    from vipriors.board.models import Submission
    from vipriors.runs.records import read_json

    board = opened(arguments)
    with board.database.reading() as session:
        submission = session.get(Submission, arguments.submission)
        found = service.attachments(session, submission) if submission else []
    runs = [each.id for each in found if each.kind == "run"]
    if not runs:
        raise BadInput.single(f"submission {arguments.submission}", "has no run that could be audited")
    kept = service.record_audit(board, runs[-1], read_json(arguments.file))
    assert kept.audit is not None
    text = f"{arguments.submission}: audit {'passed' if kept.audit['passed'] else 'FAILED'}"
    return answer(arguments, {"submission": arguments.submission, "audit": kept.audit}, text)


def log_(arguments: argparse.Namespace) -> int:
    """`vipriors board log`"""
    from vipriors.board import service, viewing

    board = opened(arguments)
    with board.database.reading() as session:
        challenge = None
        if arguments.challenge is not None:
            challenge = viewing.challenge(session, viewing.Viewer(0, admin=True), arguments.challenge)
        entries = [
            {
                "at": entry.at.isoformat(timespec="seconds"),
                "by": entry.person.name if entry.person else None,
                "action": entry.action,
                "subject": entry.subject,
                **entry.detail,
            }
            for entry in service.log(session, challenge, arguments.most)
        ]
    lines = []
    for entry in entries:
        reason = f": {entry['reason']}" if entry.get("reason") else ""
        lines.append(
            f"{entry['at']}  {entry['by'] or 'command line'}  {entry['action']} {entry['subject']}{reason}"
        )
    return answer(arguments, {"log": entries}, "\n".join(lines) or "nothing yet")


def people_(arguments: argparse.Namespace) -> int:
    """`vipriors board people`"""
    from sqlalchemy import select

    from vipriors.board import service
    from vipriors.board.models import Person

    board = opened(arguments)
    if arguments.make_admin:
        service.make_admin(board, arguments.make_admin)
    if arguments.remove_admin:
        service.remove_admin(board, arguments.remove_admin)
    if arguments.disable:
        service.disable(board, arguments.disable, reason=arguments.reason)
    if arguments.enable:
        service.enable(board, arguments.enable, reason=arguments.reason)
    with board.database.reading() as session:
        people = [
            {
                "name": person.name,
                "email": person.email,
                "admin": person.admin,
                "disabled": person.disabled is not None,
                "since": person.created.isoformat(timespec="seconds"),
            }
            for person in session.scalars(select(Person).order_by(Person.id))
        ]
    lines = [
        f"{person['name']} <{person['email']}>"
        + ", admin" * bool(person["admin"])
        + ", disabled" * bool(person["disabled"])
        for person in people
    ]
    return answer(arguments, {"people": people}, "\n".join(lines) or "nobody has an account yet")
