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
    predict.add_argument("--images", type=Path, required=True, help="a picture or a folder of pictures")
    predict.add_argument("--out", type=Path, metavar="FILE", help="write a CSV file instead of printing it")
    add_execution(predict)

    export = add_command(commands, "export", export_, "write a run's network for use elsewhere")
    export.add_argument("run", type=Path, help="a finished run folder")
    export.add_argument("--format", choices=("onnx",), default="onnx")
    export.add_argument("--out", type=Path, metavar="FILE", help="default: RUN/model.onnx")


def predict_(arguments: argparse.Namespace) -> int:
    """`vipriors predict`"""
    import dataclasses

    from vipriors.runs.predict import predict

    labelled, problems = predict(arguments.run, arguments.images, execution(arguments))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "label", "probability"])
    writer.writerows([one.file, one.label, f"{one.probability:.4f}"] for one in labelled)
    text = table.getvalue().rstrip("\n")
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
        text = f"{arguments.out}: {len(labelled)} pictures labelled"
    value = {"labelled": [dataclasses.asdict(one) for one in labelled]}
    if not problems:
        return answer(arguments, value, text)
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
