"""Work shared among processes, one result at a time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with what `work(item)` made of it, as they finish.

    Args:
        work: Called in one of a few processes, or in this one if there is only one job.
        items: What to work on; each is sent to its process, as is `work`.
        jobs: Items at a time.
    """
    if jobs == 1:
        for item in items:
            yield item, work(item)
        return
    # Fresh processes: forking after torch has started its threads can hang.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            futures = {pool.submit(work, item): item for item in items}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)
