"""`check` and `score`: a predictions file against a test index."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vipriors.cli.output import Commands, add_command, answer, print_problems

if TYPE_CHECKING:
    from vipriors.challenges.hidden import HiddenTest

WHAT = "a challenge, or with --labels a task such as `classification`"


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    check = add_command(commands, "check", check_, "list every problem of a predictions file")
    score = add_command(commands, "score", score_, "score a predictions file over the whole test index")
    check.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="the prepared folder, which says what to cover where the test labels are not at hand",
    )
    for command in (check, score):
        command.add_argument("challenge", help=WHAT)
        command.add_argument("file", type=Path, help="the predictions")
        command.add_argument("--labels", type=Path, metavar="FILE", help="default: the challenge's own")
        command.add_argument("--classes", metavar="NAME,…", help="names, where the labels do not give them")
        command.add_argument("--source", type=Path, metavar="DIR", help="your copy of the challenge's source")


def _hidden_test(arguments: argparse.Namespace) -> HiddenTest:
    from vipriors.challenges.hidden import find_hidden_test

    classes = arguments.classes.split(",") if arguments.classes else None
    return find_hidden_test(arguments.challenge, arguments.labels, arguments.source, classes)


def check_(arguments: argparse.Namespace) -> int:
    """`vipriors check`"""
    if arguments.data is not None:
        from vipriors.challenges import public

        problems, covered = public.check(arguments.challenge, arguments.file, arguments.data)
    else:
        test = _hidden_test(arguments)
        problems, covered = test.check(arguments.file), len(test.truth.index.ids)
    if problems:
        return print_problems(arguments, problems)
    return answer(arguments, {"problems": []}, f"{arguments.file}: a good submission, covers all {covered}")


def score_(arguments: argparse.Namespace) -> int:
    """`vipriors score`"""
    test = _hidden_test(arguments)
    score = test.score(arguments.file)
    width = max(map(len, score.estimates))
    lines = [
        f"{name:{width}}  {estimate.value:.4f}  (95 % interval {estimate.low:.4f} to {estimate.high:.4f})"
        for name, estimate in score.estimates.items()
    ]
    return answer(arguments, score.to_json(), "\n".join(lines))
