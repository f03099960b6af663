"""The loss that classifiers are tuned by, held against SciPy's minimiser."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from vipriors.methods.classification._network import calibrated_loss

LABELS = np.random.default_rng(1).integers(0, 4, 200)


def loss(log_temperature, logits):
    return -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(200), LABELS].mean()


@pytest.mark.parametrize("flatness", [0.3, 1.0, 4.0])
def test_how_sure_a_network_is_changes_nothing(flatness):
    logits = np.random.default_rng(0).normal(size=(200, 4)) + 2 * np.eye(4)[LABELS]
    best = minimize_scalar(loss, bounds=(-3, 3), args=(logits,)).fun
    assert calibrated_loss(softmax(logits / flatness, axis=1), LABELS) == pytest.approx(best, rel=1e-3)
    assert best < loss(0, logits / 4) - 0.1


def test_without_an_error_it_is_zero_however_flat():
    assert calibrated_loss(softmax(np.eye(4)[LABELS], axis=1), LABELS) == pytest.approx(0, abs=1e-7)
