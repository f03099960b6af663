"""Training of the networks that images are measured by: numpy computes what torch has learned."""

import numpy as np
import pytest
import torch

from vipriors.bench.feature_networks import Features, stored, train_all, trained, turned, varied
from vipriors.tasks.feature_network import FeatureNetwork, add_network_faults
from vipriors.tasks.findings import Findings
from vipriors.tasks.generation_labels import networks_of


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright bar on the left (0) or on the right (1)."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 60, (count, 6, 6, 1), dtype=np.uint8), np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        image[:, 1 + 3 * label] += 190
    return images, labels


def test_all_networks() -> None:
    torch.set_num_threads(1)
    images, apart = bars(40, 0), bars(20, 1)
    networks = networks_of(train_all(*images, *apart, steps=2))
    assert [one.name for one in networks] == [
        "random-0",
        *(f"self-supervised-{k}" for k in range(3)),
        *(f"supervised-{k}" for k in range(3)),
    ]
    findings = Findings("networks")
    for one in networks:
        add_network_faults(one, (6, 6, 1), 2, findings)
        assert one.features(apart[0]).mean(0) == pytest.approx(0, abs=1e-9)
        assert one.features(apart[0]).var(0).mean() == pytest.approx(1)
    assert findings.problems() == []
    assert len({one.sha256 for one in networks}) == 7


def test_what_is_learned_is_what_is_stored() -> None:
    torch.set_num_threads(1)
    (images, labels), (apart, truth) = bars(40, 0), bars(20, 1)
    network = trained(images, labels, 2, 0, 60)

    def accuracy(one: FeatureNetwork) -> float:
        return float((one.logits(apart).argmax(1) == truth).mean())

    weights = stored("supervised-0", network, apart, accuracy)
    (found,) = networks_of(weights)
    assert found.accuracy == accuracy(found) > 0.9
    with torch.no_grad():
        expected = network(torch.from_numpy(apart).movedim(-1, 1) / 255)
    np.testing.assert_allclose(found.logits(apart), expected.numpy(), atol=0.02)  # stored in half precision
    same = stored("supervised-0", trained(images, labels, 2, 0, 60), apart, accuracy)
    assert all(np.array_equal(weights[key], same[key]) for key in weights)


def test_turned_and_varied() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 4, 4).repeat(30, 1, 1, 1)
    found, quarters = turned(image, generator)
    assert set(quarters.tolist()) == {0, 1, 2, 3}
    for one, by in zip(found, quarters.tolist(), strict=True):
        assert np.array_equal(one[0].numpy(), np.rot90(image[0, 0].numpy(), by))
    seen = varied(image, generator)
    assert seen.shape == image.shape and seen.min() >= 0 and seen.max() <= 1
    assert len(np.unique(seen.numpy().reshape(30, -1), axis=0)) == 30
    assert Features((3, 7, 5), 4)(torch.zeros(2, 3, 7, 5)).shape == (2, 4)
