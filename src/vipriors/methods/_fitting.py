"""Fitting a network with the engine, as the methods of every task do it; what a fit says of itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vipriors.methods.protocol import Context
from vipriors.train import Batches, Recipe, seed_everything, step_seed, train, weights_hash
from vipriors.train.loop import Loss, Monitor, Network


def fresh(make: Callable[[], Network], context: Context) -> Network:
    """A network with weights that depend on the fit's seed alone."""
    # They are drawn on the CPU, so that every device starts from the same ones.
    seed_everything(step_seed(context.seed, -1), torch.device("cpu"))
    return make()


def fit_network(
    recipe: Recipe,
    network: Network,
    batches: Batches,
    loss: Loss,
    context: Context,
    *,
    monitor: Monitor | None,
    log_lines: int = 100,
    flops: Callable[[Network], int],
) -> tuple[Network, dict[str, Any]]:
    """Trains a network with the common loop.

    Args:
        recipe: The method's.
        network: With fresh weights.
        batches: Draws what a step learns from.
        loss: Of a batch.
        context: Seed, folder, device and so on.
        monitor: Looks at the held-out images, where there are any.
        log_lines: Lines of the log, each with such a look.
        flops: Operations of the trained network for one image or clip.

    Returns:
        The network that predicts, and the facts that `Fitted` records.
    """
    initial = weights_hash(network)
    began = time.monotonic()
    trained = train(
        network,
        batches,
        recipe,
        loss,
        seed=context.seed,
        execution=context.execution,
        folder=context.folder,
        resume=context.resume,
        monitor=monitor,
        progress=context.progress,
        log_every=max(1, recipe.steps // log_lines),
    )
    facts = {
        "seconds": round(max(time.monotonic() - began, _logged_seconds(context.folder)), 2),
        "steps": recipe.steps,
        "parameters": parameters(network),
        "flops_per_image": flops(trained),
        "initial_weights_sha256": initial,
        "final_weights_sha256": weights_hash(trained),
    }
    return trained, facts


def _logged_seconds(folder: Path | None) -> float:
    """Seconds of training by the log, which counts those before an interruption too."""
    if folder is None:
        return 0.0
    return float(json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["seconds"])


def parameters(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(p.numel() for p in network.parameters())
