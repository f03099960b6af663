"""`vipriors tune`: random search over the ranges a method declares, on validation images only.

The subsets searched on have seeds of their own, so that the subsets that are reported decide nothing. The
test images are never read.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from vipriors import methods
from vipriors.bench.contender import Contender
from vipriors.bench.processes import in_processes
from vipriors.challenges.schema import Challenge
from vipriors.data.files import write_atomic
from vipriors.problems import BadInput
from vipriors.runs.prepared import default_folder, find_data, prepare_if_missing
from vipriors.runs.run import Plan, learn

FIRST_SEED = 1000
"""Seed of the first subset that is searched on; reported subsets count from 0."""


@dataclass(frozen=True)
class Search:
    """What is searched, and on what."""

    challenge: Challenge
    contender: Contender
    trials: int
    images_per_class: int | None
    subsets: int
    out: Path
    """Folder for `trials.jsonl` and `recipe.yaml`."""
    source: Path | None = None
    work: Path = Path("data")
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


def draw(search: Search, trial: int) -> dict[str, float]:
    """The values of a trial, even on a logarithmic scale within the method's ranges; the same every time."""
    ranges = methods.load(search.contender.method).tuning
    generator = np.random.default_rng([20200823, trial])
    drawn = {
        name: math.exp(generator.uniform(math.log(low), math.log(high)))
        for name, (low, high) in ranges.items()
    }
    return {name: float(f"{value:.3g}") for name, value in drawn.items()}


def tune(search: Search, *, jobs: int = 1, done: Callable[[dict[str, Any]], None] | None = None) -> Contender:
    """Runs the trials that have not been run, and writes the best as a recipe.

    The best has the lowest validation loss, averaged over the subsets: with a few dozen validation images
    accuracy takes so few values that chance decides between good trials.

    Returns:
        The contender with the values found.

    Raises:
        BadInput: The method declares nothing to search.
    """
    if not hasattr(methods.load(search.contender.method), "tuning"):
        raise BadInput.single(
            search.contender.method, "declares nothing to search; it tunes itself or is fixed"
        )
    search.out.mkdir(parents=True, exist_ok=True)
    log = search.out / "trials.jsonl"
    finished = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = {trial["trial"] for trial in finished}
    for subset in range(search.subsets):
        rule = search.challenge.rule(search.images_per_class, FIRST_SEED + subset)
        folder = search.work / default_folder(search.challenge, rule).name
        prepare_if_missing(search.challenge, rule, folder, search.source)
    todo = [k for k in range(search.trials) if k not in known]
    for _, trial in in_processes(partial(run_trial, search), todo, jobs):
        finished.append(trial)
        with log.open("a") as lines:
            lines.write(json.dumps(trial) + "\n")
        if done:
            done(trial)
    best = min(finished, key=lambda trial: trial["val_loss"])
    settings = search.contender.settings | {name: str(value) for name, value in best["values"].items()}
    recipe = {
        "method": search.contender.method,
        "preset": search.contender.preset,
        "set": settings,
        "found": {
            "challenge": search.challenge.name,
            "images_per_class": search.images_per_class,
            "trials": len(finished),
            "subsets": [FIRST_SEED + subset for subset in range(search.subsets)],
            **{key: round(value, 4) for key, value in best.items() if key.startswith("val_")},
        },
    }
    write_atomic(search.out / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False).encode())
    return dataclasses.replace(search.contender, settings=settings)


def run_trial(search: Search, trial: int) -> dict[str, Any]:
    """Fits one draw of the values to each subset's training images and looks at its validation images."""
    import torch

    from vipriors.train import Execution

    torch.set_num_threads(1)
    values = draw(search, trial)
    settings = search.contender.settings | {name: str(value) for name, value in values.items()}
    lasts = []
    for subset in range(search.subsets):
        seed = FIRST_SEED + subset
        rule = search.challenge.rule(search.images_per_class, seed)
        data = find_data(
            search.challenge, rule, data=search.work / default_folder(search.challenge, rule).name
        )
        plan = Plan(search.contender.method, search.contender.preset, settings, seed=seed, fit_on="train")
        with tempfile.TemporaryDirectory(prefix="vipriors-trial-") as folder:
            try:
                learn(data, plan, Path(folder), execution=Execution(precision=search.precision))
                lasts.append(json.loads((Path(folder) / "log.jsonl").read_text().splitlines()[-1]))
            except FloatingPointError:  # too large a learning rate: as bad as can be, and finite in the log
                lasts.append({"val_loss": 1e9})
    watched = [key for key in lasts[0] if key.startswith("val_") and all(key in last for last in lasts)]
    mean = {key: float(np.mean([last[key] for last in lasts])) for key in watched}
    return {"trial": trial, "values": values, **mean}
