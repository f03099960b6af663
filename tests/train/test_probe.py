"""The linear probe against scikit-learn's logistic regression."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from vipriors.train import Execution
from vipriors.train.probe import features, fit_probe, logistic_regression

CPU = Execution("cpu")


def blobs(classes: int, each: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(classes * each) % classes
    return rng.normal(size=(classes, width))[labels] + rng.normal(size=(len(labels), width)), labels


@pytest.mark.parametrize(("classes", "each", "width"), [(3, 2, 5), (4, 30, 8), (10, 3, 40)])
def test_it_is_scikit_learns(classes, each, width):
    x, labels = blobs(classes, each, width)
    weights, biases = logistic_regression(torch.from_numpy(x), torch.from_numpy(labels), classes)
    oracle = LogisticRegression(tol=1e-9, max_iter=10_000).fit(x, labels)
    np.testing.assert_allclose(weights.numpy(), oracle.coef_, atol=2e-4)
    # Free biases are known up to a number that all have in common.
    np.testing.assert_allclose(
        biases - biases.mean(), oracle.intercept_ - oracle.intercept_.mean(), atol=5e-4
    )


def test_two_classes_and_a_class_without_images():
    x, labels = blobs(2, 20, 4)
    weights, biases = logistic_regression(torch.from_numpy(x), torch.from_numpy(labels), 3)
    # With two classes the weights are each other's opposite, so that the penalty of their difference is half.
    oracle = LogisticRegression(C=2.0, tol=1e-9, max_iter=10_000).fit(x, labels)
    weights2, biases2 = logistic_regression(torch.from_numpy(x), torch.from_numpy(labels), 2)
    np.testing.assert_allclose((weights2[1] - weights2[0]).numpy(), oracle.coef_[0], atol=2e-4)
    assert (biases2[1] - biases2[0]).item() == pytest.approx(oracle.intercept_[0], abs=2e-4)
    logits = torch.from_numpy(x) @ weights.T + biases
    assert torch.isfinite(logits).all() and (logits.argmax(1) < 2).all()


def test_the_layer_takes_features_that_are_not_standardised():
    x, labels = blobs(3, 10, 6)
    everything, _ = blobs(3, 40, 6, seed=1)
    scale, shift = np.array([1, 1e3, 1e-3, 1, 5, 1]), np.array([0, 50, 3, -2, 0, 1])
    x, everything = x * scale + shift, everything * scale + shift
    head = nn.Linear(6, 3, dtype=torch.float64)
    fit_probe(head, torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(everything))
    scaler = StandardScaler().fit(everything)
    oracle = LogisticRegression(tol=1e-9, max_iter=10_000).fit(scaler.transform(x), labels)
    found = head(torch.from_numpy(everything)).softmax(1).detach().numpy()
    np.testing.assert_allclose(found, oracle.predict_proba(scaler.transform(everything)), atol=1e-3)
    assert head.weight.requires_grad


def test_a_feature_that_never_varies_counts_for_nothing():
    x, labels = blobs(3, 10, 4)
    head, other = nn.Linear(4, 3), nn.Linear(4, 3)
    x[:, 2] = 7.0
    fit_probe(head, torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(x))
    assert torch.isfinite(head.weight).all() and head.weight[:, 2].abs().max() < 1e-6
    fit_probe(other, *(torch.from_numpy(one) for one in (x, labels, x)))
    assert torch.equal(head.weight, other.weight), "it starts from nothing that is random"


def test_features_are_those_in_evaluation_whatever_the_batch():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    encoder[1].running_mean.uniform_(-1, 1)
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 5, 1), np.uint8)
    found = features(encoder.train(), images, CPU, batch_size=3)
    assert found.shape == (7, 36) and not found.requires_grad and not encoder.training
    expected = encoder(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    torch.testing.assert_close(found, expected.detach())
