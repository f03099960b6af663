"""Methods of clouds of points: the network against numpy, what PointMixup does in training, the floors."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from method_cases import fitted, small
from method_cases.points import data_set, shapes
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
from vipriors.train import Recipe

NAMES = [listing.name for listing in listings() if listing.family == "points"]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]


def test_full_is_the_published_vanilla_point_net() -> None:
    """0.8 M parameters for 40 classes: weights of the published widths and two for each feature's scale."""
    network = configure("point-net", "full", {}).network((3, 1024), 40)
    widths = [3, 64, 64, 64, 128, 1024, 512, 256]
    weights = sum(a * b for a, b in itertools.pairwise(widths)) + 256 * 40 + 40
    count = sum(p.numel() for p in network.parameters())
    assert count == weights + 2 * sum(widths[1:])
    assert round(count / 1e6, 1) == 0.8


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_points_says_nothing(name) -> None:
    data = data_set()
    model = fitted(name, data).model
    clouds = data.held_out.images
    shuffled = clouds[:, np.random.default_rng(0).permutation(clouds.shape[1])]
    np.testing.assert_allclose(model.probabilities(shuffled), model.probabilities(clouds), atol=1e-5)


def test_every_way_of_mixing_is_another() -> None:
    data = dataclasses.replace(data_set(), invariance=Invariance(), held_out=None)
    ways = [{}, {"gamma": 1.0}, {"pairing": "random"}, {"pairing": "sample"}, {"align": False}, {"layers": 1}]
    found = [fitted("point-mixup", data, **way).facts["final_weights_sha256"] for way in ways]
    assert len(set(found)) == len(found)


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
