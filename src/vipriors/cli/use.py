"""`predict` and `export`: a trained model put to use."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

from vipriors.cli.output import Commands, add_command, add_execution, answer, execution, print_problems


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    predict = add_command(commands, "predict", predict_, "label pictures with a trained run")
    predict.add_argument("run", type=Path, help="a finished run folder")
    predict.add_argument("--images", type=Path, required=True, help="a picture or clip, or a folder of them")
    predict.add_argument("--out", type=Path, metavar="FILE", help="write a CSV file instead of printing it")
    predict.add_argument(
        "--least", type=float, default=0.3, metavar="SCORE", help="of objects that are told (default: 0.3)"
    )
    predict.add_argument(
        "--maps", type=Path, metavar="DIR", help="for a PNG of each picture: its classes or objects by pixel"
    )
    add_execution(predict)

    export = add_command(commands, "export", export_, "write a run's network for use elsewhere")
    export.add_argument("run", type=Path, help="a finished run folder")
    export.add_argument("--format", choices=("onnx",), default="onnx")
    export.add_argument("--out", type=Path, metavar="FILE", help="default: RUN/model.onnx")


def predict_(arguments: argparse.Namespace) -> int:
    """`vipriors predict`"""
    from vipriors.runs.predict import Wish, predict

    wish = Wish(arguments.least, arguments.maps)
    found, problems = predict(arguments.run, arguments.images, wish, execution(arguments))
    table = io.StringIO()
    if found:
        writer = csv.DictWriter(table, found[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    text = table.getvalue().rstrip("\n")
    if arguments.out:
        arguments.out.write_text(table.getvalue(), encoding="utf-8")
        text = f"{arguments.out}: {len(found)} rows"
    if not problems:
        return answer(arguments, {"found": found}, text)
    if not arguments.json:
        print(text)
    return print_problems(arguments, problems)


def export_(arguments: argparse.Namespace) -> int:
    """`vipriors export`"""
    from vipriors.runs.export import export_onnx

    file = arguments.out or arguments.run / "model.onnx"
    difference = export_onnx(arguments.run, file)
    text = f"{file}: onnxruntime's probabilities differ by {difference:.1e} at most"
    return answer(arguments, {"file": str(file), "largest_difference": difference}, text)
