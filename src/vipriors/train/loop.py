"""The training loop: one function to read from top to bottom.

`train` knows nothing of tasks. It is given a network, a way to draw batches and a function that turns a
batch into a loss; whatever a method adds (augmentation, a prior's loss) happens in that function. A run can
be stopped at any moment and taken up again: on a CPU the weights at the end are the same to the bit.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from vipriors.train import checkpoint, distributed
from vipriors.train.batches import Batches, step_seed
from vipriors.train.recipe import Execution, Recipe, learning_rate, make_optimizer
from vipriors.train.stopping import Interrupted, stop_requested

Network = TypeVar("Network", bound=nn.Module)

Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
"""Network, images `(B, C, H, W)` in [0, 1], targets, and the step's random numbers, to a scalar."""

Monitor = Callable[[nn.Module], dict[str, float]]
Progress = Callable[[int, int, str], None]
"""Steps done, steps in all, a few words such as the current loss."""


def seed_everything(seed: int, device: torch.device) -> None:
    """Seeds torch's global random numbers on the CPU and one device, for layers that draw, as dropout does.

    `torch.manual_seed` also speaks to every other back end: about 0.1 ms a call, which shows at every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def train(
    model: Network,
    batches: Batches,
    recipe: Recipe,
    loss: Loss,
    *,
    seed: int = 0,
    execution: Execution | None = None,
    folder: Path | None = None,
    resume: bool = False,
    monitor: Monitor | None = None,
    progress: Progress | None = None,
    log_every: int | None = None,
    checkpoint_seconds: float = 30.0,
) -> Network:
    """Trains `model` in place and returns the network that predicts (itself, or its moving average).

    Args:
        model: The network, with its initial weights.
        batches: Draws the batch of a step.
        recipe: Budget, optimiser and schedule.
        loss: Turns a batch into a scalar.
        seed: Decides every random number drawn at a step.
        execution: Device and precision; the best available by default.
        folder: Where `log.jsonl` and `checkpoint.pt` go; nothing is written without one.
        resume: Go on from the checkpoint in `folder` if there is one.
        monitor: Called at every log line with the network that predicts, in evaluation mode; what it
            returns is logged. Must not draw from torch's global random numbers.
        progress: Told at every log line.
        log_every: Steps between log lines; about a hundred lines in all by default.
        checkpoint_seconds: Time between checkpoints.

    Raises:
        Interrupted: On SIGINT or SIGTERM, after saving.
        FloatingPointError: The loss is no longer finite.
    """
    execution = execution or Execution()
    device = execution.resolved_device()
    distributed.check_batch_size(recipe.batch_size)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    distributed.share_norms(model, device)
    optimizer = make_optimizer(model, recipe)
    average = _copy(model) if recipe.ema else None
    parts = {"model": model, "optimizer": optimizer} | ({"average": average} if average is not None else {})
    start, elapsed, running, counted = 0, 0.0, torch.zeros((), device=device), 0
    if resume and folder and (folder / checkpoint.FILE).exists():
        start, elapsed, running, counted = checkpoint.restore(folder, parts, device)
    elif folder and distributed.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log.jsonl").write_text("")

    folder = folder if distributed.rank() == 0 else None
    forward = distributed.shared(torch.compile(model) if execution.compile else model)
    predicting = average if average is not None else model
    generator = torch.Generator()  # on the CPU: draws are few, and nothing then waits for the device
    log_every = log_every or max(1, recipe.steps // 100)
    began = saved = time.monotonic()
    with stop_requested() as stop:
        for step in range(start, recipe.steps):
            # Fresh random numbers from (seed, step): a resumed run draws what it would have drawn anyway.
            seed_everything(step_seed(seed, step) + distributed.rank(), device)
            generator.manual_seed(step_seed(seed, step) ^ 1)
            rate = learning_rate(recipe, step)
            for group in optimizer.param_groups:
                group["lr"] = rate

            model.train()
            images, targets = batches(step)
            with execution.autocast():
                value = loss(forward, images, targets, generator)
            value.backward()  # type: ignore[no-untyped-call]
            distributed.sum_gradients(model)
            if recipe.clip_norm:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            if average is not None:
                _update_average(average, model, min(recipe.ema, (1 + step) / (10 + step)))
            running, counted = running + value.detach(), counted + 1

            done = step + 1
            if done % log_every == 0 or done == recipe.steps:
                mean_loss = float(running) / counted
                if not math.isfinite(mean_loss):
                    raise FloatingPointError(f"the loss became {mean_loss} by step {done}; try a smaller lr")
                running, counted = torch.zeros((), device=device), 0
                seconds = elapsed + time.monotonic() - began
                line = {"step": done, "loss": mean_loss, "lr": rate, "seconds": round(seconds, 3)}
                if monitor:
                    predicting.eval()
                    # Not inference mode: a monitor may lay the weights out anew, and they are trained on.
                    with torch.no_grad():
                        line |= monitor(predicting)
                if folder:
                    with (folder / "log.jsonl").open("a") as log:
                        log.write(json.dumps(line) + "\n")
                if progress:
                    progress(done, recipe.steps, f"loss {mean_loss:.3f}")
            due = done == recipe.steps or time.monotonic() - saved > checkpoint_seconds
            stopping = distributed.anywhere(stop.is_set(), device)
            if folder and (due or stopping):
                seconds = elapsed + time.monotonic() - began
                checkpoint.save(folder, parts, step=done, seconds=seconds, running=running, counted=counted)
                saved = time.monotonic()
            if stopping and done < recipe.steps:
                raise Interrupted(done, recipe.steps)
    return predicting.eval()


def _copy(model: Network) -> Network:
    average = copy.deepcopy(model)
    return average.requires_grad_(False)


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    pairs = [*zip(average.parameters(), model.parameters(), strict=True)]
    torch._foreach_lerp_([a for a, _ in pairs], [p.detach() for _, p in pairs], 1 - decay)
    for kept, buffer in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(buffer)
