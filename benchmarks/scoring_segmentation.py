"""Times scoring of segmentation submissions, and the counting of pixels against other ways to do it.

    python benchmarks/scoring_segmentation.py [--images 8] [--height 1024] [--width 2048] [--noise 0] [--json]

All contenders count the same pairs of maps in one process, on one thread, in turns; each one's best turn
counts. The peers are np.unique (what the Cityscapes scripts do without their compiled part), scikit-learn's
confusion_matrix, and numpy's and torch's bincount. If cityscapesscripts is installed, the whole way from
files to scores, instances included, is timed against it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import confusion_matrix

from vipriors.tasks import segmentation
from vipriors.tasks.class_map import CITYSCAPES
from vipriors.tasks.findings import Findings
from vipriors.tasks.iou import confusion_of
from vipriors.tasks.label_map import decode, encode

Pairs = list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--noise", type=float, default=0.0, help="share of the pixels that are random")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    pairs = [street(rng, args.height, args.width, args.noise) for _ in range(args.images)]
    megapixels = args.images * args.height * args.width / 1e6
    seconds = {**counting(pairs, args.turns), **whole(pairs, args.turns)}
    speeds = {name: round(megapixels / s, 1) for name, s in seconds.items()}
    ratios = {
        name: round(s / seconds[f"{name.split(':')[0]}: ours"], 2)
        for name, s in seconds.items()
        if ":" in name and not name.endswith(": ours")
    }
    record = {
        "images": args.images,
        "megapixels": round(megapixels, 1),
        "noise": args.noise,
        "megapixels_per_s": speeds,
        "ours_is_times_as_fast": ratios,
    }
    if args.json:
        print(json.dumps(record, indent=2))
        return
    print(f"{args.images} images, {megapixels:.1f} megapixels, noise {args.noise}")
    for name, speed in speeds.items():
        print(
            f"{name:32} {speed:8.1f} Mpx/s", f"ours is {ratios[name]} times as fast" if name in ratios else ""
        )


def street(
    rng: np.random.Generator, height: int, width: int, noise: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Label ids in blobs of many sizes, and a prediction with shifted borders and wrong blobs."""
    labels = np.full((height, width), 7, dtype=np.uint8)
    y, x = np.ogrid[:height, :width]
    for _ in range(150):
        top, left, size = rng.integers(0, height), rng.integers(0, width), rng.exponential(height / 15)
        labels[(y - top) ** 2 + (x - left) ** 2 * rng.uniform(0.2, 2) < size**2] = rng.integers(0, 34)
    predicted = np.roll(labels, (3, 5), axis=(0, 1))
    for _ in range(20):
        top, left = rng.integers(0, height), rng.integers(0, width)
        predicted[top : top + height // 12, left : left + width // 12] = rng.integers(0, 34)
    random = rng.random(labels.shape) < noise
    predicted[random] = rng.integers(0, 34, np.count_nonzero(random))
    return labels, predicted


def counting(pairs: Pairs, turns: int) -> dict[str, float]:
    """Seconds to count all pairs, the best of the turns."""
    contenders: dict[str, Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]] = {
        "count: ours": lambda truth, found: confusion_of(truth, found)[:34, :34],
        "count: np.bincount": with_bincount,
        "count: np.unique": with_unique,
        "count: scikit-learn": lambda truth, found: confusion_matrix(
            truth.ravel(), found.ravel(), labels=range(34)
        ),
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)

        def with_torch(truth: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
            codes = torch.from_numpy(truth).long() * 34 + torch.from_numpy(found)
            return torch.bincount(codes.ravel(), minlength=34 * 34).reshape(34, 34).numpy()

        contenders["count: torch.bincount"] = with_torch
    best = dict.fromkeys(contenders, float("inf"))
    expected = [with_bincount(*pair) for pair in pairs]
    for _ in range(turns):
        for name, contender in contenders.items():
            start = time.perf_counter()
            results = [contender(*pair) for pair in pairs]
            best[name] = min(best[name], time.perf_counter() - start)
            if not all(np.array_equal(*both) for both in zip(results, expected, strict=True)):
                raise SystemExit(f"{name} counts differently")
    return best


def with_bincount(truth: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
    codes = truth.ravel().astype(np.int64) * 34 + found.ravel()
    return np.bincount(codes, minlength=34 * 34).reshape(34, 34)


def with_sklearn(truth: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
    return confusion_matrix(truth.ravel(), found.ravel(), labels=range(34))


def with_unique(truth: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
    confusion = np.zeros((34, 34), dtype=np.ulonglong)
    values, counts = np.unique(truth.astype(np.int32) * 34 + found, return_counts=True)
    for value, count in zip(values, counts, strict=True):
        confusion[value // 34, value % 34] += count
    return confusion


def whole(pairs: Pairs, turns: int) -> dict[str, float]:
    """Seconds to encode, decode, write, check and score all pairs, and from files to scores."""
    maps = [predicted for _, predicted in pairs]
    ids = [f"{number:04}" for number in range(len(pairs))]
    pngs, encode_s = timed(lambda: [encode(map_) for map_ in maps])
    _, decode_s = timed(lambda: [decode(png, Findings("map")) for png in pngs])
    seconds = {"encode": encode_s, "decode": decode_s}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = folder / "predictions.zip"
        _, seconds["write"] = timed(lambda: segmentation.write(file, ids, maps))
        (folder / "gt").mkdir()
        for id_, (truth, _), png in zip(ids, pairs, pngs, strict=True):
            (folder / f"{id_}.png").write_bytes(png)
            (folder / "gt" / f"{id_}_gtFine_labelIds.png").write_bytes(encode(truth))
            instances = truth.astype(np.uint16) * np.where(truth >= 24, 1000, 1).astype(np.uint16)
            Image.fromarray(instances).save(folder / "gt" / f"{id_}_gtFine_instanceIds.png")
        labels = segmentation.read_labels(folder / "gt")
        index = segmentation.index_of(labels, CITYSCAPES)
        best = {"files to scores: ours": float("inf")}
        if importlib.util.find_spec("cityscapesscripts"):
            best["files to scores: cityscapesscripts"] = float("inf")
        for _ in range(min(turns, 3)):
            (predictions, problems), check_s = timed(lambda: segmentation.check(file.read_bytes(), index))
            if predictions is None:
                raise SystemExit("\n".join(map(str, problems)))
            score = partial(segmentation.score, predictions, labels, index, CITYSCAPES.names)
            found, score_s = timed(score)
            seconds |= {"check": check_s, "score": score_s}
            name = "files to scores: ours"
            best[name] = min(best[name], check_s + score_s)
            if len(best) > 1:
                expected, published_s = timed(lambda: published(folder, ids))
                if abs(expected - found.estimates["iiou_class"].value) > 1e-9:
                    raise SystemExit("cityscapesscripts scores differently")
                name = "files to scores: cityscapesscripts"
                best[name] = min(best[name], published_s)
    return {**seconds, **best}


def published(folder: Path, ids: list[str]) -> float:
    """The instance-weighted IoU of the Cityscapes scripts."""
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as scripts

    if not hasattr(np, "in1d"):
        np.in1d = np.isin  # noqa: NPY201 the scripts need it; numpy 2.4 has it no more
    scripts.args.quiet, scripts.args.JSONOutput = True, False
    found = [str(folder / f"{id_}.png") for id_ in ids]
    truths = [str(folder / "gt" / f"{id_}_gtFine_labelIds.png") for id_ in ids]
    return float(scripts.evaluateImgLists(found, truths, scripts.args)["averageScoreInstClasses"])


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
