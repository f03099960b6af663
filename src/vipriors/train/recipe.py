"""How a network is trained: the fields of every recipe, and what the loop makes of them."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from vipriors.problems import BadInput, Problem


def require(recipe: object, **fields: tuple[bool, str]) -> None:
    """Checks hyper-parameters.

    Args:
        recipe: Has the fields.
        fields: Of each that is checked whether it is as it should be, and how that is.

    Raises:
        BadInput: Lists every field that is not.
    """
    problems = [
        Problem(name, f"is {getattr(recipe, name)}; expected {words}")
        for name, (holds, words) in fields.items()
        if not holds
    ]
    if problems:
        raise BadInput(problems)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; methods inherit these fields and add their own."""

    steps: int = 2000
    """Training budget in optimiser steps."""
    batch_size: int = 32
    """Images in a batch."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """`sgd` is SGD with Nesterov momentum."""
    lr: float = 0.05
    """Learning rate at its peak."""
    momentum: float = 0.9
    """SGD's momentum, or AdamW's first beta."""
    weight_decay: float = 5e-4
    """Weight decay on matrices and filters; biases and normalisation scales are left alone."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises to its peak, before the cosine to zero."""
    label_smoothing: float = 0.0
    """Share of each target spread evenly over all classes."""
    ema: float = 0.0
    """Decay of the moving average of the weights that predicts; 0 predicts with the last weights."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0 leaves gradients as they are."""

    def __post_init__(self) -> None:
        require(
            self,
            steps=(self.steps >= 1, "1 or more"),
            batch_size=(self.batch_size >= 1, "1 or more"),
            lr=(0 < self.lr < math.inf, "more than 0"),
            momentum=(0 <= self.momentum < 1, "0 to less than 1"),
            weight_decay=(0 <= self.weight_decay < math.inf, "0 or more"),
            warmup=(0 <= self.warmup <= 1, "0 to 1"),
            label_smoothing=(0 <= self.label_smoothing < 1, "0 to less than 1"),
            ema=(0 <= self.ema < 1, "0 to less than 1"),
            clip_norm=(0 <= self.clip_norm < math.inf, "0 or more"),
        )


@dataclass(frozen=True)
class Execution:
    """Where and how the arithmetic is done. Changes speed and rounding, not the recipe."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:1`."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the forward pass; `auto` is bfloat16 on a GPU and float32 on a CPU."""
    compile: bool = False
    """Compile the network: slower to start, faster to step."""

    def resolved_device(self) -> torch.device:
        """The torch device meant."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the network runs."""
        device = self.resolved_device()
        half = self.precision == "bfloat16" or (self.precision == "auto" and device.type == "cuda")
        return torch.autocast(device.type, torch.bfloat16) if half else contextlib.nullcontext()


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step (0-based): linear warm-up, then a cosine that reaches zero at the end."""
    warmup = round(recipe.warmup * recipe.steps)
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, recipe.steps - warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(model: nn.Module, recipe: Recipe, axes: int = 2) -> torch.optim.Optimizer:
    """SGD-Nesterov or AdamW over the trainable parameters, decaying only those with `axes` axes or more."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= axes], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < axes], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    return torch.optim.AdamW(groups, recipe.lr, betas=(recipe.momentum, 0.999), fused=True)
