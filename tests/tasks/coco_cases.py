"""Random COCO files and the twelve numbers of pycocotools for them."""

import contextlib
import copy
import io
import json

import numpy as np
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def encoded(mask):
    """The run lengths of a mask `(H, W)` as a results file holds them."""
    runs = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": runs["counts"].decode()}


def uncompressed(mask):
    """The run lengths of a mask `(H, W)` as a list."""
    flat = mask.ravel(order="F")
    counts, value = [0], 0
    for pixel in flat.tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def random_mask(rng, height, width, box):
    x, y, w, h = (round(side) for side in box)
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[max(y, 0) : y + h, max(x, 0) : x + w] = 1
    if rng.random() < 0.3:
        mask &= rng.random(mask.shape) < 0.9
    return mask


def case(seed, images=8, categories=3, decimals=1, with_masks=False):
    """A ground truth and results with everything that is special: crowds, areas at the limits, ties, …"""
    rng = np.random.default_rng(seed)
    ids = (rng.permutation(images * 3)[:images] + 1).tolist()
    kinds = (rng.permutation(categories * 2)[:categories] + 1).tolist()
    truth = {
        "images": [{"id": i, "height": 120, "width": int(rng.integers(100, 160))} for i in ids],
        "categories": [{"id": k, "name": f"kind {k}"} for k in kinds],
        "annotations": [],
    }
    results = []
    for image in truth["images"]:
        height, width = image["height"], image["width"]
        for _ in range(max(rng.poisson(4) * (rng.random() < 0.8), not truth["annotations"])):
            side = rng.choice([6, 20, 32, 50, 96, 100])
            box = [int(rng.integers(0, 60)), int(rng.integers(0, 20)), int(side), int(side)]
            mask = random_mask(rng, height, width, box)
            kind = kinds[int(rng.integers(0, max(1, categories - 1)))]  # one category has no object
            crowd = int(rng.random() < 0.15)
            area = float(mask.sum()) if with_masks else float(box[2] * box[3])
            entry = {"id": len(truth["annotations"]) + 1, "image_id": image["id"], "category_id": kind}
            entry |= {"bbox": box, "area": area, "iscrowd": crowd}
            if with_masks:
                entry["segmentation"] = uncompressed(mask)
            if rng.random() < 0.9 or not truth["annotations"]:
                truth["annotations"].append(entry)
            for _ in range(rng.poisson(1.5)):
                moved = [side + int(rng.choice([0, 0, 0, 1, 2, 5])) for side in box]
                found = {"image_id": image["id"], "category_id": kind}
                found["score"] = round(float(rng.random()), decimals)
                if with_masks:
                    found["segmentation"] = encoded(random_mask(rng, height, width, moved))
                else:
                    found["bbox"] = moved
                results.append(found)
        for _ in range(rng.poisson(2)):
            box = [float(side) for side in rng.uniform(0, 90, 4).round(1)]
            found = {"image_id": image["id"], "category_id": int(rng.choice(kinds)), "score": 0.5}
            if with_masks:
                found["segmentation"] = encoded(random_mask(rng, height, width, box))
            else:
                found["bbox"] = box
            results.append(found)
    if all(entry["iscrowd"] for entry in truth["annotations"]):
        truth["annotations"][0]["iscrowd"] = 0
    order = rng.permutation(len(results))
    return truth, [results[i] for i in order]


def pycocotools_numbers(truth, results, kind):
    """The twelve numbers over all images of the ground truth; −1 where undefined."""
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO()
        api.dataset = copy.deepcopy(truth)
        api.createIndex()
        evaluation = COCOeval(api, api.loadRes(copy.deepcopy(results)), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def score_of(task, truth, results, **options):
    labels = task.read_labels(json.dumps(truth).encode())
    index = task.index_of(labels)
    predictions, problems = task.check(json.dumps(results).encode(), index)
    assert problems == []
    return task.score(predictions, labels, index, index.names, **options)


def numbers_of(task, truth, results):
    """Our twelve numbers; −1 where undefined."""
    summary = score_of(task, truth, results, draws=0).details["summary"]
    assert list(summary) == NAMES
    return np.array([-1.0 if value is None else value for value in summary.values()])


def slow_numbers(truth, results, overlap, area):
    """The twelve numbers from the definition, object by object.

    `overlap(result, annotation)` is the intersection over union (over the result's area for a crowd), and
    `area(result)` the result's own area.
    """
    ranges = [(0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10)]
    thresholds = np.linspace(0.5, 0.95, 10)
    tops = [1, 10, 100]
    precisions, recalls = {}, {}
    for kind in sorted(category["id"] for category in truth["categories"]):
        for a, (low, high) in enumerate(ranges):
            countable = 0
            found = {top: [] for top in tops}  # (score, outcome at each threshold), in the order of images
            for image in sorted(image["id"] for image in truth["images"]):
                here = [x for x in truth["annotations"] if (x["image_id"], x["category_id"]) == (image, kind)]
                mine = [x for x in results if (x["image_id"], x["category_id"]) == (image, kind)]
                mine = sorted(mine, key=lambda x: -x["score"])[:100]
                ignored = [bool(x["iscrowd"]) or not low <= x["area"] <= high for x in here]
                countable += ignored.count(False)
                outcomes = [[] for _ in mine]
                for threshold in thresholds:
                    free = [True] * len(here)
                    for outcome, result in zip(outcomes, mine, strict=True):
                        best = None
                        for wanted in (False, True):  # those that count first
                            for i, annotation in enumerate(here):
                                if ignored[i] == wanted and (free[i] or annotation["iscrowd"]):
                                    value = overlap(result, annotation)
                                    if value >= threshold and (best is None or value >= best[0]):
                                        best = (value, i)
                            if best:
                                break
                        if best:
                            free[best[1]] = False
                            outcome.append("ignored" if ignored[best[1]] else "right")
                        else:
                            outcome.append("wrong" if low <= area(result) <= high else "ignored")
                for top in tops:
                    scores = [result["score"] for result in mine]
                    found[top] += list(zip(scores, outcomes, strict=True))[:top]
            if not countable:
                continue
            for t in range(10):
                for top in tops:
                    kept = [o[t] for _, o in sorted(found[top], key=lambda x: -x[0]) if o[t] != "ignored"]
                    right = np.cumsum([outcome == "right" for outcome in kept])
                    recall = right / countable
                    recalls.setdefault((a, top), []).append(recall[-1] if kept else 0.0)
                    if top == 100:
                        precision = right / np.arange(1, len(kept) + 1)
                        points = [precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, 101)]
                        precisions.setdefault((a, t), []).append(np.mean(points))

    def mean(lists):
        values = [value for values in lists for value in values]
        return np.mean(values) if values else -1.0

    every = [precisions.get((0, t), []) for t in range(10)]
    return np.array(
        [
            mean(every),
            mean([every[0]]),
            mean([every[5]]),
            *(mean([precisions.get((a, t), []) for t in range(10)]) for a in (1, 2, 3)),
            *(mean([recalls.get((0, top), [])]) for top in tops),
            *(mean([recalls.get((a, 100), [])]) for a in (1, 2, 3)),
        ]
    )
