"""Wider network that chooses its learning rate and weight decay by the norm of its weights.

Source: Brigato, Mougiakakou, "No data augmentation? Alternative regularizations for effective training on
small datasets", ICCV workshops 2023 (arXiv 2309.01694): 66.5 % on ciFAIR-10 with 50 images a class.

Mechanism: a pair of learning rate and weight decay is chosen without validation images: among the pairs with
which the training images are fitted, the one that leaves the smallest weights. With it a wider network is
trained for long.

Shapes: images `(B, C, H, W)` in [0, 1] to logits `(B, K)`.

What is known from the abstract: model size and schedule are scaled, and pairs are chosen by the norm of the
parameters. How exactly is taken from the authors' next paper, "Tune without validation" (arXiv 2403.05532): a
grid, the region of low training loss, the smallest norm in it. Widths, grid and schedule were not found.

Deviations from the paper:
1. The network of `residual`, half as wide again (`full`: WRN-16-16 but for its wide stem), and its other
   settings.
2. Trials take a tenth of the steps each. They come on top of the recipe's steps and are recorded in the
   facts; other methods are given trials by `vipriors tune` instead.
3. Low training loss is within `tolerance` of the lowest, on the training images as they are.
4. The norm is of the filters and matrices, which are what decays.
5. Augmentation is that of all methods here; the paper's 66.5 % is without any strong one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vipriors.methods.classification._network import fit
from vipriors.methods.classification.residual import Residual
from vipriors.methods.protocol import Context, Fitted, TrainingSet


@dataclass(frozen=True)
class Trial:
    """What a short training with one pair came to."""

    lr: float
    weight_decay: float
    loss: float
    """Cross-entropy on the training images."""
    norm: float
    """Of the filters and matrices."""


def smallest_that_fits(trials: Sequence[Trial], tolerance: float) -> Trial:
    """The trial with the smallest norm among those whose loss is close to the lowest.

    Args:
        trials: Of which at least one came to an end.
        tolerance: How much more loss than the lowest is as good.

    Raises:
        FloatingPointError: The loss of none is finite.
    """
    lowest = min(trial.loss for trial in trials)
    if math.isinf(lowest):
        raise FloatingPointError("the loss of every trial became infinite")
    return min((t for t in trials if t.loss <= lowest + tolerance), key=lambda trial: trial.norm)


def spread(low: float, high: float, count: int) -> list[float]:
    """Values with equal ratios from `low` to `high`; their middle if there is one only."""
    values = np.geomspace(low, high, count) if count > 1 else [math.sqrt(low * high)]
    return [float(f"{value:.3g}") for value in values]


@dataclass(frozen=True)
class StrongWide(Residual):
    """Hyper-parameters of the wider network; `lr` and `weight_decay` are chosen in every fit."""

    rates: int = 3
    """Learning rates that are tried, with equal ratios from 0.01 to 0.1."""
    decays: int = 3
    """Weight decays that are tried with each, with equal ratios from 0.001 to 0.1."""
    trial_share: float = 0.1
    """Steps of a trial, as a share of the recipe's."""
    tolerance: float = 0.1
    """How much more training loss than the lowest counts as fitted."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {**values, "width": width}
        for (name, values), width in zip(Residual.presets.items(), (24, 48, 256), strict=True)
    }
    tuning: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Nothing: it chooses by itself."""

    def fit(self, data: TrainingSet, context: Context) -> Fitted:
        """Tries the pairs for a few steps each, then trains with the one chosen."""
        pairs = itertools.product(spread(0.01, 0.1, self.rates), spread(1e-3, 0.1, self.decays))
        trials = [self.trial(data, context, lr, decay) for lr, decay in pairs]
        chosen = smallest_that_fits(trials, self.tolerance)
        method = dataclasses.replace(self, lr=chosen.lr, weight_decay=chosen.weight_decay)
        fitted = fit(method, data, context)
        facts = {
            "chosen_lr": chosen.lr,
            "chosen_weight_decay": chosen.weight_decay,
            "trial_steps": len(trials) * self.trial_steps,
        }
        return Fitted(fitted.model, fitted.facts | facts)

    @property
    def trial_steps(self) -> int:
        """Steps of each trial."""
        return max(1, round(self.trial_share * self.steps))

    def trial(self, data: TrainingSet, context: Context, lr: float, weight_decay: float) -> Trial:
        """A short training on the training images alone."""
        short = dataclasses.replace(self, steps=self.trial_steps, lr=lr, weight_decay=weight_decay)
        alone = dataclasses.replace(data, held_out=None)
        try:
            model = fit(short, alone, Context(seed=context.seed, execution=context.execution)).model
        except FloatingPointError:  # too large a learning rate: it fits nothing
            return Trial(lr, weight_decay, math.inf, math.inf)
        labels = data.train.labels
        likelihood = model.probabilities(data.train.images)[np.arange(len(labels)), labels]
        weights = [p.detach().double() for p in model.network.parameters() if p.ndim > 1]
        norm = math.sqrt(sum(float(weight.square().sum()) for weight in weights))
        return Trial(lr, weight_decay, float(-np.log(likelihood.clip(1e-12)).mean()), norm)
