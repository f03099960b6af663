"""The table of a grid while it is measured: what is done, what runs, what failed, how long it will take."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vipriors.bench.grid import Grid
    from vipriors.bench.records import Cell
    from vipriors.bench.workers import Failure

Key = tuple[str, int | None]


class GridTable:
    """Counts cells by contender and size; rich draws it anew a few times a second.

    Args:
        grid: What is measured; its records say what is done already.
        retry_failed: Cells that failed before are run again.
    """

    def __init__(self, grid: Grid, retry_failed: bool) -> None:
        self.grid, self.began = grid, time.monotonic()
        missing, todo = set(grid.missing()), set(grid.todo(retry_failed))
        self.all = Counter(key(cell) for cell in grid.cells())
        self.done = Counter(key(cell) for cell in grid.cells() if cell not in missing)
        self.failed = Counter(key(cell) for cell in missing - todo)
        self.running: Counter[Key] = Counter()
        self.todo, self.ended = len(todo), 0

    def start(self, cell: Cell) -> None:
        """A cell is handed out."""
        self.running[key(cell)] += 1

    def end(self, cell: Cell, outcome: dict[str, Any] | Failure) -> None:
        """A cell has ended."""
        self.running[key(cell)] -= 1
        self.ended += 1
        (self.done if isinstance(outcome, dict) else self.failed)[key(cell)] += 1

    def title(self) -> str:
        """The whole grid in one line."""
        words = f"{self.done.total()} of {self.all.total()} done, {self.running.total()} running"
        if self.failed.total():
            words += f", {self.failed.total()} failed"
        if self.ended and self.ended < self.todo:
            left = (time.monotonic() - self.began) / self.ended * (self.todo - self.ended)
            words += f", {duration(left)} left"
        return f"bench {self.grid.challenge.name}: {words}"

    def text(self, key: Key) -> str:
        """A contender at a size: `3/5 ▶1 ✗1`."""
        parts = [f"{self.done[key]}/{self.all[key]}"]
        parts += [f"▶{self.running[key]}"] if self.running[key] else []
        parts += [f"✗{self.failed[key]}"] if self.failed[key] else []
        return " ".join(parts)

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        table = Table()
        table.add_column("contender")
        for size in self.grid.sizes:
            table.add_column("own size" if size is None else str(size), justify="right")
        for contender in self.grid.contenders:
            table.add_row(contender.name, *(self.text((contender.name, size)) for size in self.grid.sizes))
        return Group(self.title(), table)


def key(cell: Cell) -> Key:
    """A cell's row and column."""
    return cell.contender, cell.images_per_class


def duration(seconds: float) -> str:
    """About how long: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def shown(arguments: argparse.Namespace, table: GridTable) -> Iterator[None]:
    """Shows the table on standard error while the block runs; nothing under `--json`."""
    if arguments.json:
        yield
        return
    from rich.console import Console
    from rich.live import Live

    with Live(get_renderable=lambda: table.__rich__(), console=Console(stderr=True), refresh_per_second=2):
        yield
