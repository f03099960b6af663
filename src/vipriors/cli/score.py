"""`check` and `score`: a predictions file against a test index."""

from __future__ import annotations

import argparse
from pathlib import Path

from vipriors.cli.output import Commands, add_command, answer, print_problems

WHAT = "a challenge, or with --labels a task such as `classification`"


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    check = add_command(commands, "check", check_, "list every problem of a predictions file")
    score = add_command(commands, "score", score_, "score a predictions file over the whole test index")
    for command in (check, score):
        command.add_argument("challenge", help=WHAT)
        command.add_argument("file", type=Path, help="the predictions")
        command.add_argument("--labels", type=Path, metavar="FILE", help="default: the challenge's own")
        command.add_argument("--source", type=Path, metavar="DIR", help="your copy of the challenge's source")


def check_(arguments: argparse.Namespace) -> int:
    """`vipriors check`"""
    from vipriors.challenges.hidden import find_test_set

    test = find_test_set(arguments.challenge, arguments.labels, arguments.source)
    if problems := test.check(arguments.file):
        return print_problems(arguments, problems)
    images = len(test.index.ids)
    return answer(
        arguments, {"problems": []}, f"{arguments.file}: a good submission for {images} test images"
    )


def score_(arguments: argparse.Namespace) -> int:
    """`vipriors score`"""
    from vipriors.challenges.hidden import find_test_set

    test = find_test_set(arguments.challenge, arguments.labels, arguments.source)
    score = test.score(arguments.file)
    width = max(map(len, score.estimates))
    lines = [
        f"{name:{width}}  {estimate.value:.4f}  (95 % interval {estimate.low:.4f} to {estimate.high:.4f})"
        for name, estimate in score.estimates.items()
    ]
    return answer(arguments, score.to_json(), "\n".join(lines))
