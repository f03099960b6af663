"""`vipriors tune`: search over the ranges a method declares, on validation images only.

The subsets searched on have seeds of their own, so that the subsets that are reported decide nothing. The
test images are never read. Both ways to search try the same draws; successive halving (`halving.py`) stops
some of them early.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from vipriors import methods
from vipriors.bench.contender import Contender
from vipriors.bench.workers import Failure, Workers
from vipriors.challenges.schema import Challenge
from vipriors.data.files import write_atomic
from vipriors.data.subset import Rule
from vipriors.problems import BadInput
from vipriors.runs.prepared import default_folder, find_data, prepare_if_missing
from vipriors.runs.run import Plan, learn

Watch = Callable[[float, float], None]
"""Told how much of a trial is done, 0 to 1, and its `merit` so far."""

POOREST = 1e9
"""Validation loss of a trial that failed: as bad as can be, and finite in the log."""
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
    method: Literal["random", "asha"] = "random"
    """`asha` stops trials early that look poor."""


def draw(search: Search, trial: int) -> dict[str, float]:
    """The values of a trial, even on a logarithmic scale within the method's ranges; the same every time."""
    ranges = methods.load(search.contender.method).tuning
    generator = np.random.default_rng([20200823, trial])
    drawn = {
        name: math.exp(generator.uniform(math.log(low), math.log(high)))
        for name, (low, high) in ranges.items()
    }
    return {name: float(f"{value:.3g}") for name, value in drawn.items()}


def tune(
    search: Search,
    workers: Workers | None = None,
    *,
    done: Callable[[dict[str, Any]], None] = lambda trial: None,
) -> Contender:
    """Runs the trials that have not been run, and writes the best as a recipe.

    The best has the lowest validation loss, averaged over the subsets, and for classifiers the lowest at the
    temperature that suits them: with a few dozen validation images accuracy takes so few values that chance
    decides between good trials. One that was stopped is never best.

    Args:
        search: What to search.
        workers: Who runs the trials; one process by default.
        done: Told of every trial that has ended.

    Returns:
        The contender with the values found.

    Raises:
        BadInput: The method declares nothing to search, or no trial came to its end.
    """
    if not getattr(methods.load(search.contender.method), "tuning", None):
        raise BadInput.single(
            search.contender.method, "declares nothing to search; it tunes itself or is fixed"
        )
    search = dataclasses.replace(
        search, work=search.work.absolute(), source=search.source and search.source.absolute()
    )
    search.out.mkdir(parents=True, exist_ok=True)
    log = search.out / "trials.jsonl"
    finished = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = {trial["trial"] for trial in finished}
    for subset in range(search.subsets):
        rule = search.challenge.rule(search.images_per_class, FIRST_SEED + subset)
        prepare_if_missing(search.challenge, rule, _folder(search, rule), search.source)

    def keep(trial: dict[str, Any]) -> None:
        finished.append(trial)
        with log.open("a") as lines:
            lines.write(json.dumps(trial) + "\n")
        done(trial)

    todo = [k for k in range(search.trials) if k not in known]
    if search.method == "asha":
        from vipriors.bench.halving import run_trials

        run_trials(search, todo, workers or Workers(), keep)
    else:
        for number, outcome in (workers or Workers()).map(partial(run_trial, search), todo):
            keep(failed(search, number, outcome) if isinstance(outcome, Failure) else outcome)
    whole = [trial for trial in finished if not {"stopped", "failed"} & trial.keys()]
    if not whole:
        causes = "; ".join(sorted({str(trial.get("failed", "stopped early")) for trial in finished}))
        raise BadInput.single(search.out, f"no trial came to its end: {causes}")
    return _write_best(search, whole, len(finished))


def run_trial(search: Search, trial: int, watch: Watch | None = None) -> dict[str, Any]:
    """Fits one draw of the values to each subset's training images and looks at its validation images.

    Args:
        search: What is searched.
        trial: Number of the draw.
        watch: Told of every line of the log of a training.
    """
    import torch

    from vipriors.train import Execution

    torch.set_num_threads(1)
    values = draw(search, trial)
    settings = search.contender.settings | {name: str(value) for name, value in values.items()}
    lasts: list[dict[str, float]] = []
    for subset in range(search.subsets):
        seed = FIRST_SEED + subset
        rule = search.challenge.rule(search.images_per_class, seed)
        data = find_data(search.challenge, rule, data=_folder(search, rule), source=search.source)
        plan = Plan(search.contender.method, search.contender.preset, settings, seed=seed, fit_on="train")
        with tempfile.TemporaryDirectory(prefix="vipriors-trial-") as folder:

            def look(_stage: str, steps: int, total: int, _words: str, out: Path = Path(folder)) -> None:
                line = last_line(out)
                if watch and "val_loss" in line:
                    losses = [merit(last) for last in lasts] + [merit(line)]
                    watch((len(lasts) + steps / total) / search.subsets, float(np.mean(losses)))

            try:
                execution = Execution(precision=search.precision)
                learn(data, plan, Path(folder), execution=execution, progress=look)
                lasts.append(last_line(Path(folder)))
            except FloatingPointError:  # too large a learning rate
                lasts.append({"val_loss": POOREST})
    watched = [key for key in lasts[0] if key.startswith("val_") and all(key in last for last in lasts)]
    mean = {key: float(np.mean([last[key] for last in lasts])) for key in watched}
    return {"trial": trial, "values": values, **mean}


def merit(line: Mapping[str, Any]) -> float:
    """What trials are chosen by, the less the better, from a line of a log or of the trials."""
    return float(line.get("val_calibrated_loss", line["val_loss"]))


def failed(search: Search, trial: int, failure: Failure) -> dict[str, Any]:
    """What is kept of a trial that failed."""
    return {"trial": trial, "values": draw(search, trial), "val_loss": POOREST, "failed": failure.error}


def last_line(run: Path) -> dict[str, float]:
    """The last line of a training's log; empty if there is none yet."""
    log = run / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    found: dict[str, float] = json.loads(lines[-1]) if lines else {}
    return found


def _folder(search: Search, rule: Rule) -> Path:
    return search.work / default_folder(search.challenge, rule).name


def _write_best(search: Search, trials: Sequence[dict[str, Any]], count: int) -> Contender:
    best = min(trials, key=merit)
    settings = search.contender.settings | {name: str(value) for name, value in best["values"].items()}
    recipe = {
        "method": search.contender.method,
        "preset": search.contender.preset,
        "set": settings,
        "found": {
            "challenge": search.challenge.name,
            "images_per_class": search.images_per_class,
            "trials": count,
            "search": search.method,
            "subsets": [FIRST_SEED + subset for subset in range(search.subsets)],
            **{key: round(value, 4) for key, value in best.items() if key.startswith("val_")},
        },
    }
    write_atomic(search.out / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False).encode())
    return dataclasses.replace(search.contender, settings=settings)
