"""`board leaderboard`, `export` and `import`: what comes to a board of this machine, and what leaves it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vipriors.cli.boards import add_board_command, open_place, opened
from vipriors.cli.output import Commands, answer
from vipriors.problems import BadInput

if TYPE_CHECKING:
    from vipriors.board.models import Phase


def add_commands(board: Commands) -> None:
    """Adds the commands of this module to those of `board`."""
    leaderboard = add_board_command(board, "leaderboard", leaderboard_, "who stands where, with scores")
    leaderboard.add_argument("challenge", help="its name")
    leaderboard.add_argument("--phase", metavar="NAME", help="default: the one that runs, or the last")
    leaderboard.add_argument(
        "--part", choices=("public", "private", "all"), help="of the test (default: the one that is shown)"
    )
    leaderboard.add_argument("--csv", action="store_true", help="print a CSV table")

    export = add_board_command(board, "export", export_, "write everything to an archive, or a static site")
    export.add_argument("out", nargs="?", type=Path, metavar="OUT.zip", help="what `board import` reads")
    export.add_argument("--challenge", metavar="NAME", help="only this one")
    export.add_argument("--labels", type=Path, metavar="FILE", help="labels and secrets, as a second zip")
    export.add_argument("--accounts", action="store_true", help="with hashes of passwords, and who is admin")
    export.add_argument("--static", type=Path, metavar="DIR", help="the public pages, to need no server")

    import_ = add_board_command(board, "import", import__, "take over an archive, or a bundle made elsewhere")
    import_.add_argument("bundle", type=Path, help="of a board, Codabench, CodaLab or EvalAI; zip or folder")
    import_.add_argument("--labels", type=Path, metavar="FILE", help="an archive's second zip, or the test's")
    import_.add_argument("--task", help="that scores a bundle's predictions")
    import_.add_argument("--name", help="of a bundle's challenge (default: from its title)")
    import_.add_argument("--classes", metavar="A,B,…", help="of a bundle's labels, if only numbered")
    import_.add_argument(
        "--public-share", type=float, default=1.0, metavar="SHARE", help="of a bundle's test (default: 1)"
    )


def leaderboard_(arguments: argparse.Namespace) -> int:
    """`vipriors board leaderboard`"""
    from vipriors.board import service, viewing
    from vipriors.board.models import now
    from vipriors.board.table import csv_of
    from vipriors.board.web.api_models import Leaderboard

    board = opened(arguments)
    admin = viewing.Viewer(0, admin=True)
    with board.database.reading() as session:
        challenge = viewing.challenge(session, admin, arguments.challenge)
        if arguments.phase is not None:
            phase = viewing.phase(session, admin, arguments.challenge, arguments.phase)
        else:
            phase = current_phase(challenge.phases, now())
        found = service.leaderboard(session, phase, part=arguments.part)
        text = csv_of(found)
        as_json = json.loads(Leaderboard.of(phase, found).model_dump_json())
    if arguments.csv:
        print(text, end="")
        return 0
    lines = [f"{challenge.title}, {phase.name}: {challenge.metric} on the {found.part} part"]
    for line in found.lines:
        entry = line.place.entry
        rank = "–" if line.place.rank is None else str(line.place.rank)
        value = "–" if entry.value is None else f"{entry.value:.4f}"
        interval = "" if entry.low is None else f"  ({entry.low:.4f} to {entry.high:.4f})"
        lines.append(f"{rank:>4}  {value}{interval}  {line.team}")
    return answer(arguments, as_json, "\n".join(lines))


def current_phase(phases: Sequence[Phase], at: datetime) -> Phase:
    """The phase that runs, else the last one that has begun, else the first.

    Raises:
        BadInput: there is none.
    """
    if not phases:
        raise BadInput.single("challenge", "has no phases")
    begun = [phase for phase in phases if phase.start <= at]
    running = [phase for phase in begun if phase.end is None or at <= phase.end]
    return (running or begun[-1:] or list(phases))[0]


def export_(arguments: argparse.Namespace) -> int:
    """`vipriors board export`"""
    if (arguments.out is None) == (arguments.static is None):
        raise BadInput.single("board export", "expected either OUT.zip or --static DIR")
    board = opened(arguments)
    if arguments.static is not None:
        from vipriors.board.exchange.static import export_static

        pages = export_static(board, arguments.static)
        text = f"{arguments.static / 'index.html'}: {len(pages)} files"
        return answer(arguments, {"files": [str(page) for page in pages]}, text)
    from vipriors.board.exchange.archive import export_archive

    written = export_archive(
        board,
        arguments.out,
        challenge=arguments.challenge,
        labels=arguments.labels,
        accounts=arguments.accounts,
    )
    said = {"archive": str(arguments.out), "rows": written.rows, "files": written.files}
    counts = written.rows
    text = f"{arguments.out}: {counts['challenge']} challenges, {counts['submission']} submissions"
    if arguments.labels is None:
        text += "; labels are not in it (--labels)"
    return answer(arguments, said, text)


def import__(arguments: argparse.Namespace) -> int:
    """`vipriors board import`"""
    if arguments.task is None:
        return take_archive(arguments)
    if arguments.labels is None:
        raise BadInput.single("--labels", "is missing; expected the labels of the bundle's test")
    from vipriors.board.exchange.importing import import_bundle

    made = import_bundle(
        open_place(arguments),
        arguments.bundle,
        arguments.task,
        arguments.labels,
        name=arguments.name,
        classes=arguments.classes.split(",") if arguments.classes else None,
        public_share=arguments.public_share,
    )
    plan = made.plan
    said = {
        "challenge": made.challenge.name,
        "format": plan.format,
        "phases": [phase.name for phase in plan.phases],
        "columns": plan.columns,
        "not_taken_over": plan.left,
    }
    lines = [f"added {made.challenge.name}: {made.challenge.title} ({plan.format})"]
    lines += [f"  phase {phase.name}: {phase.start} to {phase.end or 'no end'}" for phase in plan.phases]
    lines += [f"  not taken over: {line}" for line in plan.left]
    return answer(arguments, said, "\n".join(lines))


def take_archive(arguments: argparse.Namespace) -> int:
    """Takes an archive of a board over."""
    from dataclasses import asdict

    from vipriors.board.exchange.restoring import import_archive

    found = import_archive(open_place(arguments), arguments.bundle, arguments.labels)
    lines = [f"added {', '.join(found.challenges)}: {found.rows['submission']} submissions"]
    lines += [f"  {old} is called {new} here" for old, new in found.renamed.items()]
    if found.without_labels:
        lines.append(
            f"  without labels, and so without new submissions: {', '.join(found.without_labels)}; "
            "give them with `vipriors board rescore CHALLENGE --labels FILE`"
        )
    return answer(arguments, asdict(found), "\n".join(lines))
