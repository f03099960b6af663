"""`vipriors bench`: methods x sizes x seeds, each cell once, whatever happens in between.

A cell is a run in a temporary folder; what is kept is its record. Cells whose record exists are not run
again, so a grid that was killed goes on where it was and loses only the cells under way. A cell that fails
leaves a note of its cause in `failed/`, does not stop the others, and is run again when that is asked for.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vipriors import methods
from vipriors.bench.contender import Contender
from vipriors.bench.records import FAILED, Cell, record_of, write_failure, write_record
from vipriors.bench.workers import Failure, Workers
from vipriors.challenges.schema import Challenge
from vipriors.problems import BadInput, Problem
from vipriors.runs.prepared import default_folder, find_data, prepare_if_missing
from vipriors.runs.run import Plan, run

Done = Callable[[Cell, dict[str, Any] | Failure], None]


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

    def __post_init__(self) -> None:
        names = [contender.name for contender in self.contenders]
        problems = [
            Problem(name, f"names {names.count(name)} contenders; name one anew with NAME=METHOD")
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
        for contender in self.contenders:
            if (task := methods.listing(contender.method).family) != self.challenge.task:
                expected = f"challenge {self.challenge.name} is about {self.challenge.task}"
                problems.append(Problem(f"method {contender.method}", f"is for the task {task}; {expected}"))
        if problems:
            raise BadInput(problems)

    def missing(self) -> list[Cell]:
        """The cells without a record."""
        return [cell for cell in self.cells() if not (self.out / f"{cell.name}.json").exists()]

    def failed(self) -> list[Cell]:
        """The cells that have failed, and have no record since."""
        return [cell for cell in self.missing() if (self.out / FAILED / f"{cell.name}.json").exists()]

    def todo(self, retry_failed: bool = False) -> list[Cell]:
        """The cells to run."""
        failed = [] if retry_failed else self.failed()
        return [cell for cell in self.missing() if cell not in failed]

    def contender(self, cell: Cell) -> Contender:
        """Whose cell it is."""
        return next(one for one in self.contenders if one.name == cell.contender)

    def note(self, cell: Cell, failure: Failure) -> dict[str, Any]:
        """What is kept of a cell that failed."""
        contender = self.contender(cell)
        return {
            "challenge": self.challenge.name,
            "contender": cell.contender,
            "method": contender.method,
            "preset": contender.preset,
            "set": contender.settings,
            "images_per_class": cell.images_per_class,
            "seed": cell.seed,
            "error": failure.error,
            "where": failure.where,
        }

    def folder(self, cell: Cell) -> Path:
        """The prepared images of a cell, shared by all contenders."""
        rule = self.challenge.rule(cell.images_per_class, cell.seed)
        return self.work / default_folder(self.challenge, rule).name


def run_grid(
    grid: Grid,
    workers: Workers | None = None,
    *,
    retry_failed: bool = False,
    started: Callable[[Cell], None] = lambda cell: None,
    done: Done = lambda cell, outcome: None,
) -> int:
    """Runs the cells that have no record, and stores their records; of those that fail, why.

    Args:
        grid: What to measure.
        workers: Who runs the cells; one process by default.
        retry_failed: Also run the cells that failed before.
        started: Told of every cell that is handed out.
        done: Told of every cell that has ended, with its record or its failure.

    Returns:
        How many cells were run, failed ones included.

    Raises:
        BadInput: Images cannot be prepared, or the workers cannot be had.
    """
    todo = grid.todo(retry_failed)
    grid = dataclasses.replace(grid, work=grid.work.absolute(), source=grid.source and grid.source.absolute())
    for cell in todo:  # before any cell runs, so that two processes never prepare the same folder
        rule = grid.challenge.rule(cell.images_per_class, cell.seed)
        prepare_if_missing(grid.challenge, rule, grid.folder(cell), grid.source)
    for cell, outcome in (workers or Workers()).map(partial(run_cell, grid), todo, started):
        if isinstance(outcome, Failure):
            write_failure(grid.out, cell, grid.note(cell, outcome))
        else:
            write_record(grid.out, cell, outcome)
        done(cell, outcome)
    return len(todo)


def run_cell(grid: Grid, cell: Cell) -> dict[str, Any]:
    """Runs one cell and returns its record."""
    import torch

    from vipriors.train import Execution

    torch.set_num_threads(1)  # rounding depends on it, and a record should not depend on `jobs`
    contender = grid.contender(cell)
    rule = grid.challenge.rule(cell.images_per_class, cell.seed)
    data = find_data(grid.challenge, rule, data=grid.folder(cell), source=grid.source)
    plan = Plan(contender.method, contender.preset, contender.settings, seed=cell.seed)
    with tempfile.TemporaryDirectory(prefix="vipriors-cell-") as folder:
        run(data, plan, Path(folder), execution=Execution(precision=grid.precision))
        record = record_of(Path(folder), cell)
    return record | ({"tuning": dict(contender.tuning)} if contender.tuning else {})
