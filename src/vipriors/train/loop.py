"""The training loop: one function to read from top to bottom.

`train` knows nothing of tasks. It is given a network, a way to draw batches and a function that turns a
batch into a loss; whatever a method adds (augmentation, a prior's loss) happens in that function. A run can
be stopped at any moment and taken up again: on a CPU the weights at the end are the same to the bit.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from vipriors.problems import BadInput, Problem
from vipriors.train import distributed
from vipriors.train.batches import Batches, step_seed

Network = TypeVar("Network", bound=nn.Module)

Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
"""Network, images `(B, C, H, W)` in [0, 1], targets, and the step's random numbers, to a scalar."""

Monitor = Callable[[nn.Module], dict[str, float]]
Progress = Callable[[int, int, str], None]
"""Steps done, steps in all, a few words such as the current loss."""


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


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop. Everything up to `step` is saved and `--resume` goes on from there.

    A KeyboardInterrupt, so that nothing that handles errors mistakes it for one.
    """

    def __init__(self, step: int, steps: int):
        self.step = step
        super().__init__(f"stopped after step {step} of {steps}")


def seed_everything(seed: int, device: torch.device) -> None:
    """Seeds torch's global random numbers on the CPU and one device, for layers that draw, as dropout does.

    `torch.manual_seed` also speaks to every other back end: about 0.1 ms a call, which shows at every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


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
    if resume and folder and (folder / "checkpoint.pt").exists():
        start, elapsed, running, counted = _restore(folder, parts, device)
    elif folder and distributed.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log.jsonl").write_text("")

    folder = folder if distributed.rank() == 0 else None
    forward = distributed.shared(torch.compile(model) if execution.compile else model)
    predicting = average if average is not None else model
    generator = torch.Generator()  # on the CPU: draws are few, and nothing then waits for the device
    log_every = log_every or max(1, recipe.steps // 100)
    began = saved = time.monotonic()
    with _stop_requested() as stop:
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
                _save(folder, parts, step=done, seconds=seconds, running=running, counted=counted)
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


def _save(folder: Path, parts: dict[str, Any], **state: Any) -> None:
    """Writes the checkpoint beside the old one and swaps them, so that a kill leaves one of the two."""
    state |= {name: part.state_dict() for name, part in parts.items()}
    partial = folder / "checkpoint.pt.tmp"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / "checkpoint.pt")


def _restore(folder: Path, parts: dict[str, Any], device: torch.device) -> tuple[int, float, Tensor, int]:
    """Loads the checkpoint, and cuts the log back to it: lines after it will be written again."""
    state = torch.load(folder / "checkpoint.pt", map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    log = folder / "log.jsonl"
    lines = [line for line in log.read_bytes().splitlines(True) if _logged_step(line) <= state["step"]]
    os.truncate(log, sum(map(len, lines)))
    return state["step"], state["seconds"], state["running"], state["counted"]


def _logged_step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # the process was killed in the middle of this line
        return math.inf


@contextlib.contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """Turns SIGINT and SIGTERM into a flag that the loop reads between steps.

    A second signal acts at once. Outside the main thread Python allows no handlers, and none are set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in signals}

    def request(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[signal.Signals(number)])

    for number in signals:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number in signals:
            signal.signal(number, previous[number])
