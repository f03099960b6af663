"""The networks of features against torch, and what is wrong with networks that cannot be used."""

import numpy as np
import pytest
import torch
from generation_cases import CLASSES, SHAPE, images, network
from torch.nn import functional

from vipriors.tasks.feature_network import CHUNK, FeatureNetwork, add_network_faults
from vipriors.tasks.findings import Findings


def by_torch(one: FeatureNetwork, shown: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    weights = {key: torch.from_numpy(np.asarray(value, np.float64)) for key, value in one.weights.items()}
    x = torch.from_numpy(shown).movedim(-1, 1).double() / 255
    x = functional.relu(functional.conv2d(x, weights["conv0.weight"], weights["conv0.bias"], 1, 1))
    x = functional.relu(functional.conv2d(x, weights["conv1.weight"], weights["conv1.bias"], 2, 1))
    x = functional.linear(x.flatten(1), weights["embed.weight"], weights["embed.bias"])
    logits = functional.linear(functional.relu(x), weights["head.weight"], weights["head.bias"])
    return (x - weights["centre"]) / weights["scale"], logits


@pytest.mark.parametrize("shape", [SHAPE, (8, 8, 3), (1, 1, 1)])
def test_by_torch(shape) -> None:
    one = network(shape=shape)
    shown = np.random.default_rng(0).integers(0, 256, (CHUNK + 3, *shape), dtype=np.uint8)
    features, logits = by_torch(one, shown)
    np.testing.assert_allclose(one.features(shown), features.numpy(), atol=1e-10)
    np.testing.assert_allclose(one.logits(shown), logits.numpy(), atol=1e-10)


def test_half_precision_is_stored_and_double_computed() -> None:
    one = network()
    half = FeatureNetwork(one.name, {key: value.astype(np.float16) for key, value in one.weights.items()})
    features, _ = by_torch(half, images(9, 0))
    assert half.features(images(9, 0)).dtype == np.float64
    np.testing.assert_allclose(half.features(images(9, 0)), features.numpy(), atol=1e-10)


def test_a_hash_of_all_weights() -> None:
    one, same, other = network(), network(), network(seed=1)
    assert one.sha256 == same.sha256 != other.sha256
    assert FeatureNetwork("x-1", one.weights | {"scale": np.array(1.71)}).sha256 != one.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        (
            {"conv0.weight": np.zeros((4, 2, 3, 3))},
            "conv0.weight is float64 (4, 2, 3, 3); expected floats (4, 1",
        ),
        ({"conv1.bias": np.zeros(5)}, "conv1.bias is float64 (5,); expected floats (6,)"),
        ({"embed.weight": np.zeros((8, 7))}, "expected floats (8, 36)"),
        ({"embed.bias": None}, "embed.bias is missing"),
        ({"head.weight": np.zeros((4, 8))}, "head.weight is float64 (4, 8); expected floats (3, 8)"),
        ({"centre": np.full(8, np.nan)}, "centre has numbers that are not finite"),
        ({"scale": np.array(0.0)}, "a scale that is not above 0"),
        ({"scale": np.array(2)}, "scale is int64 (); expected floats ()"),
        ({"accuracy": np.array(np.nan)}, None),
    ],
)
def test_faults(changes, message) -> None:
    weights = {key: value for key, value in (network().weights | changes).items() if value is not None}
    findings = Findings("labels.npz")
    add_network_faults(FeatureNetwork("supervised-0", weights), SHAPE, CLASSES, findings)
    found = [str(problem) for problem in findings.problems()]
    assert any(message in one for one in found) if message else found == []


def test_an_unknown_kind() -> None:
    findings = Findings("labels.npz")
    add_network_faults(network("pretrained-0"), SHAPE, CLASSES, findings)
    assert "is of no known kind; expected supervised, self-supervised, random" in str(findings.problems()[0])
