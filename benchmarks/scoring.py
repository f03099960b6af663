"""Times writing, checking and scoring of classification submissions of many sizes.

    python benchmarks/scoring.py [--images 50000] [--classes 10 1000] [--probabilities] [--json]

With probabilities, 50,000 images of 1000 classes are a file of about 450 MB and take 2 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vipriors.tasks import Index, classification


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--probabilities", action="store_true", help="files of form 2")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    records = [measure(args.images, classes, args.probabilities) for classes in args.classes]
    if args.json:
        print(json.dumps(records, indent=2))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def measure(images: int, classes: int, with_probabilities: bool) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    index = Index(tuple(f"img_{i}.JPEG" for i in range(images)), classes)
    labels = rng.integers(0, classes, images)
    predicted = np.where(rng.random(images) < 0.6, labels, rng.integers(0, classes, images))
    probabilities = None
    if with_probabilities:
        probabilities = rng.random((images, classes))
        probabilities[np.arange(images), predicted] += 10
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.csv"
        _, write_s = timed(lambda: classification.write(path, index.ids, predicted, probabilities))
        data = path.read_bytes()
    (predictions, problems), check_s = timed(lambda: classification.check(data, index))
    if predictions is None:
        raise SystemExit("\n".join(map(str, problems)))
    names = [str(class_) for class_ in range(classes)]
    _, score_s = timed(lambda: classification.score(predictions, labels, index, names))
    return {
        "images": images,
        "classes": classes,
        "probabilities": with_probabilities,
        "megabytes": round(len(data) / 1e6, 3),
        "write_and_check_s": round(write_s, 3),
        "check_s": round(check_s, 3),
        "score_s": round(score_s, 3),
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
