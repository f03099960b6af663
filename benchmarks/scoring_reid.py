"""Times checking and scoring of re-identification submissions beside the usual script.

    python benchmarks/scoring_reid.py [--queries 468] [--gallery 8703] [--repeats 3] [--json]

The usual script reads the matrix with `numpy.loadtxt` and calls scikit-learn's `average_precision_score` for
each query; it checks no ids and gives no interval. Both sides get the same bytes, take turns in one process
and must agree on mAP and rank 1. The default size is that of SynergyReID.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from vipriors.tasks import reid
from vipriors.tasks.reid_labels import Image, Labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=468)
    parser.add_argument("--gallery", type=int, default=8703)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    record = measure(args.queries, args.gallery, args.repeats)
    print(json.dumps(record, indent=2) if args.json else "\n".join(f"{k} {v}" for k, v in record.items()))


def measure(queries: int, gallery: int, repeats: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    labels = Labels(
        {f"{i}": Image(f"{i}") for i in range(queries)},
        {f"{queries + i}": Image(f"{i % queries}") for i in range(gallery)},
    )
    index = reid.QueryIndex(tuple(labels.queries), tuple(labels.gallery))
    match = np.arange(queries)[:, np.newaxis] == np.arange(gallery) % queries
    distances = rng.random((queries, gallery)) + 0.7 * ~match
    times: dict[str, list[float]] = {
        part: [] for part in ("write", "check", "score", "usual read", "usual score")
    }

    def run(part: str, work: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = work(*arguments)
        times[part].append(time.perf_counter() - start)
        return result

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.csv"
        run("write", reid.write, path, index.ids, reid.Predictions(index.gallery, distances))
        data = path.read_bytes()
    for _ in range(repeats):
        predictions, problems = run("check", reid.check, data, index)
        if predictions is None:
            raise SystemExit("\n".join(map(str, problems)))
        ours = run("score", reid.score, predictions, labels, index, ()).estimates
        matrix = run("usual read", usual_read, data)
        usual = run("usual score", usual_scores, matrix, match)
        np.testing.assert_allclose([ours["mAP"].value, ours["rank1"].value], usual, atol=1e-9)
    median = {part: statistics.median(seconds) for part, seconds in times.items()}
    return {
        "queries": queries,
        "gallery": gallery,
        "megabytes": round(len(data) / 1e6, 1),
        **{f"{part.replace(' ', '_')}_s": round(seconds, 3) for part, seconds in median.items()},
        "usual_over_ours_reading": round(median["usual read"] / median["check"], 2),
        "usual_over_ours_scoring": round(median["usual score"] / median["score"], 2),
        "usual_over_ours": round(
            (median["usual read"] + median["usual score"]) / (median["check"] + median["score"]), 2
        ),
    }


def usual_read(data: bytes) -> np.ndarray[Any, Any]:
    matrix: np.ndarray[Any, Any] = np.loadtxt(io.BytesIO(data), delimiter=",", skiprows=1)
    return matrix[:, 1:]


def usual_scores(distances: np.ndarray[Any, Any], match: np.ndarray[Any, Any]) -> list[float]:
    precisions = [average_precision_score(own, -row) for own, row in zip(match, distances, strict=True)]
    first = match[np.arange(len(match)), distances.argmin(axis=1)]
    return [float(np.mean(precisions)), float(np.mean(first))]


if __name__ == "__main__":
    main()
