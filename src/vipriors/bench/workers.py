"""Who does the work of a grid or a search: processes of this machine, or a Ray cluster.

Processes are the default on one machine: they start in the time that importing torch takes, where a local Ray
takes about ten seconds more and half a dozen processes of its own (measured on two cores). Ray is for several
machines, for several GPUs, and for runs that share one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PLACE = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
"""A frame of a traceback."""


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    error: str
    """`FloatingPointError: the loss became nan by step 50`."""
    where: str = ""
    """The innermost place in the code: `loop.py, line 220, in train`. No folders: records travel."""

    @classmethod
    def of(cls, error: BaseException, traceback: str = "") -> Failure:
        """A failure from what was raised, and its traceback as text."""
        frames = PLACE.findall(traceback)
        where = "{}, line {}, in {}".format(Path(frames[-1][0]).name, *frames[-1][1:]) if frames else ""
        return cls(f"{type(error).__name__}: {error}".strip(), where)


@dataclass(frozen=True)
class Workers:
    """How many items are worked on at a time, and where."""

    jobs: int = 1
    """Processes; of a Ray that is started here, its CPUs. 0 works in this process, for a debugger: an error
    then ends everything."""
    ray: str | None = None
    """None: processes of this machine. `local`: a Ray started here. Else the address of a cluster."""
    gpus_per_run: float | None = None
    """Of a Ray: the part of a GPU that an item takes. None: a whole one where there are any."""

    def map(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        started: Callable[[Item], None] = lambda item: None,
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """Each item with what `work(item)` made of it, or why it could not, in the order they finish.

        Args:
            work: Sent to another process, as are the items.
            items: What to work on.
            started: Told of every item that is handed out.

        Raises:
            BadInput: The cluster cannot be reached or has not what is asked for.
        """
        if self.ray is None and self.jobs == 0:
            return _here(work, items, started)
        if self.ray is None:
            from vipriors.bench.processes import in_processes

            return in_processes(work, items, self.jobs, started)
        from vipriors.bench.cluster import on_ray

        return on_ray(work, items, self.ray, self.jobs, self.gpus_per_run, started)


def _here(
    work: Callable[[Item], Result], items: Sequence[Item], started: Callable[[Item], None]
) -> Iterator[tuple[Item, Result | Failure]]:
    for item in items:
        started(item)
        yield item, work(item)
