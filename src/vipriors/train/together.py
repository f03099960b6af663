"""Several trainings at once on one device: the same network from several seeds, each on its own images.

Small networks leave an accelerator mostly waiting for its next instruction. Here the weights of all seeds
are stacked, and one instruction does the work of all (`torch.func`, `vmap`). Each seed is left with what it
would have been left with alone, to rounding: its batches, augmentation and random numbers are its own. Only
layers that draw, as dropout does, draw differently. Nothing is written on the way, so nothing can be resumed:
this is for trainings of minutes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from vipriors.train.batches import Batches, step_seed
from vipriors.train.loop import seed_everything
from vipriors.train.recipe import Execution, Recipe, learning_rate, make_optimizer

Prepare = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Images `(B, C, H, W)`, targets and the step's random numbers, to what network and loss are given."""

Criterion = Callable[[Tensor, Tensor], Tensor]
"""The network's output and targets to a scalar; draws nothing."""

Progress = Callable[[int, int, str], None]


def train_together(
    networks: Sequence[nn.Module],
    batches: Sequence[Batches],
    recipe: Recipe,
    prepare: Prepare,
    criterion: Criterion,
    *,
    seeds: Sequence[int],
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> list[nn.Module]:
    """Trains several networks of one shape in place; they are left with the weights that predict.

    Args:
        networks: One a seed, with their initial weights.
        batches: One a seed, all of the recipe's batch size.
        recipe: Budget, optimiser and schedule, the same for all.
        prepare: Augments a batch; called for each seed with its random numbers.
        criterion: The loss, such as `functional.cross_entropy`.
        seeds: Decide every random number drawn at a step, as in `train`.
        execution: Device and precision; the best available by default. Nothing is compiled.
        progress: Told about a hundred times.

    Raises:
        ValueError: The numbers of networks, batches and seeds differ.
        FloatingPointError: The loss of a seed is no longer finite.
    """
    if not len(networks) == len(batches) == len(seeds) > 0:
        counts = f"{len(networks)} networks, {len(batches)} batches, {len(seeds)} seeds"
        raise ValueError(f"{counts}; expected as many of each, and one at least")
    execution = execution or Execution()
    device = execution.resolved_device()
    for network in networks:
        network.to(device).train()
    leaves, buffers = stack_module_state(list(networks))
    parameters = {name: nn.Parameter(leaf.detach(), leaf.requires_grad) for name, leaf in leaves.items()}
    optimizer = make_optimizer(nn.ParameterList(parameters.values()), recipe, axes=3)
    average: dict[str, Tensor] | None = None
    if recipe.ema:
        average = {name: value.detach().clone() for name, value in parameters.items()}
    # One copy without weights lends its structure; the weights are given at each call.
    skeleton = copy.deepcopy(networks[0]).to("meta")

    def loss_of(
        weights: dict[str, Tensor], state: dict[str, Tensor], images: Tensor, targets: Tensor
    ) -> Tensor:
        return criterion(functional_call(skeleton, (weights, state), (images,)), targets)

    losses_of: Callable[..., Tensor] = torch.vmap(loss_of, randomness="different")
    generators = [torch.Generator() for _ in seeds]
    told, running = max(1, recipe.steps // 100), torch.zeros(len(seeds), device=device)
    for step in range(recipe.steps):
        seed_everything(step_seed(seeds[0], step), device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        prepared = []
        for draw, generator, seed in zip(batches, generators, seeds, strict=True):
            generator.manual_seed(step_seed(seed, step) ^ 1)
            prepared.append(prepare(*draw(step), generator))
        images = torch.stack([pair[0] for pair in prepared])
        targets = torch.stack([pair[1] for pair in prepared])
        with execution.autocast():
            losses = losses_of(parameters, buffers, images, targets)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        if recipe.clip_norm:
            _clip_each(parameters.values(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        if average is not None:
            decay = min(recipe.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.values()), [p.detach() for p in parameters.values()], 1 - decay)
        running = running + losses.detach()
        if (step + 1) % told == 0 or step + 1 == recipe.steps:
            _check(running, seeds, step + 1)
            if progress:
                progress(step + 1, recipe.steps, f"loss {float(losses.detach().mean()):.3f}")
    kept = (average if average is not None else parameters) | buffers
    return [_unstacked(network, number, kept) for number, network in enumerate(networks)]


def _clip_each(parameters: Iterable[Tensor], most: float) -> None:
    """Shrinks each seed's gradient to a norm of at most `most`, as `clip_grad_norm_` does for one."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients]
    share = (most / (torch.stack(squares).sum(0).sqrt() + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(share.view(-1, *[1] * (gradient.ndim - 1)))


def _check(losses: Tensor, seeds: Sequence[int], step: int) -> None:
    for seed, value in zip(seeds, losses.tolist(), strict=True):
        if not math.isfinite(value):
            raise FloatingPointError(f"seed {seed}: the loss became {value} by step {step}; try a smaller lr")


@torch.no_grad()
def _unstacked(network: nn.Module, number: int, stacked: dict[str, Tensor]) -> nn.Module:
    """A network with its own part of the stacked weights and buffers."""
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        value.copy_(stacked[name][number])
    return network.eval()
