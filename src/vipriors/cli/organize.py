"""`board add`, `rescore`, `mark`, `phase`, …: an organizer's work on the board of this machine.

Whoever may read the board's home folder may do everything; the log says that it was the command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipriors.cli import administer, exchange
from vipriors.cli.boards import add_board_command, open_place, opened
from vipriors.cli.output import Commands, answer
from vipriors.problems import BadInput

if TYPE_CHECKING:
    from vipriors.board.core import Board

MARKS = ("disqualify", "reinstate", "hide", "show", "qualify", "unqualify")


def add_commands(board: Commands) -> None:
    """Adds the commands of this module to those of `board`."""
    add = add_board_command(board, "add", add_, "add a challenge with its hidden labels")
    add.add_argument("challenge", help="its YAML file, or the name of an embedded one")
    add.add_argument("--labels", type=Path, help="of the test, a file or folder (default: from the source)")
    add.add_argument("--source", type=Path, metavar="DIR", help="your copy of the source, for its labels")
    add.add_argument(
        "--phase",
        action="append",
        default=[],
        metavar="FIELD=…,…",
        help="name, start, end, grace (minutes), per-day, total, shows (public, all, hidden), final "
        "(private, public, all); may be repeated (default: one that never ends)",
    )
    add.add_argument(
        "--public-share", type=float, default=0.5, metavar="SHARE", help="of the test (default: 0.5)"
    )
    add.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="a prepared folder, on whose test predictions are drawn",
    )
    add.add_argument("--hidden", action="store_true", help="from everybody but its organizers")
    add.add_argument("--baseline", metavar="NAME=SCORE", help="a line shown beside the entries")
    add.add_argument("--organizer", action="append", default=[], metavar="NAME", help="who may run it")

    rescore = add_board_command(board, "rescore", rescore_, "score every submission of a challenge anew")
    rescore.add_argument("challenge", help="its name")
    rescore.add_argument("--labels", type=Path, help="in place of those there were")

    mark = add_board_command(board, "mark", mark_, "judge a submission")
    mark.add_argument("submission", help="its id")
    mark.add_argument("what", choices=MARKS, help="what is to be done with it")

    phase = add_board_command(board, "phase", phase_, "change a phase, such as its end, or add one")
    phase.add_argument("challenge", help="its name")
    phase.add_argument("phase", help="its name")
    phase.add_argument("fields", metavar="FIELD=…,…", help="as of `board add --phase`; end=never for no end")
    phase.add_argument("--new", action="store_true", help="add it")

    edit = add_board_command(board, "edit", edit_, "change a challenge's pages, baseline or organizers")
    edit.add_argument("challenge", help="its name")
    edit.add_argument("--title", metavar="TEXT", help="shown above its pages")
    for page in ("description", "rules", "data"):
        edit.add_argument(f"--{page}", type=Path, metavar="FILE", help="Markdown")
    edit.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="a prepared folder, on whose test predictions are drawn",
    )
    edit.add_argument("--baseline", metavar="NAME=SCORE", help="`none` takes it away")
    edit.add_argument("--organizer", action="append", default=[], metavar="NAME", help="may run it")
    edit.add_argument("--no-organizer", action="append", default=[], metavar="NAME", help="no more")
    seen = edit.add_mutually_exclusive_group()
    seen.add_argument("--hide", action="store_true", help="from everybody but its organizers")
    seen.add_argument("--show", action="store_true", help="to everybody again")

    merge = add_board_command(board, "merge-teams", merge_teams_, "make two teams one")
    merge.add_argument("challenge", help="its name")
    merge.add_argument("team", help="whose members and submissions go over")
    merge.add_argument("into", help="to this team")

    for command in (rescore, mark, phase, edit, merge):
        command.add_argument("--reason", default="", help="for the log; a disqualified team is told")

    administer.add_commands(board)
    exchange.add_commands(board)


def add_(arguments: argparse.Namespace) -> int:
    """`vipriors board add`"""
    from sqlalchemy import select

    from vipriors.board import service
    from vipriors.board.models import Person
    from vipriors.board.planning import read_fields, read_plan
    from vipriors.challenges import find

    board = open_place(arguments)
    with board.database.reading() as session:
        people = {person.name: person.id for person in session.scalars(select(Person))}
    if unknown := [name for name in arguments.organizer if name not in people]:
        raise BadInput.single("--organizer", f"there is no person {', '.join(map(repr, unknown))}")
    challenge = service.add_challenge(
        board,
        find(arguments.challenge),
        arguments.labels,
        arguments.source,
        images=arguments.images,
        phases=[read_plan(read_fields(text), f"--phase {text}") for text in arguments.phase],
        public_share=arguments.public_share,
        hidden=arguments.hidden,
        baseline=baseline(arguments.baseline),
        organizers=[people[name] for name in arguments.organizer],
    )
    return answer(arguments, {"challenge": challenge.name}, f"added {challenge.name}: {challenge.title}")


def rescore_(arguments: argparse.Namespace) -> int:
    """`vipriors board rescore`"""
    from vipriors.board import service

    board = opened(arguments)
    count = service.rescore(board, arguments.challenge, arguments.labels, reason=arguments.reason)
    text = f"{count} submissions of {arguments.challenge} will be scored anew by the board's workers"
    return answer(arguments, {"challenge": arguments.challenge, "submissions": count}, text)


def mark_(arguments: argparse.Namespace) -> int:
    """`vipriors board mark`"""
    from vipriors.board import service

    board = opened(arguments)
    act: Callable[..., Any] = getattr(service, arguments.what)
    found = act(board, arguments.submission, reason=arguments.reason)
    said = {"submission": arguments.submission, "done": arguments.what}
    text = f"{arguments.submission}: {arguments.what} done"
    if isinstance(found, service.Qualification):
        audits = {None: "no audit is recorded", True: "an audit passed", False: "its audit FAILED"}
        said |= {"pages": found.pages, "audit": found.audit}
        text += f"; its report has {found.pages} pages; {audits[found.audit]}"
    return answer(arguments, said, text)


def phase_(arguments: argparse.Namespace) -> int:
    """`vipriors board phase`"""
    from vipriors.board import service
    from vipriors.board.planning import read_fields, read_plan

    board, fields = opened(arguments), read_fields(arguments.fields)
    if arguments.new:
        plan = read_plan({"name": arguments.phase, **fields}, f"phase {arguments.phase}")
        phase = service.add_phase(board, arguments.challenge, plan, reason=arguments.reason)
    else:
        id_ = the_phase(board, arguments.challenge, arguments.phase)
        phase = service.change_phase(board, id_, reason=arguments.reason, **fields)
    said = {name: getattr(phase, name) for name in service.PhasePlan.model_fields}
    said = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in said.items()}
    text = ", ".join(f"{name} {'none' if value is None else value}" for name, value in said.items())
    return answer(arguments, said, text)


def edit_(arguments: argparse.Namespace) -> int:
    """`vipriors board edit`"""
    from vipriors.board import service
    from vipriors.data.files import read_bytes

    board, name = opened(arguments), arguments.challenge
    reason = arguments.reason
    pages = {page: getattr(arguments, page) for page in ("description", "rules", "data")}
    texts = {page: read_bytes(file).decode("utf-8", "replace") for page, file in pages.items() if file}
    if arguments.title is not None:
        texts["title"] = arguments.title
    changed: list[str] = []
    if texts:
        service.edit_pages(board, name, reason=reason, by=None, **texts)
        changed += texts
    if arguments.baseline is not None:
        service.set_baseline(board, name, baseline(arguments.baseline), reason=reason)
        changed.append("baseline")
    if arguments.images is not None:
        service.set_images(board, name, arguments.images, reason=reason)
        changed.append("images")
    if arguments.hide or arguments.show:
        service.hide_challenge(board, name, arguments.hide, reason=reason)
        changed.append("hidden" if arguments.hide else "shown")
    for person in arguments.organizer:
        service.make_organizer(board, name, person)
        changed.append(f"organizer {person}")
    for person in arguments.no_organizer:
        service.remove_organizer(board, name, person)
        changed.append(f"no organizer {person}")
    if not changed:
        raise BadInput.single("board edit", "nothing to change was given; see --help")
    return answer(arguments, {"challenge": name, "changed": changed}, f"{name}: {', '.join(changed)}")


def merge_teams_(arguments: argparse.Namespace) -> int:
    """`vipriors board merge-teams`"""
    from sqlalchemy import select

    from vipriors.board import service
    from vipriors.board.models import Challenge, Team

    board = opened(arguments)
    with board.database.reading() as session:
        of = select(Team).join(Challenge).where(Challenge.name == arguments.challenge)
        teams = {team.name: team.id for team in session.scalars(of)}
    for name in (arguments.team, arguments.into):
        if name not in teams:
            raise BadInput.single(f"team {name!r}", f"there is none in challenge {arguments.challenge}")
    service.merge_teams(board, teams[arguments.team], teams[arguments.into], reason=arguments.reason)
    said = {"team": arguments.team, "into": arguments.into}
    return answer(arguments, said, f"{arguments.team} is {arguments.into} now")


def baseline(text: str | None) -> tuple[str, float] | None:
    """`NAME=SCORE`; None for none.

    Raises:
        BadInput: it is something else.
    """
    if text in (None, "none"):
        return None
    name, _, score = str(text).rpartition("=")
    try:
        return name, float(score)
    except ValueError:
        raise BadInput.single("--baseline", f"{text!r}; expected NAME=SCORE, such as SVM=0.81") from None


def the_phase(board: Board, challenge: str, name: str) -> int:
    """The id of a phase.

    Raises:
        NotFound: there is none of this name.
    """
    from vipriors.board import viewing

    with board.database.reading() as session:
        return viewing.phase(session, viewing.Viewer(0, admin=True), challenge, name).id
