"""Two phases of one training: something is learned first, and a frozen copy of it helps to learn the rest."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vipriors.methods.classification._network import Scaffold

Module = TypeVar("Module", bound=nn.Module)


def frozen(module: Module) -> Module:
    """A copy that does not learn."""
    return copy.deepcopy(module).requires_grad_(False)


class TwoPhases(Scaffold):
    """A scaffold that counts its steps, in a buffer so that a resumed training counts on.

    Args:
        network: What predicts.
        first: Steps of the first phase.
    """

    done: Tensor

    def __init__(self, network: nn.Module, first: int) -> None:
        super().__init__(network)
        self.first = first
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))

    @property
    def preparing(self) -> bool:
        """Whether the next step is one of the first phase."""
        return int(self.done) < self.first

    def learn(self, *inputs: Any) -> Any:
        """What the phase's loss is made of."""
        if int(self.done) == self.first:
            self.turn()
        found = self.prepare(*inputs) if self.preparing else self.apply_prepared(*inputs)
        self.done += 1
        return found

    def turn(self) -> None:
        """Copies what was learned in the first phase; called once, at its end."""
        raise NotImplementedError

    def prepare(self, *inputs: Any) -> Any:
        """A step of the first phase."""
        raise NotImplementedError

    def apply_prepared(self, *inputs: Any) -> Any:
        """A step of the second phase."""
        raise NotImplementedError


def idle(modules: Iterable[nn.Module]) -> Tensor:
    """A zero made of all weights: the fused optimiser can't take up one that had no gradient before."""
    weights = [p.sum() for module in modules for p in module.parameters() if p.requires_grad]
    return torch.stack(weights).sum() * 0
