"""What commands on a board of this machine share: which board it is, and what it answers when it will not."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipriors.cli.output import Commands, add_command
from vipriors.problems import BadInput

if TYPE_CHECKING:
    from vipriors.board.core import Board


def add_board_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    """Adds a command that `run` carries out on a board."""

    def carry_out(arguments: argparse.Namespace) -> int:
        from vipriors.board.core import Forbidden, NotFound

        try:
            return run(arguments)
        except NotFound as error:
            raise BadInput.single(error, "there is none on this board") from None
        except Forbidden as error:
            raise BadInput.single("board", str(error)) from None

    added = add_command(commands, name, carry_out, summary)
    add_place(added)
    return added


def add_place(command: argparse.ArgumentParser) -> None:
    """Arguments that say which board; each may be in the environment instead, as `VIPRIORS_BOARD_HOME`."""
    command.add_argument("--home", type=Path, metavar="DIR", help="the board's folder (default: board)")
    command.add_argument(
        "--database", metavar="URL", help="sqlite:///FILE or postgresql://… (default: in DIR)"
    )
    command.add_argument("--files", metavar="URL", help="file://… or s3://… (default: in DIR)")


def open_place(arguments: argparse.Namespace, **settings: Any) -> Board:
    """The board that the arguments of `add_place` name."""
    from vipriors.board.core import open_board
    from vipriors.board.settings import read_settings

    given = {name: getattr(arguments, name) for name in ("home", "database", "files")}
    return open_board(read_settings(**given, **settings))


def opened(arguments: argparse.Namespace) -> Board:
    """The board that a command is about, which must be there.

    Raises:
        BadInput: there is none, its settings are wrong, or it cannot be opened.
    """
    from vipriors.board.settings import read_settings

    settings = read_settings(home=arguments.home, database=arguments.database)
    if not settings.database and not (settings.home / "board.db").exists():
        message = "holds no board; expected a board's folder (--home); `vipriors board init` makes one"
        raise BadInput.single(settings.home, message)
    return open_place(arguments)
