"""The linear probe: how well classes are told apart by features that were learned without labels.

Its settings are fixed, so that a method cannot do better by choosing them: multinomial logistic regression on
features that are standardised, the sum of its cross-entropies plus half the squared weights, biases free. Of
scikit-learn's `LogisticRegression` that is what it does by default, with more than two classes.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vipriors.train.network import shown
from vipriors.train.recipe import Execution

PENALTY = 1.0
"""Of the squared weights, halved, beside the sum of the cross-entropies."""
ITERATIONS = 500
"""At most, of L-BFGS; it seldom takes a fifth of them."""


def features(encoder: nn.Module, images: NDArray[Any], execution: Execution, batch_size: int = 256) -> Tensor:
    """What an encoder makes of images `(N, H, W, C)`: `(N, D)`, in single precision, where it runs."""
    device = execution.resolved_device()
    # The layout that training leaves, as in `NetworkModel`.
    encoder.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad(), execution.autocast():
        return torch.cat([encoder(batch).float() for batch in shown(images, batch_size, device)])


def logistic_regression(x: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The probe's weights `(K, D)` and biases `(K,)` for features as they are, in double precision.

    Args:
        x: Features `(N, D)`.
        labels: `(N,)`, from 0 to K - 1.
        classes: K.
    """
    x = x.detach().double()
    weights = x.new_zeros(classes, x.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=ITERATIONS, tolerance_grad=1e-5, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        logits = functional.linear(x, weights[:, :-1], weights[:, -1])
        entropy = functional.cross_entropy(logits, labels, reduction="sum")
        value = entropy + PENALTY / 2 * weights[:, :-1].square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(objective)  # type: ignore[no-untyped-call]
    found = weights.detach()
    return found[:, :-1], found[:, -1]


def fit_probe(head: nn.Linear, x: Tensor, labels: Tensor, all_x: Tensor) -> None:
    """Makes a layer the probe, which takes features that are not standardised.

    Args:
        head: From D features to K logits; its weights and biases are set.
        x: Features `(N, D)` of the images with labels.
        labels: `(N,)`, from 0 to K - 1.
        all_x: Features `(M, D)` of all images there are to learn from, by whose mean and deviation features
            are standardised: a few images with labels say little of either.
    """
    mean, deviation = all_x.double().mean(0), all_x.double().std(0, correction=0)
    # A feature that is the same for all images says nothing; it is not to be blown up.
    deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
    weight, bias = logistic_regression((x.double() - mean) / deviation, labels, head.out_features)
    weight = weight / deviation
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias - weight @ mean)
