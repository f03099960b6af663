"""Work shared among processes of this machine, one result at a time."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from vipriors.bench.workers import Failure, Item, Result


def in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    started: Callable[[Item], None] = lambda item: None,
) -> Iterator[tuple[Item, Result | Failure]]:
    """Each item with what `work(item)` made of it, or why it could not, in the order they finish.

    Even one job has a process of its own, so that what it fails of, or that it dies, is known.

    Args:
        work: Called in one of a few processes.
        items: What to work on; each is sent to its process, as is `work`.
        jobs: Items at a time.
        started: Told of every item that is handed out.
    """
    waiting = list(reversed(items))
    flying: dict[Future[Result], Item] = {}
    pool = _pool(jobs)
    try:
        while waiting or flying:
            while waiting and len(flying) < jobs:
                item = waiting.pop()
                started(item)
                flying[pool.submit(work, item)] = item
            finished, _ = wait(flying, return_when=FIRST_COMPLETED)
            broken = False
            for future in finished:
                item, error = flying.pop(future), future.exception()
                if isinstance(error, BrokenProcessPool):
                    broken = True
                    yield item, Failure("a process died, perhaps for want of memory, and took this with it")
                elif error is not None:
                    yield item, Failure.of(error, str(error.__cause__ or ""))
                else:
                    yield item, future.result()
            if broken:
                pool.shutdown(cancel_futures=True)
                pool = _pool(jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(jobs: int) -> ProcessPoolExecutor:
    # Fresh processes: forking after torch has started its threads can hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=_end_with_parent, initargs=(os.getpid(),))


def _end_with_parent(parent: int) -> None:
    """Ends this process soon after its parent was killed; left alone, it would wait for work for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
