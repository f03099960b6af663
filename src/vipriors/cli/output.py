"""How commands speak: arguments they share, answers as text or JSON, problems, progress."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipriors.problems import Problem

if TYPE_CHECKING:
    from vipriors.train import Execution

Commands = Any
"""What `add_subparsers` returns; argparse gives its class no public name."""

Progress = Callable[[str, int, int, str], None]
"""What is being done, how much is done, how much there is, a few words."""


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    """Adds a command that `run` carries out."""
    added: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    added.add_argument("--json", action="store_true", help="print one JSON object and no progress")
    added.set_defaults(command=run)
    return added


def add_subset(to: argparse.ArgumentParser) -> None:
    """Arguments that say which images a challenge's run learns from."""
    to.add_argument(
        "--images-per-class",
        "--images",
        type=int,
        metavar="N",
        help="training and validation images a class; in all where they have no class",
    )
    to.add_argument("--subset-seed", type=int, metavar="S", help="which subset is drawn")
    to.add_argument("--source", type=Path, metavar="DIR", help="your copy of the source; never changed")


def add_execution(to: argparse.ArgumentParser) -> None:
    """Arguments that say where and how the arithmetic is done."""
    to.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    to.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    to.add_argument("--compile", action="store_true", help="compile the network: slower to start")
    to.add_argument("--threads", type=int, metavar="N", help="CPU threads")


def execution(arguments: argparse.Namespace) -> Execution | None:
    """Device and precision as asked for; None where torch is not installed."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    from vipriors.train import Execution

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return Execution(arguments.device, arguments.precision, arguments.compile)


def answer(arguments: argparse.Namespace, value: Any, text: str) -> int:
    """Prints what a command found, as text or with `--json` as JSON; returns exit status 0."""
    print(json.dumps(value, indent=1) if arguments.json else text)
    return 0


def print_problems(arguments: argparse.Namespace, problems: Sequence[Problem]) -> int:
    """Prints every problem and returns exit status 1."""
    if arguments.json:
        found = [{"place": problem.place, "message": problem.message} for problem in problems]
        print(json.dumps({"problems": found}, indent=1))
    for problem in problems:
        print(problem, file=sys.stderr)
    if len(problems) > 1:
        print(f"{len(problems)} problems", file=sys.stderr)
    return 1


@contextmanager
def progress(arguments: argparse.Namespace) -> Iterator[Progress]:
    """Bars with the time left, one a stage, on standard error; nothing under `--json`."""
    if arguments.json:
        yield lambda stage, done, total, words: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:>9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[words]}"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int, words: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, words=words)
            bars.update(tasks[stage], completed=done, total=total, words=words)

        yield tell
