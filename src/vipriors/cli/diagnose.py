"""`diagnose tide`: what is behind the score of predictions."""

from __future__ import annotations

import argparse
from pathlib import Path

from vipriors.cli.output import Commands, add_command, answer


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    group = commands.add_parser("diagnose", help="what is behind the score of predictions")
    diagnose = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    tide = add_command(diagnose, "tide", tide_, "tell which errors cost found objects their AP")
    tide.add_argument("file", type=Path, help="the predictions, COCO results")
    tide.add_argument("--labels", type=Path, required=True, metavar="FILE", help="COCO ground truth")
    tide.add_argument(
        "--task", choices=("detection", "instances"), default="detection", help="boxes (default) or masks"
    )
    tide.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="IOU",
        help="from which an object is found (default: 0.5)",
    )
    tide.add_argument(
        "--background", type=float, default=0.1, metavar="IOU", help="up to which nothing is (default: 0.1)"
    )
    tide.add_argument(
        "--corrected", action="store_true", help="count as COCO does, not as the package of TIDE's authors"
    )
    tide.add_argument("--out", type=Path, metavar="DIR", help="for a page, and tables of every result")


def tide_(arguments: argparse.Namespace) -> int:
    """`vipriors diagnose tide`"""
    from vipriors.diagnose.errors import Settings
    from vipriors.diagnose.page import as_text, write_diagnosis
    from vipriors.diagnose.predictions import diagnose_files

    settings = Settings(arguments.threshold, arguments.background, arguments.corrected)
    diagnosed = diagnose_files(arguments.task, arguments.file, arguments.labels, settings)
    value, text = diagnosed.diagnosis.to_json(), as_text(diagnosed.diagnosis)
    if arguments.out is not None:
        files = write_diagnosis(diagnosed, arguments.task, arguments.file.name, arguments.out)
        value["files"] = [str(file) for file in files]
        text = "\n".join([text, "", *map(str, files)])
    return answer(arguments, value, text)
