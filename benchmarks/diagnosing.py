"""Times TIDE of boxes and masks, from files to numbers, beside its authors' package, in one process.

    python benchmarks/diagnosing.py [--task detection instances] [--images 5000] [--results 40] [--json]

The files are those of `scoring_detection.py`. A ratio is the package's time over ours, and
`largest_difference` the largest between our AP, ΔAP and counts and the package's. Seconds are those of the
processor: both use one thread, and other work on the machine then matters little.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tidecv
from scoring_detection import example
from tidecv import datasets

from vipriors.diagnose.predictions import diagnose
from vipriors.tasks import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = ["detection", "instances"]
    parser.add_argument("--task", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--results", type=int, default=40, help="of an image at least")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    records = [measure(task, args.images, args.results) for task in args.task]
    if args.json:
        print(json.dumps(records, indent=2))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def measure(task: str, images: int, per_image: int) -> dict[str, Any]:
    truth, results = example(images, per_image, task == "instances")
    for image in truth["images"]:
        image["file_name"] = f"{image['id']}.jpg"
    module = load(task)
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        truth_file, results_file = Path(folder) / "truth.json", Path(folder) / "results.json"
        truth_file.write_text(json.dumps(truth))
        results_file.write_text(json.dumps(results))
        labels = timed(took, "labels", module.read_labels, truth_file)
        predictions, problems = timed(took, "check", module.check, results_file.read_bytes(), labels.index)
        if predictions is None:
            raise SystemExit("\n".join(map(str, problems)))
        ours = timed(took, "tide", diagnose, labels, predictions)
        their_labels = timed(took, "tidecv_labels", datasets.COCO, str(truth_file))
        their_results = timed(took, "tidecv_load", datasets.COCOResult, str(results_file))
        theirs = timed(took, "tidecv", evaluate, their_labels, their_results, task)
    expected = [theirs.ap]
    found = [ours.ap]
    for mine, part in (
        (ours.delta_ap, theirs.fix_main_errors()),
        (ours.special, theirs.fix_special_errors()),
        (ours.counts, theirs.count_errors()),
    ):
        for kind, value in part.items():
            expected.append(value)
            found.append(mine[kind.short_name])
    reading, their_reading = took["labels"] + took["check"], took["tidecv_labels"] + took["tidecv_load"]
    return {
        "task": task,
        "images": images,
        "objects": len(truth["annotations"]),
        "results": len(results),
        "largest_difference": max(abs(a - b) for a, b in zip(found, expected, strict=True)),
        "reading_s": round(reading, 2),
        "tide_s": round(took["tide"], 2),
        "tidecv_reading_s": round(their_reading, 2),
        "tidecv_s": round(took["tidecv"], 2),
        "ratio_of_tide": round(took["tidecv"] / took["tide"], 1),
        "ratio_with_reading": round((their_reading + took["tidecv"]) / (reading + took["tide"]), 1),
    }


def timed(took: dict[str, float], name: str, work: Callable[..., Any], *args: Any) -> Any:
    start = time.process_time()
    result = work(*args)
    took[name] = time.process_time() - start
    return result


def evaluate(labels: tidecv.Data, results: tidecv.Data, task: str) -> Any:
    mode = tidecv.TIDE.BOX if task == "detection" else tidecv.TIDE.MASK
    run = tidecv.TIDE().evaluate(labels, results, mode=mode)
    run.fix_main_errors()
    run.fix_special_errors()
    return run


if __name__ == "__main__":
    main()
