"""The commands. Thin: each reads its arguments, calls one function and prints what it returns.

Every command takes `--json` (one JSON object on standard output, no progress). Exit status: 0 done; 1 the
input is bad, with every problem listed; 2 wrong usage; 130 interrupted, to be continued with `--resume`.
What a command needs is imported inside it, so that `--help` and `list` answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import vipriors
from vipriors.cli import board, claim, data, diagnose, measure, run, score, show, submit, use
from vipriors.cli.output import print_problems
from vipriors.problems import BadInput, Problem

INTERRUPTED = 130
EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "httpx": "submit",
    "ray": "bench",
    **dict.fromkeys(("argon2", "dbos", "fastapi", "fsspec", "markdown_it", "nh3"), "board"),
    **dict.fromkeys(("psycopg", "pypdf", "python_multipart", "sqlalchemy", "uvicorn"), "board"),
}
"""What a core install lacks, and the extra that brings it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    arguments = parser().parse_args(argv)
    try:
        try:
            return int(arguments.command(arguments))
        except BadInput as error:
            return print_problems(arguments, error.problems)
        except FloatingPointError as error:
            return print_problems(arguments, [Problem("training", str(error))])
        except ModuleNotFoundError as error:
            extra = EXTRAS.get(error.name or "")
            if extra is None:
                raise
            message = f"is not installed; expected pip install 'vipriors[{extra}]'"
            return print_problems(arguments, [Problem(f"package {error.name}", message)])
    except KeyboardInterrupt as error:
        print(f"{error or 'interrupted'}; the same command with --resume goes on from there", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as in `vipriors list | head -1`; keep the exit quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    top = argparse.ArgumentParser(
        prog="vipriors", description="The workbench for data-efficient computer vision."
    )
    top.add_argument("--version", action="version", version=f"vipriors {vipriors.__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (show, data, run, score, submit, use, diagnose, measure, claim, board):
        module.add_commands(commands)
    return top
