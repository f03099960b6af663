"""What holds for every method of every task, swept over all that there are; `method_cases` has the data."""

import dataclasses
import functools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from method_cases import CPU, FLOORS, NAMES, NETWORKS, STEPS, case_of, fitted, made, small
from torch import nn

from vipriors.challenges.schema import METHODS
from vipriors.methods import configure, listing, listings
from vipriors.methods.protocol import Context, Fitted, Labelled, TrainingSet
from vipriors.train import Interrupted

WEIGHTS = ("initial_weights_sha256", "final_weights_sha256")
BRIEF = 2
"""Steps where a fit is only to be compared with another one."""


def without_held_out(data: TrainingSet) -> TrainingSet:
    return dataclasses.replace(data, held_out=None)


@functools.cache
def brief(name: str) -> Fitted:
    """Seed 0 for two steps on the usual data, without looking at held-out data."""
    return fitted(name, without_held_out(case_of(name).data()), steps=BRIEF)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Fitted, Path]]:
    """A fit to the usual data with its folder, made once."""

    @functools.cache
    def fit(name: str) -> tuple[Fitted, Path]:
        folder = tmp_path_factory.mktemp(name)
        return fitted(name, folder=folder), folder

    return fit


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    assert all(map(np.array_equal, found, expected))


def assert_restored(name: str, fit: Fitted, data: TrainingSet, folder: Path) -> None:
    """What a model says is sound, does not depend on the images beside, and is the same once loaded."""
    case, images = case_of(name), data.held_out.images
    case.sound(fit.model, images, data)
    expected = case.outputs(fit.model, images)
    assert any(one.size for one in expected), "nothing was found"
    (alone,) = case.outputs(fit.model, images[:1])
    assert case.alike(alone, expected[0])
    fit.model.save(folder)
    loaded = small(name).load(folder, data.image_shape, len(data.classes), CPU)
    assert_equal(case.outputs(loaded, images), expected)


def test_every_task_has_a_case_and_a_baseline_that_is_found():
    for task in {one.family for one in listings()}:
        baseline, floors = METHODS[task]
        assert case_of(baseline).data().held_out is not None
        assert baseline in NETWORKS
        assert set(floors) <= set(FLOORS)


@pytest.mark.parametrize("preset", ["tiny", "small", "full"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_every_preset_are_built_of_random_weights(name, preset, monkeypatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    case = case_of(name)
    with torch.device("meta"):
        for network in case.built(configure(name, preset, {})):
            assert 1000 < sum(p.numel() for p in network.parameters()) < case.most[preset]
            assert all(p.requires_grad for p in network.parameters())
            for where, module in network.named_modules():
                # On a CPU their gradient overruns memory where channels are few (oneDNN issue 6035).
                if isinstance(module, nn.Conv2d | nn.Conv3d) and max(module.kernel_size) == 1:
                    assert max(module.stride) == 1, where


@pytest.mark.parametrize("name", NAMES)
def test_fitted_saved_and_loaded(name, usual, tmp_path):
    assert_restored(name, usual(name)[0], case_of(name).data(), tmp_path)


@pytest.mark.parametrize(
    ("name", "other"), [(name, other) for name in NAMES for other in case_of(name).others]
)
def test_images_of_other_shapes(name, other, tmp_path):
    case = case_of(name)
    data = case.data(**case.others[other])
    assert_restored(name, fitted(name, without_held_out(data)), data, tmp_path)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in case_of(name).learning.blind])
def test_learns(name, tmp_path):
    case = case_of(name)
    learning = case.learning
    data = dataclasses.replace(case.data(**learning.data), invariance=learning.invariance)
    changes = learning.changes if name in NETWORKS else {}
    method = made(name, learning.narrow, **changes)
    fit = method.fit(without_held_out(data), Context(folder=tmp_path, execution=CPU))
    assert learning.score(fit.model, data) > learning.least
    if name in NETWORKS:
        lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        # Some methods prepare something first, with another loss; this says for which share of the steps.
        losses = [line["loss"] for line in lines[round(len(lines) * getattr(method, "share", 0)) :]]
        third = len(losses) // 3
        assert np.mean(losses[-third:]) < np.mean(losses[:third])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_log_has_the_held_out_data(name, usual):
    fit, folder = usual(name)
    case = case_of(name)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    found = {key: value for key, value in lines[-1].items() if key.startswith("val_")}
    expected = case.monitored(fit.model, case.data())
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_model(name):
    case = case_of(name)
    data = without_held_out(case.data())
    first = brief(name)
    second, other = (fitted(name, data, seed=seed, steps=BRIEF) for seed in (0, 1))
    images = case.data().held_out.images
    assert_equal(case.outputs(second.model, images), case.outputs(first.model, images))
    if name in NETWORKS:
        for key in WEIGHTS:
            assert first.facts[key] == second.facts[key] != other.facts[key]
        assert first.facts[WEIGHTS[0]] != first.facts[WEIGHTS[1]]


@pytest.mark.parametrize("name", NAMES)
def test_the_held_out_data_is_not_learned_from(name):
    case = case_of(name)
    data = case.data()
    found, alone = fitted(name, data, steps=BRIEF), brief(name)
    assert_equal(case.outputs(found.model, data.train.images), case.outputs(alone.model, data.train.images))
    if name in NETWORKS:
        assert found.facts[WEIGHTS[1]] == alone.facts[WEIGHTS[1]]


@pytest.mark.parametrize(
    ("name", "everything"),
    [pytest.param(name, True, id=f"{name} with everything on") for name in NETWORKS]
    + [pytest.param(baseline, False, id=f"{baseline} as it is") for baseline, _ in METHODS.values()],
)
def test_resumes_to_the_bit(name, everything, tmp_path):
    case = case_of(name)
    data, method = case.data(), small(name, **(case.everything if everything else {}))

    def stop(step: int, steps: int, text: str) -> None:
        if step == STEPS - 2:
            os.kill(os.getpid(), signal.SIGINT)

    expected = method.fit(data, Context(seed=1, folder=tmp_path / "whole", execution=CPU))
    with pytest.raises(Interrupted):
        method.fit(data, Context(seed=1, folder=tmp_path / "parts", execution=CPU, progress=stop))
    found = method.fit(data, Context(seed=1, folder=tmp_path / "parts", resume=True, execution=CPU))
    for key in (*WEIGHTS, "parameters", "flops_per_image", "steps"):
        assert found.facts[key] == expected.facts[key]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_varies_images_or_targets_changes_the_outcome(name):
    case = case_of(name)
    data, plain = without_held_out(case.data()), dict(case.plain(small(name)))
    fits = [fitted(name, data, steps=BRIEF, **plain | change) for change in ({}, *case.varied)]
    assert len({fit.facts[WEIGHTS[1]] for fit in fits}) == len(fits), case.varied


@pytest.mark.parametrize("name", NETWORKS)
def test_invariances_vary_the_images(name):
    case = case_of(name)
    plain = case.plain(small(name))
    sets = [dataclasses.replace(case.data(), invariance=one, held_out=None) for one in case.invariances]
    fits = [fitted(name, data, steps=BRIEF, **plain) for data in sets]
    assert len({fit.facts[WEIGHTS[1]] for fit in fits}) == len(fits), case.invariances


@pytest.mark.parametrize("name", NETWORKS)
def test_facts(name, usual):
    facts, case = usual(name)[0].facts, case_of(name)
    network = case.network(small(name), case.data())
    looking = sum(p.numel() for p in case.looks(network).parameters())
    assert facts["parameters"] == sum(p.numel() for p in case.predicts(network).parameters())
    assert facts["steps"] == STEPS * (2 if case.special.get(name, {}).get("evaluation") == "fine-tune" else 1)
    assert facts["flops_per_image"] > 2 * looking
    assert facts["seconds"] >= 0


@pytest.mark.parametrize("name", NETWORKS)
def test_fewer_images_than_a_batch(name):
    case = case_of(name)
    data = case.data()
    few = TrainingSet(Labelled(data.train.images[:3], data.train.labels[:3]), data.classes, data.invariance)
    case.sound(fitted(name, few, steps=BRIEF).model, data.held_out.images, data)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_images_are_no_reason_to_fail(name):
    case = case_of(name)
    data = case.data()
    first, *_ = case.extremes(data.train.images)
    flat = TrainingSet(Labelled(first, data.train.labels), data.classes)
    for model in (fitted(name, flat, steps=BRIEF).model, brief(name).model):
        for images in (data.held_out.images, *case.extremes(data.held_out.images)):
            case.sound(model, images, data)


@pytest.mark.parametrize("name", FLOORS)
def test_floors_are_stored_without_pickle(name, usual, tmp_path):
    usual(name)[0].model.save(tmp_path)
    files = list(tmp_path.iterdir())
    if name == "random-features":  # a network after all, with weights as torch keeps them
        assert set(torch.load(files[0], weights_only=True))
        return
    assert [file.suffix for file in files] == [".npz"], listing(name).module
    with np.load(files[0], allow_pickle=False) as stored:
        assert all(stored[key].dtype.kind in "iufb" for key in stored.files)
