"""Times checking and scoring of action submissions beside the usual script.

    python benchmarks/scoring_actions.py [--repeats 5] [--json]

The usual script looks each clip up in a list, and makes a confusion matrix with scikit-learn for each of
top-1, top-3 and top-5; it checks nothing and gives no interval. Both sides get the same bytes, take turns in
one process and must agree on the scores. Our time is split into checking and scoring; most of scoring is the
bootstrap.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from vipriors.tasks.actions import ClipIndex, check, score

SIZES = {"UCF101": (3_783, 101), "Kinetics400ViPriors": (20_000, 400)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    records = [measure(name, *size, args.repeats) for name, size in SIZES.items()]
    if args.json:
        print(json.dumps(records, indent=2))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def measure(name: str, clips: int, classes: int, repeats: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    index = ClipIndex(tuple(f"video_test_{i:07d}.avi" for i in range(clips)), classes)
    labels = rng.permutation(np.arange(clips) % classes) + 1
    rows = (
        labels[:, np.newaxis] - 1 + rng.permutation(classes)[:5] * rng.integers(0, 2, (clips, 1))
    ) % classes + 1
    rows[:, 1:] = (rows[:, :1] + np.array([3, 5, 7, 11]) - 1) % classes + 1
    data = "".join(
        f"{index.ids[i]} {' '.join(map(str, rows[i].tolist()))}\n" for i in rng.permutation(clips)
    ).encode()
    names = [str(class_) for class_ in range(classes)]
    truth = dict(zip(index.ids, labels.tolist(), strict=True))

    times: dict[str, list[float]] = {"check": [], "score": [], "usual": []}

    def run(part: str, work: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = work(*arguments)
        times[part].append(time.perf_counter() - start)
        return result

    for _ in range(repeats):
        predictions, problems = run("check", check, data, index)
        if predictions is None:
            raise SystemExit("\n".join(map(str, problems)))
        ours = run("score", score, predictions, truth, index, names).estimates
        expected = run("usual", usual, data, truth, classes)
        np.testing.assert_allclose([ours[f"top{k}"].value for k in (1, 3, 5)], expected, atol=1e-9)
    check_s, score_s, usual_s = (statistics.median(times[part]) for part in ("check", "score", "usual"))
    return {
        "data": name,
        "clips": clips,
        "classes": classes,
        "check_s": round(check_s, 4),
        "score_s": round(score_s, 4),
        "usual_s": round(usual_s, 4),
        "usual_over_ours": round(usual_s / (check_s + score_s), 2),
    }


def usual(data: bytes, truth: dict[str, int], classes: int) -> list[float]:
    """Top-1, top-3 and top-5, mean per class."""
    fields = [line.split(" ") for line in data.decode().splitlines()]
    clips = [row[0] for row in fields]
    guesses = [[int(field) for field in row[1:]] for row in fields]
    labels = np.array(list(truth.values()))
    scores = []
    found = [guesses[clips.index(clip)] for clip in truth]
    for k in (1, 3, 5):
        predicted = [
            label if label in guess[:k] else guess[0] for label, guess in zip(labels, found, strict=True)
        ]
        confusion = confusion_matrix(labels, predicted, labels=range(1, classes + 1))
        scores.append(float(np.mean(np.diag(confusion) / confusion.sum(axis=1))))
    return scores


if __name__ == "__main__":
    main()
