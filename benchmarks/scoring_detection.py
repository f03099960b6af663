"""Times reading and scoring of detection and instance submissions beside pycocotools, in one process.

    python benchmarks/scoring_detection.py [--task detection instances] [--images 5000] [--results 40]
                                           [--rounds 1] [--json]

Images have COCO's size, number of objects and categories on average, and results of which about half find
something. pycocotools has no intervals, so ours are timed with and without. A ratio is its time over ours.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vipriors.tasks import load

HEIGHT, WIDTH, CATEGORIES = 480, 640, 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = ["detection", "instances"]
    parser.add_argument("--task", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--results", type=int, default=40, help="of an image at least")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    records = [measure(task, args.images, args.results, args.rounds) for task in args.task]
    if args.json:
        print(json.dumps(records, indent=2))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def measure(task: str, images: int, per_image: int, rounds: int) -> dict[str, Any]:
    truth, results = example(images, per_image, task == "instances")
    module, kind = load(task), {"detection": "bbox", "instances": "segm"}[task]
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        truth_file, results_file = Path(folder) / "truth.json", Path(folder) / "results.json"
        truth_file.write_text(json.dumps(truth))
        results_file.write_text(json.dumps(results))
        megabytes = results_file.stat().st_size / 1e6
        for _ in range(rounds):
            labels = timed(seconds, "labels_s", module.read_labels, truth_file)
            predictions, problems = timed(
                seconds, "check_s", module.check, results_file.read_bytes(), labels.index
            )
            if predictions is None:
                raise SystemExit("\n".join(map(str, problems)))
            ours = (predictions, labels, labels.index, labels.index.names)
            plain = timed(seconds, "score_without_intervals_s", module.score, *ours, draws=0)
            timed(seconds, "score_s", module.score, *ours)
            with contextlib.redirect_stdout(io.StringIO()):
                api = timed(seconds, "pycocotools_labels_s", COCO, str(truth_file))
                loaded = timed(seconds, "pycocotools_load_s", api.loadRes, str(results_file))
                stats = timed(seconds, "pycocotools_score_s", evaluate, api, loaded, kind)
    values = [-1 if value is None else value for value in plain.details["summary"].values()]
    best = {name: min(times) for name, times in seconds.items()}
    theirs = best["pycocotools_score_s"]
    read_both = best["check_s"] + best["score_without_intervals_s"]
    return {
        "task": task,
        "images": images,
        "objects": len(truth["annotations"]),
        "results": len(results),
        "megabytes": round(megabytes, 1),
        "largest_difference": float(np.abs(np.array(values) - stats).max()),
        **{name: round(value, 3) for name, value in best.items()},
        "ratio_of_labels": round(best["pycocotools_labels_s"] / best["labels_s"], 2),
        "ratio_of_scores": round(theirs / best["score_without_intervals_s"], 1),
        "ratio_with_intervals": round(theirs / best["score_s"], 1),
        "ratio_with_reading": round((best["pycocotools_load_s"] + theirs) / read_both, 1),
    }


def timed(
    seconds: dict[str, list[float]], name: str, work: Callable[..., Any], *args: Any, **options: Any
) -> Any:
    start = time.perf_counter()
    result = work(*args, **options)
    seconds.setdefault(name, []).append(time.perf_counter() - start)
    return result


def evaluate(api: COCO, loaded: COCO, kind: str) -> NDArray[np.float64]:
    evaluation = COCOeval(api, loaded, kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def example(images: int, per_image: int, with_masks: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A ground truth of blobs as polygons, and results that are moved copies of them or made up."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(2, CATEGORIES + 2)
    share /= share.sum()
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(1, images + 1):
        found = []
        for _ in range(rng.poisson(7.3)):
            category, (x, y, a, b, phase) = int(rng.choice(CATEGORIES, p=share)), place(rng)
            outline = blob(x, y, a, b, phase)
            area = mask_api.area(mask_api.frPyObjects([outline.tolist()], HEIGHT, WIDTH))[0]
            entry = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": category,
                "area": int(area),
            }
            entry |= {"iscrowd": int(rng.random() < 0.01), "segmentation": [outline.tolist()]}
            annotations.append(entry | {"bbox": box(outline)})
            for _ in range(rng.poisson(2.5)):
                near = 0.08 if rng.random() < 0.6 else 0.4
                dx, dy, da, db = rng.normal(0, near, 4)
                moved = (x + a * dx, y + b * dy, a * np.exp(da), b * np.exp(db), phase)
                found.append((category if rng.random() < 0.9 else 0, moved, rng.beta(4, 2)))
        while len(found) < per_image:
            found.append((int(rng.choice(CATEGORIES, p=share)), place(rng), rng.beta(1, 6)))
        for category, shape, score in found:
            outline = blob(*shape)
            result: dict[str, Any] = {"image_id": image, "category_id": category, "score": round(score, 3)}
            if with_masks:
                runs = mask_api.frPyObjects([outline.tolist()], HEIGHT, WIDTH)[0]
                result["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": runs["counts"].decode()}
            else:
                result["bbox"] = box(outline)
            results.append(result)
    truth = {
        "images": [{"id": image, "height": HEIGHT, "width": WIDTH} for image in range(1, images + 1)],
        "categories": [{"id": category, "name": str(category)} for category in range(CATEGORIES)],
        "annotations": annotations,
    }
    return truth, results


def place(rng: np.random.Generator) -> tuple[float, float, float, float, float]:
    size = min(np.exp(rng.normal(3.4, 0.9)), HEIGHT / 2)
    return (
        rng.uniform(0, WIDTH),
        rng.uniform(0, HEIGHT),
        size * np.exp(rng.normal(0, 0.3)),
        size,
        rng.uniform(0, 6),
    )


def blob(x: float, y: float, a: float, b: float, phase: float) -> NDArray[np.float64]:
    """The outline of a bumpy ellipse of 24 corners, `(48,)`, inside the image."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = 1 + 0.2 * np.sin(3 * turn + phase) + 0.1 * np.sin(7 * turn + 2 * phase)
    xs = np.clip(x + a * radius * np.cos(turn), 0, WIDTH)
    ys = np.clip(y + b * radius * np.sin(turn), 0, HEIGHT)
    return np.round(np.stack([xs, ys], axis=1).ravel(), 2)


def box(outline: NDArray[np.float64]) -> list[float]:
    xs, ys = outline[::2], outline[1::2]
    return [round(float(side), 2) for side in (xs.min(), ys.min(), np.ptp(xs), np.ptp(ys))]


if __name__ == "__main__":
    main()
