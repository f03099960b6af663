"""`bench` and `tune`: methods measured side by side."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipriors.cli.output import Commands, add_command, answer, progress

if TYPE_CHECKING:
    from vipriors.bench.grid import Grid
    from vipriors.bench.records import Cell
    from vipriors.bench.workers import Workers


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    bench = add_command(commands, "bench", bench_, "run methods on subsets of several sizes and seeds")
    bench.add_argument("challenge", help="its name, or the path of its YAML file")
    bench.add_argument(
        "methods",
        nargs="+",
        metavar="METHOD",
        help="METHOD, METHOD:PRESET or a recipe.yaml; NAME=METHOD,lr=0.1 names one and sets a value",
    )
    bench.add_argument(
        "--sizes",
        type=whole_numbers,
        default=(None,),
        metavar="5,10,…",
        help="images a class, or in all where they have none (default: as the challenge takes)",
    )
    bench.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N-1 (default: 5)")
    bench.add_argument("--out", type=Path, required=True, metavar="DIR", help="records, one file a cell")
    bench.add_argument("--retry-failed", action="store_true", help="run cells again that failed before")

    tune = add_command(commands, "tune", tune_, "search a method's hyper-parameters on validation images")
    tune.add_argument("challenge", help="its name, or the path of its YAML file")
    tune.add_argument("method", help="METHOD, METHOD:PRESET or a recipe.yaml")
    tune.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="kept fixed")
    tune.add_argument("--trials", type=int, default=20, metavar="N", help="draws of the values (default: 20)")
    tune.add_argument(
        "--method",
        choices=("random", "asha"),
        default="random",
        dest="search",
        help="asha stops trials early that look poor, on Ray Tune (default: random)",
    )
    tune.add_argument("--images-per-class", type=int, metavar="N", help="training and validation images")
    tune.add_argument("--subsets", type=int, default=3, metavar="N", help="to average over (default: 3)")
    tune.add_argument("--out", type=Path, required=True, metavar="DIR", help="trials.jsonl and recipe.yaml")
    for command in (bench, tune):
        command.add_argument("--source", type=Path, metavar="DIR", help="your copy of the source")
        command.add_argument("--work", type=Path, default=Path("data"), metavar="DIR", help="prepared images")
        command.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
        add_workers(command)


def add_workers(command: argparse.ArgumentParser) -> None:
    """Arguments that say who does the work."""
    command.add_argument(
        "--jobs", type=whole_number, metavar="N", help="processes (default: one a core; 0: this one)"
    )
    command.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="work on a Ray cluster, or without an address on a Ray started here",
    )
    command.add_argument(
        "--gpus-per-run",
        type=gpu_share,
        metavar="X",
        help="part of a GPU that a run takes, as 0.2 for five that share one; on Ray",
    )


def whole_numbers(text: str) -> tuple[int, ...]:
    """`5,10` as numbers; argparse turns the ValueError of anything else into wrong usage."""
    return tuple(int(part) for part in text.split(","))


def whole_number(text: str) -> int:
    """A number of processes."""
    if int(text) < 0:
        raise ValueError
    return int(text)


def gpu_share(text: str) -> float:
    """A part of a GPU, or several whole ones."""
    share = float(text)
    if not 0 <= share < 1000 or (share > 1 and share != int(share)):
        raise ValueError
    return share


def bench_(arguments: argparse.Namespace) -> int:
    """`vipriors bench`"""
    from vipriors.bench.contender import read_contender
    from vipriors.bench.grid import Grid
    from vipriors.bench.measured import read_measured
    from vipriors.bench.table import score_table
    from vipriors.challenges import find
    from vipriors.challenges.schema import read_challenge

    grid = Grid(
        challenge=read_challenge(find(arguments.challenge)),
        contenders=tuple(read_contender(text) for text in arguments.methods),
        sizes=arguments.sizes,
        seeds=tuple(range(arguments.seeds)),
        out=arguments.out,
        source=arguments.source,
        work=arguments.work,
        precision=arguments.precision,
    )
    count = run_shown(arguments, grid)
    value = {"out": str(arguments.out), "cells": len(list(grid.cells())), "run": count}
    return answer(arguments, value, "\n\n".join(map(score_table, read_measured(arguments.out))))


def run_shown(arguments: argparse.Namespace, grid: Grid) -> int:
    """Runs the cells of a grid that are missing, in a live table, and says how many there were.

    Raises:
        BadInput: Cells have failed, now or before; lists them with the causes.
    """
    from vipriors.bench.grid import run_grid
    from vipriors.cli.live import GridTable, shown
    from vipriors.problems import BadInput, Problem

    retry: bool = arguments.retry_failed
    table = GridTable(grid, retry)
    with shown(arguments, table):
        count = run_grid(grid, workers(arguments), retry_failed=retry, started=table.start, done=table.end)
    failed = [Problem(f"cell {cell.name}", failure_of(grid, cell)) for cell in grid.failed()]
    if failed:
        raise BadInput(failed)
    return count


def failure_of(grid: Grid, cell: Cell) -> str:
    """Why a cell failed."""
    from vipriors.bench.records import FAILED

    note = json.loads((grid.out / FAILED / f"{cell.name}.json").read_text(encoding="utf-8"))
    return f"failed: {note['error']} ({note['where'] or 'place unknown'}); --retry-failed runs it again"


def workers(arguments: argparse.Namespace) -> Workers:
    """Who does the work: processes, unless Ray or parts of GPUs are asked for."""
    from vipriors.bench.workers import Workers

    address = arguments.ray or ("local" if arguments.gpus_per_run is not None else None)
    jobs = (os.cpu_count() or 1) if arguments.jobs is None else arguments.jobs
    return Workers(jobs, address, arguments.gpus_per_run)


def tune_(arguments: argparse.Namespace) -> int:
    """`vipriors tune`"""
    import dataclasses

    from vipriors.bench.contender import read_contender
    from vipriors.bench.tune import Search, tune
    from vipriors.challenges import find
    from vipriors.challenges.schema import read_challenge
    from vipriors.cli.run import overrides

    contender = read_contender(arguments.method)
    search = Search(
        challenge=read_challenge(find(arguments.challenge)),
        contender=dataclasses.replace(contender, settings=contender.settings | overrides(arguments.set)),
        trials=arguments.trials,
        images_per_class=arguments.images_per_class,
        subsets=arguments.subsets,
        out=arguments.out,
        source=arguments.source,
        work=arguments.work,
        precision=arguments.precision,
        method=arguments.search,
    )
    with progress(arguments) as tell:
        count = 0

        def done(trial: dict[str, Any]) -> None:
            nonlocal count
            count += 1
            stopped = ", stopped early" if "stopped" in trial else ""
            tell("tune", count, search.trials, f"{trial['values']} val_loss {trial['val_loss']:.3f}{stopped}")

        found = tune(search, workers(arguments), done=done)
    file = arguments.out / "recipe.yaml"
    return answer(arguments, {"recipe": str(file), "settings": found.settings}, file.read_text().rstrip())
