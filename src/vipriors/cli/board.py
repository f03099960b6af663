"""`board event`: the site of a workshop or competition from one text file."""

from __future__ import annotations

import argparse
from pathlib import Path

from vipriors.cli.output import Commands, add_command, answer


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    group = commands.add_parser("board", help="the site of an event")
    board = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    event = add_command(board, "event", event_, "make the site of an event from its text file")
    event.add_argument("file", type=Path, help="YAML, as docs/event.md says")
    event.add_argument("--out", type=Path, metavar="DIR", required=True, help="where the pages go")


def event_(arguments: argparse.Namespace) -> int:
    """`vipriors board event`"""
    from vipriors.board.event.schema import read_event
    from vipriors.board.event.site import build

    files = build(read_event(arguments.file), arguments.out)
    text = f"{arguments.out / 'index.html'}: {len(files)} files"
    return answer(arguments, {"files": [str(file) for file in files]}, text)
