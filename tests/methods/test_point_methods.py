"""What holds for every method of clouds of points, swept over all; and what PointMixup does in training."""

import dataclasses
import itertools
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch.nn import functional

from vipriors.challenges.schema import Invariance
from vipriors.methods import card_of, configure, listing, listings, load
from vipriors.methods.points._network import Mix
from vipriors.methods.points.cloud_nearest_neighbour import CloudNearestNeighbour, descriptors
from vipriors.methods.points.cloud_prior import CloudPrior
from vipriors.methods.points.point_net import point_net
from vipriors.methods.protocol import Context, Labelled, TrainingSet
from vipriors.priors.augment.point_mixup import PointMixup
from vipriors.priors.augment.points import VaryClouds, turn
from vipriors.problems import BadInput
from vipriors.train import Execution, Interrupted, Recipe

NAMES = [listing.name for listing in listings() if listing.family == "points"]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]
STEPS = 8
CPU = Execution("cpu")


def shapes(labels: np.ndarray, points: int, seed: int) -> np.ndarray:
    """Points of a pole (0), a plate (1) and a ball (2), turned by any yaw."""
    rng = np.random.default_rng(seed)
    ball = rng.normal(size=(len(labels), points, 3))
    ball /= np.linalg.norm(ball, axis=2, keepdims=True)
    stretch = np.array([(0.15, 0.15, 1), (1, 0.7, 0.1), (0.7, 0.7, 0.7)])[labels]
    clouds = torch.from_numpy(ball * stretch[:, None] + 0.1)
    return turn(clouds, torch.from_numpy(rng.uniform(0, 6, len(labels)))).float().numpy()


def data_set(points: int = 40, each: int = 4) -> TrainingSet:
    train, held_out = np.arange(3 * each) % 3, np.arange(15) % 3
    return TrainingSet(
        train=Labelled(shapes(train, points, 0), train),
        classes=("pole", "plate", "ball"),
        invariance=Invariance(rotate=180, scale=0.05),
        held_out=Labelled(shapes(held_out, points, 1), held_out),
    )


def small(name: str, **changes):
    """The method at its tiny preset but narrow, for a few steps."""
    method = configure(name, "tiny", {})
    few = {"steps": STEPS, "batch_size": 6, "widths": (8, 16), "hidden": (8,), "points": 24}
    return dataclasses.replace(method, **(few if name in NETWORKS else {}) | changes)


def fitted(name: str, data: TrainingSet, folder: Path | None = None, seed: int = 0, **changes):
    return small(name, **changes).fit(data, Context(seed=seed, folder=folder, execution=CPU))


def test_the_methods() -> None:
    assert NAMES == ["cloud-nearest-neighbour", "cloud-prior", "point-mixup", "point-net"]
    assert NETWORKS == ["point-mixup", "point-net"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("preset", ["tiny", "small", "full"])
def test_networks_of_every_preset(name, preset) -> None:
    with torch.device("meta"):
        network = configure(name, preset, {}).network((3, 256), 7).eval()
        for points in (1, 33, 256):
            assert network(torch.empty(2, 3, points)).shape == (2, 7)
    assert all(p.requires_grad for p in network.parameters())


def test_full_is_the_published_vanilla_point_net() -> None:
    """0.8 M parameters for 40 classes: weights of the published widths and two for each feature's scale."""
    network = configure("point-net", "full", {}).network((3, 1024), 40)
    widths = [3, 64, 64, 64, 128, 1024, 512, 256]
    weights = sum(a * b for a, b in itertools.pairwise(widths)) + 256 * 40 + 40
    count = sum(p.numel() for p in network.parameters())
    assert count == weights + 2 * sum(widths[1:])
    assert round(count / 1e6, 1) == 0.8


@pytest.mark.parametrize("points", [1, 24, 40])
@pytest.mark.parametrize("name", NAMES)
def test_fitted_saved_and_loaded(name, points, tmp_path) -> None:
    data = data_set(points)
    classifier = fitted(name, data, **({"steps": 2} if name in NETWORKS else {})).model
    found = classifier.probabilities(data.held_out.images)
    assert found.shape == (15, 3) and found.dtype == np.float32
    assert np.isfinite(found).all() and (found >= 0).all()
    assert np.allclose(found.sum(1), 1, atol=1e-5)
    classifier.save(tmp_path)
    loaded = small(name).load(tmp_path, data.image_shape, 3, CPU)
    assert np.array_equal(loaded.probabilities(data.held_out.images), found)
    assert np.allclose(classifier.probabilities(data.held_out.images[:1]), found[:1], atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cloud-prior"])
def test_learns(name) -> None:
    data = data_set(each=8)
    method = small(name, **({"steps": 60, "lr": 0.02, "batch_size": 12} if name in NETWORKS else {}))
    found = method.fit(data, Context(execution=CPU)).model.probabilities(data.held_out.images)
    assert (found.argmax(1) == data.held_out.labels).mean() > 0.85


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_points_says_nothing(name) -> None:
    data = data_set()
    model = fitted(name, data).model
    clouds = data.held_out.images
    shuffled = clouds[:, np.random.default_rng(0).permutation(clouds.shape[1])]
    np.testing.assert_allclose(model.probabilities(shuffled), model.probabilities(clouds), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_log_has_the_held_out_clouds(name, tmp_path) -> None:
    data = data_set()
    classifier = fitted(name, data, tmp_path).model
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    found, truth = classifier.probabilities(data.held_out.images), data.held_out.labels
    assert len(lines) == STEPS
    assert lines[-1]["val_top1"] == pytest.approx((found.argmax(1) == truth).mean())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_classifier(name) -> None:
    data = data_set()
    first, second, other = (fitted(name, data, seed=seed, **few(name)) for seed in (3, 3, 4))
    found = [one.model.probabilities(data.held_out.images) for one in (first, second)]
    assert np.array_equal(*found)
    if name in NETWORKS:
        for key in ("initial_weights_sha256", "final_weights_sha256"):
            assert first.facts[key] == second.facts[key] != other.facts[key]


def few(name: str) -> dict[str, int]:
    return {"steps": 2} if name in NETWORKS else {}


@pytest.mark.parametrize("name", NAMES)
def test_the_held_out_clouds_are_not_learned_from(name) -> None:
    data = data_set()
    alone = fitted(name, dataclasses.replace(data, held_out=None), **few(name)).model
    assert np.array_equal(
        fitted(name, data, **few(name)).model.probabilities(data.train.images),
        alone.probabilities(data.train.images),
    )


EVERYTHING = {"jitter": 0.02, "label_smoothing": 0.1, "ema": 0.9, "dropout": 0.5}


@pytest.mark.parametrize("name", NETWORKS)
def test_resumes_to_the_bit(name, tmp_path) -> None:
    data, method = data_set(), small(name, **EVERYTHING)

    def stop(step: int, steps: int, text: str) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    expected = method.fit(data, Context(seed=1, folder=tmp_path / "whole", execution=CPU))
    with pytest.raises(Interrupted):
        method.fit(data, Context(seed=1, folder=tmp_path / "parts", execution=CPU, progress=stop))
    found = method.fit(data, Context(seed=1, folder=tmp_path / "parts", resume=True, execution=CPU))
    for key in ("initial_weights_sha256", "final_weights_sha256", "parameters", "flops_per_image", "steps"):
        assert found.facts[key] == expected.facts[key]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_set_changes_the_outcome(name) -> None:
    data = dataclasses.replace(data_set(), invariance=Invariance())

    def weights(invariance: Invariance | None = None, **changes) -> str:
        varied = dataclasses.replace(data, invariance=invariance or Invariance())
        return fitted(name, varied, steps=4, **changes).facts["final_weights_sha256"]

    found = [
        weights(),
        weights(Invariance(flip=True)),
        weights(Invariance(rotate=10)),
        weights(Invariance(scale=0.1)),
        *(weights(**{key: value}) for key, value in EVERYTHING.items() if key != "ema"),
        weights(points=20),
    ]
    if name == "point-mixup":
        found += [weights(gamma=1.0), weights(pairing="random"), weights(pairing="sample")]
        found += [weights(align=False), weights(layers=1)]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", NAMES)
def test_clouds_of_one_place_are_no_reason_to_fail(name) -> None:
    labels = np.arange(4) % 2
    clouds = np.zeros((4, 9, 3), np.float32)
    model = fitted(name, TrainingSet(Labelled(clouds, labels), ("a", "b", "c")), **few(name)).model
    for other in (clouds, clouds + 7, shapes(labels, 9, 0)):
        assert np.isfinite(model.probabilities(other)).all()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("point-net", {"points": 0}, "points: is 0; expected 1 or more"),
        ("point-net", {"jitter": -1.0}, "jitter is -1.0; expected 0 or more"),
        ("point-mixup", {"gamma": 0.0}, "gamma is 0.0; expected more than 0"),
        ("point-mixup", {"layers": 2}, "layers: is 2; expected 0 to 1"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(name, changes, message) -> None:
    with pytest.raises(BadInput, match=message):
        small(name, **changes)


# PointNet, and PointMixup in training.


def test_a_point_net_is_what_numpy_makes_of_it() -> None:
    torch.manual_seed(0)
    network = point_net((4, 5), (6,), 3, 0.0)
    clouds = torch.randn(7, 3, 11)
    network.standardise(clouds.transpose(1, 2).numpy())
    network(clouds)  # running statistics
    network.eval()

    def normalised(x: np.ndarray, norm: torch.nn.Module) -> np.ndarray:
        scaled = (x - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
        return (scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()).clip(0)

    points = clouds.transpose(1, 2).numpy()
    x = (points - points.mean((0, 1))) / np.sqrt(((points - points.mean((0, 1))) ** 2).mean())
    for layer in network.layers:
        x = normalised(x @ layer[0].weight.detach().numpy()[:, :, 0].T, layer[1])
    x = normalised(x.max(1) @ network.head[0].weight.detach().numpy().T, network.head[1])
    expected = x @ network.head[4].weight.detach().numpy().T
    np.testing.assert_allclose(network(clouds).detach(), expected, atol=1e-5)


def test_blending_before_the_first_layer_is_blending_the_input() -> None:
    torch.manual_seed(0)
    network = point_net((4, 5), (6,), 3, 0.0).eval()
    network.standardise(np.random.default_rng(0).normal(0.5, 2, (4, 9, 3)).astype(np.float32))
    clouds = torch.randn(6, 9, 3)
    pairs = PointMixup().draw(clouds, torch.Generator().manual_seed(0))
    mixed = network(pairs.clouds(clouds).transpose(1, 2))
    torch.testing.assert_close(network(clouds.transpose(1, 2), Mix(0, pairs.clouds)), mixed)
    deeper = network(clouds.transpose(1, 2), Mix(1, pairs.clouds))
    assert not torch.allclose(deeper, mixed)


@pytest.mark.parametrize("align", [True, False])
def test_the_loss_is_that_of_blends_with_blended_labels(align) -> None:
    method = small("point-mixup", align=align, dropout=0.0, pairing="auction")
    torch.manual_seed(0)
    network = method.network((3, 24), 3).eval()
    clouds, targets, vary = torch.randn(6, 24, 3), torch.eye(3)[torch.arange(6) % 3], VaryClouds()
    found = method.loss(network, clouds, targets, vary, torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(7)
    if not align:
        torch.randint(1, (), generator=generator)  # the layer
    mixed, soft = PointMixup(method.gamma, "auction")(clouds, targets, generator)
    logs = functional.log_softmax(network(mixed.transpose(1, 2)), 1)
    torch.testing.assert_close(found, -(soft * logs).sum(1).mean())
    assert soft.max(1).values.min() < 0.99


def test_training_clouds_are_aligned_once() -> None:
    """Two halves that mirror each other, turned by any yaw, all end with the plane between them at y = 0."""
    half = np.random.default_rng(0).uniform((-1, 0.05, -1), (1, 0.4, 1), (40, 3)) * (1, 1, 0.5)
    cloud = np.concatenate([half, half * (1, -1, 1)])
    cloud -= cloud.mean(0)
    angles = torch.arange(12) * 0.5
    clouds = turn(torch.from_numpy(cloud)[None].expand(12, -1, -1), angles).float().numpy()
    found = small("point-mixup").prepared(clouds)
    width = np.abs(found[:, :, 1]).max(1)
    assert width.max() < np.abs(cloud[:, 1]).max() + 0.06
    assert np.abs(clouds[:, :, 1]).max(1).max() > 0.9
    for kept in (small("point-mixup", align=False), small("point-mixup", layers=1), small("point-net")):
        assert kept.prepared(clouds) is clouds


def test_the_card() -> None:
    card = card_of(listing("point-mixup"))
    assert card is not None and card.system == "T4"
    challenges = {claim.challenge for claim in card.claims}
    assert challenges == {"solids-points", "solids-points-noise", "solids-points-scale"}
    assert {claim.baseline for claim in card.claims} == {
        "point-net",
        "point-net,label_smoothing=0.16",
        "point-mixup,pairing=random",
    }


# The floors.


def test_the_prior_counts_classes() -> None:
    labels = np.array([2, 2, 1, 0])
    data = TrainingSet(Labelled(np.zeros((4, 5, 3), np.float32), labels), ("a", "b", "c"))
    found = CloudPrior().fit(data, Context()).model.probabilities(np.zeros((2, 5, 3), np.float32))
    np.testing.assert_allclose(found, [[0.25, 0.25, 0.5]] * 2)


def test_descriptors_do_not_change_with_yaw_or_place_and_measure_how_far_values_move() -> None:
    cloud = shapes(np.array([1]), 60, 3)
    other = turn(torch.from_numpy(cloud), torch.tensor([1.2])).numpy() + np.float32(0.5)
    np.testing.assert_allclose(descriptors(cloud, 0.5, 1.0), descriptors(other, 0.5, 1.0), atol=0.02)
    wide = shapes(np.array([2]), 60, 4)
    first, second = (descriptors(one, 0.5, 0.0)[0][32:64] for one in (cloud, wide))
    radii = [np.hypot(*(one[0] - one[0].mean(0))[:, :2].T) / 0.5 for one in (cloud, wide)]
    apart = wasserstein_distance(*radii)
    assert np.abs(first - second).sum() * 4 / 32 == pytest.approx(apart, abs=4 / 32)


def test_the_neighbour_chooses_its_weight_on_validation() -> None:
    data = data_set()
    chosen = CloudNearestNeighbour().tuned(data)
    assert chosen.pairs >= 0 and CloudNearestNeighbour(2.0).tuned(data) == CloudNearestNeighbour(2.0)
    found = chosen.fit(data, Context()).model.probabilities(data.train.images)
    assert (found.argmax(1) == data.train.labels).all()


@pytest.mark.parametrize("name", ["cloud-prior", "cloud-nearest-neighbour"])
def test_floors_are_stored_without_pickle(name, tmp_path) -> None:
    fitted(name, data_set()).model.save(tmp_path)
    with np.load(tmp_path / "floor.npz", allow_pickle=False) as stored:
        assert all(np.issubdtype(stored[key].dtype, np.number) for key in stored.files)
