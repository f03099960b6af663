"""`bench` and `tune`: methods measured side by side."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from vipriors.cli.output import Commands, add_command, answer, progress


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    bench = add_command(commands, "bench", bench_, "run methods on subsets of several sizes and seeds")
    bench.add_argument("challenge", help="its name, or the path of its YAML file")
    bench.add_argument("methods", nargs="+", metavar="METHOD", help="METHOD, METHOD:PRESET or a recipe.yaml")
    bench.add_argument(
        "--sizes",
        type=whole_numbers,
        default=(None,),
        metavar="5,10,…",
        help="images a class, or in all where they have none (default: as the challenge takes)",
    )
    bench.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N-1 (default: 5)")
    bench.add_argument("--out", type=Path, required=True, metavar="DIR", help="records, one file a cell")

    tune = add_command(commands, "tune", tune_, "search a method's hyper-parameters on validation images")
    tune.add_argument("challenge", help="its name, or the path of its YAML file")
    tune.add_argument("method", help="METHOD, METHOD:PRESET or a recipe.yaml")
    tune.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="kept fixed")
    tune.add_argument("--trials", type=int, default=20, metavar="N", help="draws of the values (default: 20)")
    tune.add_argument("--images-per-class", type=int, metavar="N", help="training and validation images")
    tune.add_argument("--subsets", type=int, default=3, metavar="N", help="to average over (default: 3)")
    tune.add_argument("--out", type=Path, required=True, metavar="DIR", help="trials.jsonl and recipe.yaml")
    for command in (bench, tune):
        command.add_argument("--source", type=Path, metavar="DIR", help="your copy of the source")
        command.add_argument("--work", type=Path, default=Path("data"), metavar="DIR", help="prepared images")
        command.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
        command.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")


def whole_numbers(text: str) -> tuple[int, ...]:
    """`5,10` as numbers; argparse turns the ValueError of anything else into wrong usage."""
    return tuple(int(part) for part in text.split(","))


def bench_(arguments: argparse.Namespace) -> int:
    """`vipriors bench`"""
    from vipriors.bench.contender import read_contender
    from vipriors.bench.grid import Grid, run_grid
    from vipriors.bench.records import read_records
    from vipriors.bench.table import headline, score_of, score_table
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
    total, finished = len(list(grid.cells())), 0
    with progress(arguments) as tell:

        def done(cell: Any, record: dict[str, Any]) -> None:
            nonlocal finished
            finished += 1
            words = f"{cell.name} {headline(record)} {score_of(record):.3f}"
            tell("bench", total - missing + finished, total, words)

        missing = len(grid.missing())
        tell("bench", total - missing, total, "")
        run_grid(grid, jobs=arguments.jobs or os.cpu_count() or 1, done=done)
    table = score_table(read_records(arguments.out))
    return answer(arguments, {"out": str(arguments.out), "cells": total, "run": missing}, table)


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
    )
    with progress(arguments) as tell:
        count = 0

        def done(trial: dict[str, Any]) -> None:
            nonlocal count
            count += 1
            tell("tune", count, search.trials, f"{trial['values']} val_loss {trial['val_loss']:.3f}")

        found = tune(search, jobs=arguments.jobs or os.cpu_count() or 1, done=done)
    file = arguments.out / "recipe.yaml"
    return answer(arguments, {"recipe": str(file), "settings": found.settings}, file.read_text().rstrip())
