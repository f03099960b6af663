"""`board`: the server that takes submissions and ranks them; the site of an event."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipriors.cli import organize
from vipriors.cli.boards import add_place, open_place
from vipriors.cli.output import Commands, add_command, answer, print_problems

if TYPE_CHECKING:
    from vipriors.board.core import Board


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    group = commands.add_parser("board", help="take submissions, score and rank them; the site of an event")
    board = group.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = add_command(board, "serve", serve_, "start a board; set it up if there is none")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    serve.add_argument("--no-worker", action="store_true", help="score nothing here; `board worker` does")
    init = add_command(board, "init", init_, "set a board up without starting it")
    for command in (serve, init):
        command.add_argument("--empty", action="store_true", help="without the embedded challenges")
        command.add_argument("--base-url", metavar="URL", help="as people reach the board")
    worker = add_command(board, "worker", worker_, "score what a board has taken, beside others or alone")
    for command in (serve, init, worker):
        add_place(command)

    organize.add_commands(board)
    event = add_command(board, "event", event_, "make the site of an event from its text file")
    event.add_argument("file", type=Path, help="YAML, as docs/event.md says")
    event.add_argument("--out", type=Path, metavar="DIR", required=True, help="where the pages go")
    event.add_argument("--fetch", action="store_true", help="take leaderboards from the boards it names")


def serve_(arguments: argparse.Namespace) -> int:
    """`vipriors board serve`"""
    from vipriors.board.web import serving

    listening = serving.listen(arguments.host, arguments.port)
    address = serving.address_of(listening)
    board = open_place(arguments, base_url=arguments.base_url or serving.base_url(address))
    said = {"address": address, **_set_up(arguments, board)}
    text = f"{address} takes submissions; Ctrl-C ends it"
    if said["administrator"]:
        text = f"Sign up as its administrator at {said['administrator']}\n{text}"
    print(json.dumps(said) if arguments.json else text, flush=True)
    serving.serve(board, listening, worker=not arguments.no_worker)
    return 0


def init_(arguments: argparse.Namespace) -> int:
    """`vipriors board init`"""
    board = open_place(arguments, base_url=arguments.base_url)
    said = {"home": str(board.settings.home), **_set_up(arguments, board)}
    text = f"{board.settings.home}: {len(said['added'])} challenges added"
    if said["administrator"]:
        text += f"\nOnce it is served, sign up as its administrator at {said['administrator']}"
    return answer(arguments, said, text)


def worker_(arguments: argparse.Namespace) -> int:
    """`vipriors board worker`"""
    import logging

    from vipriors.board import worker

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    board = open_place(arguments)
    if not arguments.json:
        print(f"{board.settings.worker} scores; Ctrl-C ends it", flush=True)
    worker.run(board)
    return answer(arguments, {"worker": board.settings.worker}, "ended")


def event_(arguments: argparse.Namespace) -> int:
    """`vipriors board event`"""
    from vipriors.board.event.running import gather
    from vipriors.board.event.schema import read_event
    from vipriors.board.event.site import build

    event = read_event(arguments.file)
    gathered = gather(event, arguments.out, fetch=arguments.fetch)
    files = build(event, arguments.out, gathered.leaderboards)
    if gathered.problems:
        return print_problems(arguments, gathered.problems)
    text = f"{arguments.out / 'index.html'}: {len(files)} files"
    return answer(arguments, {"files": [str(file) for file in files]}, text)


def _set_up(arguments: argparse.Namespace, board: Board) -> dict[str, Any]:
    """Adds what a new board has, and says where its first administrator signs up."""
    from vipriors.board.signing import first_admin_token
    from vipriors.board.starting import add_embedded

    def tell(name: str) -> None:
        if not arguments.json:
            print(f"adding {name}", file=sys.stderr, flush=True)

    added = [] if arguments.empty else add_embedded(board, tell)
    token = first_admin_token(board)
    link = f"{board.settings.base_url.rstrip('/')}/sign-up?key={token}" if token else None
    return {"added": added, "administrator": link}
