"""`submit`: a predictions file or a run to a board, and what becomes of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipriors.cli.output import Commands, add_command, answer, print_problems, progress
from vipriors.problems import BadInput, Problem

if TYPE_CHECKING:
    from vipriors.board.sending import Entry, Server

INTERRUPTED = 130


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    submit = add_command(
        commands, "submit", submit_, "send predictions or a run to a board, wait for the score"
    )
    submit.add_argument("challenge", help="its name on the board, or the path of its YAML file")
    submit.add_argument(
        "file", type=Path, help="predictions, as they are or in a zip; or a finished run folder"
    )
    submit.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get("VIPRIORS_SERVER"),
        help="the board (default: VIPRIORS_SERVER in the environment)",
    )
    submit.add_argument("--token", help="default: VIPRIORS_TOKEN in the environment, or the one that is kept")
    submit.add_argument("--sign-in", action="store_true", help="ask for a token and keep it for this board")
    submit.add_argument("--phase", metavar="NAME", help="default: the one that is open")
    submit.add_argument("--model", choices=("single", "ensemble"), help="default: single")
    submit.add_argument("--data", metavar="TEXT", help="data that were learned from (default: the run's)")
    submit.add_argument("--parameters", type=int, metavar="N", help="of all models (default: the run's)")
    submit.add_argument("--cost", metavar="TEXT", help="of training, such as '3 h on one V100'")
    submit.add_argument(
        "--gpu-hours", type=float, metavar="N", help="of training (default: the run's, if on a GPU)"
    )
    submit.add_argument("--flops", type=float, metavar="N", help="for one test image (default: the run's)")
    submit.add_argument("--card", type=Path, metavar="FILE", help="method card, in Markdown")
    submit.add_argument(
        "--source", type=Path, metavar="DIR", help="your copy of the source, to check here first"
    )
    submit.add_argument("--no-check", action="store_true", help="let the board alone check the file")
    submit.add_argument("--no-wait", action="store_true", help="do not wait for the score")
    submit.set_defaults(parser=submit)


def submit_(arguments: argparse.Namespace) -> int:
    """`vipriors submit`"""
    if not arguments.server:
        arguments.parser.error("the following arguments are required: --server")
    from vipriors.board.entering import name_of

    sent: dict[str, Any] = {}
    try:
        return _submit(arguments, name_of(arguments.challenge), sent)
    except KeyboardInterrupt:
        if sent:
            _say(f"submission {sent['id']} will be scored all the same; look at {sent['page']}")
        _say("interrupted; the same command goes on from there and sends nothing twice")
        return INTERRUPTED


def _submit(arguments: argparse.Namespace, challenge: str, sent: dict[str, Any]) -> int:
    """Does it; fills `sent` with the submission as soon as there is one."""
    from vipriors.board.sending import Server

    server = Server(arguments.server, _token(arguments))
    if arguments.sign_in:
        name = server.me()["name"]
        _keep_token(server.url, _token(arguments))
        _say(f"signed in as {name}")
    if server.is_open:
        _say(f"{server.url} is not reached over https: others on the way can read the token and the file")
    entry = _entry(arguments, challenge)
    if not arguments.no_check:
        _check(arguments, entry)
    with progress(arguments) as tell:
        made, again = server.submit(entry, lambda done, size: tell("sending", done, size, "bytes"))
    sent.update(made, page=server.page(made["id"]))
    said = f"submission {sent['id']} " + ("was sent before" if again else "is taken")
    if arguments.no_wait:
        return answer(arguments, {**sent, "again": again}, f"{said}: {sent['state']}\n{sent['page']}")
    _say(said)
    with _waiting(arguments) as show:
        ended = server.follow(sent["id"], show)
    return _tell_end(arguments, server, ended, again)


def _entry(arguments: argparse.Namespace, challenge: str) -> Entry:
    """What is sent: the options win over what a run's record says."""
    from vipriors.board.entering import of_run
    from vipriors.board.sending import Entry
    from vipriors.data.files import read_bytes

    file: Path = arguments.file
    declaration: dict[str, Any] = {}
    if file.is_dir():
        file, declaration = of_run(file, challenge)
    names = {"kind": "model", "data": "data", "parameters": "parameters", "cost": "cost"}
    names |= {"gpu_hours": "gpu_hours", "flops": "flops"}
    given = {name: getattr(arguments, option) for name, option in names.items()}
    declaration |= {name: value for name, value in given.items() if value is not None}
    if arguments.card is not None:
        declaration["card"] = read_bytes(arguments.card).decode("utf-8", "replace")
    return Entry(challenge, file, declaration, arguments.phase)


def _check(arguments: argparse.Namespace, entry: Entry) -> None:
    """Finds the problems here that the board would find."""
    from vipriors.board.entering import problems_of

    problems, cannot = problems_of(arguments.challenge, entry.file, arguments.source)
    if problems:
        raise BadInput(problems)
    if cannot:
        _say(f"cannot be checked here, the board does it ({cannot})")


def _tell_end(arguments: argparse.Namespace, server: Server, ended: dict[str, Any], again: bool) -> int:
    place = f"submission {ended['id']}"
    if ended["state"] != "scored":
        texts = ended["message"].splitlines() or [f"is {ended['state']}"]
        return print_problems(arguments, [Problem(place, text) for text in texts])
    standing = server.standing(ended)
    rank, teams = standing or (None, None)
    page = server.page(ended["id"])
    value = {**ended, "again": again, "page": page, "rank": rank, "teams": teams}
    lines = [
        f"{score['part']:8} {score['metric']} {_score(score)}"
        for score in ended["scores"]
        if score["value"] is not None
    ]
    if not lines:
        lines = ["scored; this phase shows no scores while it runs"]
    if rank is not None:
        lines.append(f"{ended['team']} has rank {rank} of {teams}")
    return answer(arguments, value, "\n".join([*lines, page]))


def _score(score: dict[str, Any]) -> str:
    if score["low"] is None or score["high"] is None:
        return f"{score['value']:.4f}"
    return f"{score['value']:.4f}  (95 % interval {score['low']:.4f} to {score['high']:.4f})"


@contextmanager
def _waiting(arguments: argparse.Namespace) -> Iterator[Any]:
    """Shows the state of a submission that is waited for, on one line of standard error."""
    if arguments.json:
        yield lambda submission: None
        return
    from rich.console import Console

    with Console(stderr=True).status("waiting") as status:

        def show(submission: dict[str, Any]) -> None:
            place = submission["place_in_queue"]
            status.update(submission["state"] + (f", {place} in the queue" if place else ""))

        yield show


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _token(arguments: argparse.Namespace) -> str:
    """The token as an option, in the environment, as it is typed in, or as it is kept."""
    given: str | None = arguments.token or os.environ.get("VIPRIORS_TOKEN")
    if given is None and arguments.sign_in:
        from getpass import getpass

        given = getpass(f"Token, from {arguments.server.rstrip('/')}/account: ")
    if given is None:
        given = _kept_tokens().get(arguments.server.rstrip("/"))
    if given is None:
        expected = "expected --token, VIPRIORS_TOKEN in the environment, or --sign-in"
        raise BadInput.single("token", f"there is none for {arguments.server}; {expected}")
    arguments.token = given.strip()
    return str(arguments.token)


def _tokens_file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "vipriors" / "tokens.json"


def _kept_tokens() -> dict[str, str]:
    try:
        found = json.loads(_tokens_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise BadInput.single(_tokens_file(), "cannot be read; delete it and sign in again") from None
    return {str(url): str(token) for url, token in found.items()} if isinstance(found, dict) else {}


def _keep_token(url: str, token: str) -> None:
    """Keeps a token in a file that its owner alone can read."""
    from vipriors.data.files import os_errors

    file, tokens = _tokens_file(), {**_kept_tokens(), url: token}
    with os_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = file.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            json.dump(tokens, made, indent=1)
        part.replace(file)
