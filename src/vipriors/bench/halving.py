"""Asynchronous successive halving: of the trials of a search, those that look poor are stopped early.

Source: Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar, "A system for massively
parallel hyperparameter tuning", MLSys 2020, as Ray Tune implements it.

A trial trains on one subset after another. At a quarter and at half of all its work, its validation loss so
far (the mean over the subsets that are done and the one under way) must be among the better half of those
that came as far. The first look is that late, and only half are stopped, because the learning rate falls to
zero only at the end of a training: early losses say little of late ones, where one subset is searched on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from vipriors.bench.cluster import connected, gpu_share
from vipriors.bench.tune import POOREST, Search, draw, failed, merit, run_trial
from vipriors.bench.workers import Failure, Workers

WHOLE, FIRST_LOOK, KEPT = 100, 25, 2
"""Work of a trial, when it is looked at first, and the part that goes on: one in `KEPT`."""


class Keep(tune.Callback):  # type: ignore[misc, name-defined]
    """Hands on what became of each trial.

    Args:
        search: What is searched.
        keep: Told of every trial as it ends.
    """

    def __init__(self, search: Search, keep: Callable[[dict[str, Any]], None]) -> None:
        self.search, self.keep = search, keep

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune stores its callbacks, to go on after a crash; here the log of trials serves for that

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has come to its end, or was stopped."""
        number, last = trial.config["trial"], trial.last_result
        stopped = {"val_loss": last.get("loss", POOREST), "stopped": last.get("part", 0) / WHOLE}
        values = {"trial": number, "values": draw(self.search, number)}
        self.keep(last.get("found") or values | stopped)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has failed."""
        error = trial.get_pickled_error()
        self.keep(failed(self.search, trial.config["trial"], Failure.of(getattr(error, "cause", error))))


def run_trials(
    search: Search, todo: Sequence[int], workers: Workers, keep: Callable[[dict[str, Any]], None]
) -> None:
    """Runs trials on Ray Tune, each with one CPU.

    Args:
        search: What is searched.
        todo: Numbers of the trials.
        workers: Where; without a Ray of theirs, one is started here.
        keep: Told of every trial as it ends: finished, `stopped` after a share of its work, or `failed`.

    Raises:
        BadInput: The cluster cannot be reached.
    """
    # Tune would write tables and events of its own beside every trial, and print what it does.
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    if not todo:
        return

    def trial(config: dict[str, Any]) -> None:
        told = 0

        def watch(share: float, loss: float) -> None:
            nonlocal told
            part = min(int(WHOLE * share), WHOLE - 1)  # the last word is said below
            if part > told:
                told = part
                tune.report({"part": part, "loss": loss})

        found = run_trial(search, config["trial"], watch)
        tune.report({"part": WHOLE, "loss": merit(found), "found": found})

    with connected(workers.ray or "local", workers.jobs) as ray, tempfile.TemporaryDirectory() as folder:
        resources = {"cpu": 1, "gpu": gpu_share(ray, workers.gpus_per_run)}
        looks = ASHAScheduler(
            "part", "loss", "min", max_t=WHOLE, grace_period=FIRST_LOOK, reduction_factor=KEPT
        )
        tune.Tuner(
            tune.with_resources(trial, resources),
            param_space={"trial": tune.grid_search(list(todo))},
            tune_config=tune.TuneConfig(scheduler=looks, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Keep(search, keep)]),
        ).fit()
