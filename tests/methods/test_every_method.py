"""What holds for every classification method, swept over all that there are."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure, listings, load
from vipriors.methods.protocol import Context, Labelled, TrainingSet
from vipriors.train import Execution, Interrupted, Recipe

NAMES = [listing.name for listing in listings() if listing.family == "classification"]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]
SHAPES = {"grey": (1, 8, 8), "colour": (3, 12, 8), "13 channels": (13, 7, 9)}
STEPS = 14
"""Enough for a loss to fall; a fit is stopped and taken up again after nine."""
CPU = Execution("cpu")
CHEAPER = {"strong-wide": {"rates": 2, "decays": 1}}
"""What a method would otherwise do many times in every fit."""


def images_of(labels: np.ndarray, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """A bright spot on noise; where it is, is the class."""
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    images = rng.integers(0, 100, (len(labels), height, width, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 1 : 2 * label + 3, 2:5] += 150
    return images


def data_set(shape: tuple[int, int, int] = SHAPES["grey"], classes: int = 3, each: int = 6) -> TrainingSet:
    train, held_out = np.arange(classes * each) % classes, np.arange(classes * 4) % classes
    return TrainingSet(
        train=Labelled(images_of(train, shape, 0), train),
        classes=tuple("abcdefgh"[:classes]),
        invariance=Invariance(shift=1, rotate=5, scale=0.05),
        held_out=Labelled(images_of(held_out, shape, 1), held_out),
    )


def small(name: str, **changes):
    """The method at its tiny preset, for a few steps."""
    method = configure(name, "tiny", {})
    few = {"steps": STEPS, "batch_size": 8} if name in NETWORKS else {}
    fewer = {"stages": 2, "width": 8} if hasattr(method, "stages") else {}
    return dataclasses.replace(method, **few | fewer | CHEAPER.get(name, {}) | changes)


def fitted(name: str, data: TrainingSet, folder: Path | None = None, seed: int = 0, **changes):
    return small(name, **changes).fit(data, Context(seed=seed, folder=folder, execution=CPU))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("preset", ["tiny", "small", "full"])
def test_networks_of_every_preset(name, preset):
    method = configure(name, preset, {})
    for image_shape in ((3, 32, 32), (1, 224, 160)):
        with torch.device("meta"):
            network = method.network(image_shape, 7)
            network.eval()
            logits = network(torch.empty(2, *image_shape))
        assert logits.shape == (2, 7)
        count = sum(p.numel() for p in network.parameters())
        assert 1000 < count < {"tiny": 2e6, "small": 2e7, "full": 2e8}[preset]
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_no_strided_1x1_convolutions(name):
    """On a CPU their gradient overruns memory where channels are few (oneDNN issue 6035)."""
    with torch.device("meta"):
        network = configure(name, "tiny", {}).network((3, 224, 224), 10)
    for where, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
            assert module.stride == (1, 1), where


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_fitted_saved_and_loaded(name, shape, tmp_path):
    classes = 2 if shape == "colour" else 3
    data = data_set(SHAPES[shape], classes)
    classifier = fitted(name, data).model
    found = classifier.probabilities(data.held_out.images)
    assert found.shape == (len(data.held_out.labels), classes)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert np.allclose(found.sum(1), 1, atol=1e-5)
    classifier.save(tmp_path)
    loaded = small(name).load(tmp_path, data.image_shape, classes, CPU)
    assert np.array_equal(loaded.probabilities(data.held_out.images), found)
    assert np.allclose(classifier.probabilities(data.held_out.images[:1]), found[:1], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_learns(name):
    data = data_set(each=12)
    method = configure(name, "tiny", {})
    if name in NETWORKS:
        method = dataclasses.replace(method, steps=60, lr=0.05, batch_size=12)
    found = method.fit(dataclasses.replace(data, invariance=Invariance()), Context(execution=CPU))
    assert (found.model.probabilities(data.held_out.images).argmax(1) == data.held_out.labels).mean() > 0.7


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_falls_and_the_log_has_the_held_out_images(name, tmp_path):
    data = data_set()
    classifier = fitted(name, data, tmp_path, steps=30).model
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 30
    # Some methods prepare something first, with another loss; this says for which share of the steps.
    learning = [line["loss"] for line in lines[round(30 * getattr(small(name), "share", 0)) :]]
    third = len(learning) // 3
    assert np.mean(learning[-third:]) < np.mean(learning[:third])
    found, truth = classifier.probabilities(data.held_out.images), data.held_out.labels
    assert lines[-1]["val_top1"] == (found.argmax(1) == truth).mean()
    assert lines[-1]["val_loss"] == pytest.approx(
        -np.log(found[np.arange(len(truth)), truth]).mean(), rel=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_classifier(name):
    data = data_set()
    few = {"steps": 5} if name in NETWORKS else {}
    first, second, other = (fitted(name, data, seed=seed, **few) for seed in (3, 3, 4))
    probabilities = [one.model.probabilities(data.held_out.images) for one in (first, second, other)]
    assert np.array_equal(probabilities[0], probabilities[1])
    if name in NETWORKS:
        for key in ("initial_weights_sha256", "final_weights_sha256"):
            assert first.facts[key] == second.facts[key] != other.facts[key]
        assert first.facts["initial_weights_sha256"] != first.facts["final_weights_sha256"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_held_out_images_are_not_learned_from(name):
    data = data_set()
    alone = fitted(name, dataclasses.replace(data, held_out=None), steps=5)
    found = fitted(name, data, steps=5)
    assert found.facts["final_weights_sha256"] == alone.facts["final_weights_sha256"]


EVERYTHING = {
    "policy": "trivial",
    "cutout": 3,
    "mixup": 0.3,
    "label_smoothing": 0.1,
    "ema": 0.9,
    "clip_norm": 1.0,
}


@pytest.mark.parametrize(
    ("name", "changes"),
    [pytest.param(name, EVERYTHING, id=f"{name} with everything on") for name in NETWORKS]
    + [pytest.param("residual", {}, id="residual as it is")],
)
def test_resumes_to_the_bit(name, changes, tmp_path):
    data, method = data_set(SHAPES["colour"]), small(name, **changes)

    def stop(step: int, steps: int, text: str) -> None:
        if step == 9:
            os.kill(os.getpid(), signal.SIGINT)

    expected = method.fit(data, Context(seed=1, folder=tmp_path / "whole", execution=CPU))
    with pytest.raises(Interrupted):
        method.fit(data, Context(seed=1, folder=tmp_path / "parts", execution=CPU, progress=stop))
    found = method.fit(data, Context(seed=1, folder=tmp_path / "parts", resume=True, execution=CPU))
    for key in ("initial_weights_sha256", "final_weights_sha256", "parameters", "flops_per_image", "steps"):
        assert found.facts[key] == expected.facts[key]


@pytest.mark.parametrize("name", NETWORKS)
def test_whatever_varies_images_or_targets_changes_the_outcome(name):
    data = data_set(SHAPES["colour"])
    fields = {field: EVERYTHING[field] for field in ("cutout", "mixup", "policy", "label_smoothing")}
    fields["cutmix"] = 0.3
    found = {"plain": fitted(name, data, steps=3).facts["final_weights_sha256"]}
    for field, value in fields.items():
        found[field] = fitted(name, data, steps=3, **{field: value}).facts["final_weights_sha256"]
    assert len(set(found.values())) == len(found), found


@pytest.mark.parametrize("name", NETWORKS)
def test_invariances_vary_the_images(name):
    data = data_set(SHAPES["colour"])
    found = {
        fitted(name, dataclasses.replace(data, invariance=invariance), steps=3).facts["final_weights_sha256"]
        for invariance in (
            Invariance(),
            Invariance(flip=True),
            Invariance(shift=1),
            Invariance(rotate=10),
            Invariance(scale=0.1),
        )
    }
    assert len(found) == 5


@pytest.mark.parametrize("name", NETWORKS)
def test_facts(name):
    facts = fitted(name, data_set(SHAPES["colour"]), steps=1).facts
    network = small(name).network(SHAPES["colour"], 3)
    assert facts["parameters"] == sum(p.numel() for p in network.parameters())
    assert facts["steps"] == 1
    assert facts["flops_per_image"] > 2 * facts["parameters"]
    assert facts["seconds"] >= 0


@pytest.mark.parametrize("name", NETWORKS)
def test_fewer_images_than_a_batch(name):
    data = data_set(each=1)
    assert np.isfinite(
        fitted(name, data, steps=2, batch_size=32).model.probabilities(data.train.images)
    ).all()
