"""`vipriors bench`: methods x sizes x seeds, each cell once, whatever happens in between.

A cell is a run in a temporary folder; what is kept is its record. Cells whose record exists are not run
again, so a grid that was killed goes on where it was and loses only the cells under way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vipriors.bench.contender import Contender
from vipriors.bench.processes import in_processes
from vipriors.bench.records import Cell, record_of, write_record
from vipriors.challenges.schema import Challenge
from vipriors.runs.prepared import default_folder, find_data, prepare_if_missing
from vipriors.runs.run import Plan, run

Done = Callable[[Cell, dict[str, Any]], None]


@dataclass(frozen=True)
class Grid:
    """What is measured."""

    challenge: Challenge
    contenders: tuple[Contender, ...]
    sizes: tuple[int | None, ...]
    """Images a class, or in all where they have none; None for as many as the challenge takes by itself."""
    seeds: tuple[int, ...]
    out: Path
    """Where the records go."""
    source: Path | None = None
    work: Path = Path("data")
    """Where prepared images go; they may be deleted afterwards."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def cells(self) -> Iterator[Cell]:
        """Every cell; small sizes first, so that a table fills from the left."""
        for size in self.sizes:
            for seed in self.seeds:
                for contender in self.contenders:
                    yield Cell(contender.name, size, seed)

    def missing(self) -> list[Cell]:
        """The cells without a record."""
        return [cell for cell in self.cells() if not (self.out / f"{cell.name}.json").exists()]

    def folder(self, cell: Cell) -> Path:
        """The prepared images of a cell, shared by all contenders."""
        rule = self.challenge.rule(cell.images_per_class, cell.seed)
        return self.work / default_folder(self.challenge, rule).name


def run_grid(grid: Grid, *, jobs: int = 1, done: Done | None = None) -> int:
    """Runs the missing cells and stores their records.

    Args:
        grid: What to measure.
        jobs: Cells at a time, each in a process of its own.
        done: Told of every finished cell.

    Returns:
        How many cells were run.
    """
    missing = grid.missing()
    for cell in missing:  # before any cell runs, so that two processes never prepare the same folder
        rule = grid.challenge.rule(cell.images_per_class, cell.seed)
        prepare_if_missing(grid.challenge, rule, grid.folder(cell), grid.source)
    for cell, record in in_processes(partial(run_cell, grid), missing, jobs):
        write_record(grid.out, cell, record)
        if done:
            done(cell, record)
    return len(missing)


def run_cell(grid: Grid, cell: Cell) -> dict[str, Any]:
    """Runs one cell and returns its record."""
    import torch

    from vipriors.train import Execution

    torch.set_num_threads(1)  # rounding depends on it, and a record should not depend on `jobs`
    contender = next(one for one in grid.contenders if one.name == cell.contender)
    rule = grid.challenge.rule(cell.images_per_class, cell.seed)
    data = find_data(grid.challenge, rule, data=grid.folder(cell))
    plan = Plan(contender.method, contender.preset, contender.settings, seed=cell.seed)
    with tempfile.TemporaryDirectory(prefix="vipriors-cell-") as folder:
        run(data, plan, Path(folder), execution=Execution(precision=grid.precision))
        return record_of(Path(folder), cell)
