"""Random COCO files with every type of error, and what the package of TIDE's authors says of them."""

import json

import numpy as np
import tidecv
from pycocotools import mask as mask_api

from vipriors.diagnose.predictions import diagnose
from vipriors.tasks import detection, instances

SIZE = (128, 128)


def shape_of(box, masks):
    """A box as results and annotations have it, or its mask."""
    if not masks:
        return {"bbox": [float(side) for side in box]}
    x, y, w, h = (round(side) for side in box)
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = 1
    runs = mask_api.encode(np.asfortranarray(mask))
    return {"segmentation": {"size": list(SIZE), "counts": runs["counts"].decode()}}


def case(seed, *, masks=False, ties=False, crowds=True):
    """A ground truth and results: 1 to 5 classes, jittered copies, swapped classes, duplicates, crowds, …"""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(9)[: rng.integers(1, 6)] + 1
    ids = (rng.permutation(40)[: rng.integers(1, 7)] + 1).tolist()
    annotations, results = [], []

    def found(image, kind, box):
        score = round(float(rng.random()), 1 if ties else 9)
        results.append({"image_id": image, "category_id": int(kind), "score": score, **shape_of(box, masks)})

    for image in ids:
        for _ in range(rng.integers(0, 9)):
            box = np.array([*rng.integers(0, 50, 2), *rng.choice([6, 10, 20, 24], 2)])
            kind = rng.choice(kinds)
            crowd = int(crowds and rng.random() < 0.15)
            entry = {"id": len(annotations) + 1, "image_id": image, "category_id": int(kind)}
            annotations.append(entry | {"iscrowd": crowd, **shape_of(box, masks)})
            for _ in range(rng.poisson(1.2)):
                moved = box + np.array([*rng.choice([0, 0, 1, 2, 5, 10], 2), *rng.choice([0, 0, 1, 4], 2)])
                found(image, kind if rng.random() < 0.75 else rng.choice(kinds), moved)
        for _ in range(rng.poisson(1.5)):
            found(image, rng.choice(kinds), [*rng.integers(0, 60, 2), *rng.integers(1, 30, 2)])
    if not any(not entry["iscrowd"] for entry in annotations):
        box = [5, 5, 10, 10]
        annotations.append(
            {"id": 99, "image_id": ids[0], "category_id": int(kinds[0]), "iscrowd": 0, **shape_of(box, masks)}
        )
    return truth_of(annotations, ids, kinds.tolist()), [results[i] for i in rng.permutation(len(results))]


def truth_of(annotations, ids, kinds):
    """A ground truth of these annotations."""
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "height": SIZE[0], "width": SIZE[1]} for i in ids],
        "categories": [{"id": k, "name": f"kind {k}"} for k in kinds],
        "annotations": annotations,
    }


def ours(truth, results, settings=None, masks=False):
    """The diagnosis of files."""
    task = instances if masks else detection
    labels = task.read_labels(json.dumps(truth).encode())
    predictions, problems = task.check(json.dumps(results).encode(), labels.index)
    assert problems == []
    return diagnose(labels, predictions, settings)


def theirs(truth, results, foreground=0.5, background=0.1, masks=False):
    """AP, ΔAP of the main and the special errors, and counts, of tidecv; None where it divides by zero."""
    labels, predictions = tidecv.Data("labels"), tidecv.Data("predictions")
    for image in truth["images"]:
        labels.add_image(image["id"], image["file_name"])
    for entry in truth["annotations"]:
        shape = {"mask": entry["segmentation"]} if masks else {"box": entry["bbox"]}
        add = labels.add_ignore_region if entry["iscrowd"] else labels.add_ground_truth
        add(entry["image_id"], entry["category_id"], **shape)
    for entry in results:
        shape = {"mask": entry["segmentation"]} if masks else {"box": entry["bbox"]}
        predictions.add_detection(entry["image_id"], entry["category_id"], entry["score"], **shape)
    peer = tidecv.TIDE(foreground, background, tidecv.TIDE.MASK if masks else tidecv.TIDE.BOX)
    try:
        run = peer.evaluate(labels, predictions)
        parts = run.fix_main_errors(), run.fix_special_errors(), run.count_errors()
    except ZeroDivisionError:
        return None
    return run.ap, *({kind.short_name: value for kind, value in part.items()} for part in parts)


def numbers(diagnosis):
    """All numbers of a diagnosis in the order of `flat`."""
    return flat((diagnosis.ap, diagnosis.delta_ap, diagnosis.special, diagnosis.counts))


def flat(found):
    """What `theirs` gives in one array, in the order of the names."""
    ap, *parts = found
    return np.array([ap, *(part[name] for part in parts for name in sorted(part))])
