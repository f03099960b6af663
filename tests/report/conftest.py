"""Small finished runs made by hand: no training, no torch, and every number known."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vipriors.data.images import encode
from vipriors.data.manifest import Row, manifest_hash, write_manifest
from vipriors.data.prepared import Dataset
from vipriors.tasks import Index, classification


@dataclass(frozen=True)
class Made:
    run: Path
    data: Path
    ids: list[str]
    images: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray


def log_lines(steps=100, validation=False):
    for step in range(10, steps + 1, 10):
        line = {"step": step, "loss": 2.0 - step / steps, "lr": 0.05 * step / steps, "seconds": step / 10}
        yield line | ({"val_top1": step / steps, "val_loss": 3.0 - step / steps} if validation else {})


def write_log(file, lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_run(made, folder, method, classes, channels, *, scored=True, seed=0, **recipe):
    """A run folder whose predictions are `made`'s."""
    folder.mkdir(parents=True)
    rows = [
        Row(id_, "test", None, f"images/test/{id_}", "", hashlib.sha256(encode(image)[1]).hexdigest())
        for id_, image in zip(made.ids, made.images, strict=True)
    ]
    write_manifest(folder / "manifest.csv", rows)
    file = folder / "predictions.csv"
    classification.write(file, made.ids, made.predicted, made.probabilities)
    record = {
        "format": 1,
        "challenge": {
            "name": "shapes",
            "title": "Shapes, a few a class",
            "task": "classification",
            "source": {"world": "digits"},
            "subset": {"images_per_class": 5},
            "input": {"size": list(made.images.shape[1:3]), "channels": channels},
        },
        "challenge_file": "mine/shapes.yaml",
        "classes": list(classes),
        "images_per_class": 5,
        "subset_seed": 0,
        "manifest_sha256": manifest_hash(rows),
        "method": method,
        "preset": "tiny",
        "hyper_parameters": {
            "steps": 100,
            "lr": 0.05,
            "policy": "none",
            "widths": [16, 32],
            "nesterov": True,
        },
        "seed": seed,
        "fit_on": "train+val",
        "rehearse": True,
        "precision": "auto",
    } | recipe
    (folder / "recipe.json").write_text(json.dumps(record))
    if scored:
        index = Index(tuple(made.ids), len(classes))
        predictions, _ = classification.check(file.read_bytes(), index)
        score = classification.score(predictions, made.truth, index, classes)
        (folder / "scores.json").write_text(json.dumps(score.to_json()))
    outcome = {
        "validation": 0.75,
        "facts": {"seconds": 12.5, "steps": 100, "parameters": 1234567, "final_weights_sha256": "f" * 64},
        "counts": {"train": 3 * len(classes), "val": 2 * len(classes), "test": len(made.ids)},
        "predictions_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "environment": {"python": "3.11.7", "device": "cpu"},
    }
    (folder / "record.json").write_text(json.dumps(outcome))


def write_data(made, classes, channels):
    """The prepared folder, as far as a report looks at it."""
    (made.data / "images/test").mkdir(parents=True)
    (made.data / "labels").mkdir()
    for id_, image in zip(made.ids, made.images, strict=True):
        (made.data / "images/test" / id_).write_bytes(encode(image)[1])
    counts = {"train": 0, "val": 0, "test": len(made.ids)}
    dataset = Dataset(
        challenge="shapes",
        classes=list(classes),
        channels=channels,
        rule={},
        counts=counts,
        cut_sha256="0" * 64,
        manifest_sha256="0" * 64,
    )
    (made.data / "dataset.json").write_text(dataset.model_dump_json())
    lines = [f"{id_},{label}\n" for id_, label in zip(made.ids, made.truth.tolist(), strict=True)]
    (made.data / "labels/test.csv").write_text("Image IDs,Labels\n" + "".join(lines))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    """Makes a run, its floor `svm` and its prepared folder; every third test image is mistaken."""

    def made(
        classes=("circle", "square", "star"),
        *,
        channels=1,
        size=(8, 8),
        per_class=6,
        floor=True,
        scored=True,
        method="residual",
        mistaken=3,
        **recipe,
    ):
        rng = np.random.default_rng(0)
        count = per_class * len(classes)
        images = rng.integers(0, 256, (count, *size, channels), dtype=np.uint8)
        truth = np.arange(count) % len(classes)
        wrong = np.arange(count) % mistaken == 0
        predicted = np.where(wrong, (truth + 1) % len(classes), truth)
        confidence = 0.6 + 0.399 * rng.permutation(count) / count
        probabilities = np.tile(((1 - confidence) / (len(classes) - 1))[:, None], (1, len(classes)))
        probabilities[np.arange(count), predicted] = confidence
        suffix = encode(images[0])[0]
        ids = [f"img_{number}{suffix}" for number in range(count)]
        run, data = tmp_path / "run", tmp_path / "data"
        made = Made(run, data, ids, images, truth, predicted, probabilities)
        write_run(made, run, method, classes, channels, scored=scored, **recipe)
        write_data(made, classes, channels)
        write_log(run / "log.jsonl", log_lines())
        write_log(run / "rehearsal/log.jsonl", log_lines(validation=True))
        if floor:
            worse = np.where(np.arange(count) % 2 == 0, (truth + 1) % len(classes), truth)
            sure = np.eye(len(classes))[worse]
            floor_made = Made(run, data, ids, images, truth, worse, sure)
            write_run(floor_made, run / "floors/svm", "svm", classes, channels, scored=scored, **recipe)
        return made

    return made
