"""A trained network as a classifier: standardising, predicting, storing, and what is recorded of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from vipriors.train import (
    Execution,
    NetworkClassifier,
    Standardise,
    forward_flops,
    weights_hash,
    with_weights,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 6, 5, 3), dtype=np.uint8)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 4 * 3, 7)
    )


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=6)))
def test_standardise_equals_numpy(images):
    layer = Standardise.of(images)
    pixels = images.astype(np.float64) / 255
    deviation = pixels.std((0, 1, 2))
    expected = (pixels - pixels.mean((0, 1, 2))) / np.where(deviation > 1e-6, deviation, 1)
    found = layer(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    assert np.allclose(found.permute(0, 2, 3, 1).numpy(), expected, atol=1e-4)


def test_standardise_sees_more_images_than_one_block(tmp_path):
    np.save(
        tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (600, 3, 2, 13), dtype=np.uint8)
    )
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    layer = Standardise.of(images)
    assert np.allclose(layer.mean.numpy().ravel(), (images / 255).mean((0, 1, 2)))
    assert np.allclose(layer.deviation.numpy().ravel(), (images / 255).std((0, 1, 2)))
    assert set(layer.state_dict()) == {"mean", "deviation"}
    assert not list(layer.parameters())


def test_probabilities_are_the_softmax_in_evaluation_mode():
    model = network().train()
    classifier = NetworkClassifier(model, Execution("cpu"))
    found = classifier.probabilities(IMAGES)
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(IMAGES / 255).permute(0, 3, 1, 2).float()).double().numpy()
    exponentials = np.exp(logits)
    assert found.dtype == np.float32
    assert np.allclose(found, exponentials / exponentials.sum(1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5, 22, 23, 1000])
def test_probabilities_do_not_depend_on_the_batch_size(batch_size):
    classifier = NetworkClassifier(network(), Execution("cpu"))
    expected = classifier.probabilities(IMAGES)
    assert np.allclose(classifier.probabilities(IMAGES, batch_size), expected, atol=1e-6)


def test_images_are_left_as_they_are_and_may_be_read_only():
    images = IMAGES.copy()
    images.flags.writeable = False
    NetworkClassifier(network(), Execution("cpu")).probabilities(images)
    assert np.array_equal(images, IMAGES)


def test_bfloat16_answers_float32_rows_that_sum_to_one():
    exact = NetworkClassifier(network(), Execution("cpu")).probabilities(IMAGES)
    found = NetworkClassifier(network(), Execution("cpu", "bfloat16")).probabilities(IMAGES)
    assert found.dtype == np.float32
    assert np.allclose(found.sum(1), 1, atol=1e-6)
    assert np.allclose(found, exact, atol=0.05)
    assert not np.array_equal(found, exact)


def test_saved_and_loaded(tmp_path):
    first = NetworkClassifier(network(), Execution("cpu"))
    first.save(tmp_path)
    second = NetworkClassifier(with_weights(network(seed=1), tmp_path), Execution("cpu"))
    assert np.array_equal(first.probabilities(IMAGES), second.probabilities(IMAGES))
    assert weights_hash(first.network) == weights_hash(second.network)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_the_hash_changes_with_any_weight_or_buffer():
    first = network()
    expected = weights_hash(first)
    assert weights_hash(network()) == expected
    for name, tensor in first.state_dict().items():
        value = tensor.view(-1)[-1].clone()
        tensor.view(-1)[-1] += 1
        assert weights_hash(first) != expected, name
        tensor.view(-1)[-1] = value
    assert weights_hash(first) == expected
    assert weights_hash(first.double()) != expected


def test_the_hash_knows_names_and_shapes_but_not_layout():
    one = nn.ParameterDict({"a": torch.zeros(2, 3)})
    hashes = {
        weights_hash(nn.ParameterDict(weights))
        for weights in ({"a": torch.zeros(2, 3)}, {"b": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}, {})
    }
    assert len(hashes) == 4
    assert weights_hash(one) in hashes
    plain = network()
    before = weights_hash(plain)
    assert weights_hash(plain.to(memory_format=torch.channels_last)) == before


@settings(max_examples=20, deadline=None)
@given(
    c=st.integers(1, 5),
    h=st.integers(3, 9),
    w=st.integers(3, 9),
    out=st.integers(1, 6),
    stride=st.integers(1, 2),
)
def test_flops_of_a_convolution_and_a_linear_layer(c, h, w, out, stride):
    model = nn.Sequential(
        nn.Conv2d(c, out, 3, stride), nn.BatchNorm2d(out), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    model = nn.Sequential(model, nn.Linear(out, 11)).train()
    pixels = ((h - 3) // stride + 1) * ((w - 3) // stride + 1)
    before = weights_hash(model)
    assert forward_flops(model, (c, h, w)) == 2 * (pixels * out * c * 9 + out * 11)
    assert model.training
    assert weights_hash(model) == before
