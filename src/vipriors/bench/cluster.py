"""Work shared among the machines of a Ray cluster, one result at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from vipriors.bench.workers import Failure, Item, Result
from vipriors.problems import BadInput

RETRIES = 3
"""How often an item is begun again after the machine or process that worked on it was lost."""
LOOK = 10.0
"""Seconds after which the cluster's size is looked at again, as machines come and go."""


@contextmanager
def connected(address: str, jobs: int) -> Iterator[Any]:
    """The module `ray`, connected: to a cluster that this process already knows, else to the one asked for.

    Raises:
        BadInput: No cluster answers at the address.
    """
    import ray

    if ray.is_initialized():
        yield ray
        return
    cpus = jobs if address == "local" else None  # an existing cluster has what it has
    try:
        ray.init(
            address,
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError) as error:
        raise BadInput.single(f"--ray {address}", f"cannot be reached: {error}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def on_ray(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    address: str,
    jobs: int,
    gpus: float | None,
    started: Callable[[Item], None] = lambda item: None,
) -> Iterator[tuple[Item, Result | Failure]]:
    """Each item with what `work(item)` made of it, or why it could not, in the order they finish.

    An item whose machine is lost is begun again on another. Machines need the package installed, and see the
    same files or make them anew.

    Args:
        work: Called on some machine, with one CPU.
        items: What to work on.
        address: Of the cluster; `local` starts one here.
        jobs: CPUs of a cluster that is started here.
        gpus: The part of a GPU that an item takes; None for a whole one where there are any.
        started: Told of every item that is handed out.

    Raises:
        BadInput: The cluster cannot be reached, or has no GPU and one is asked for.
    """
    with connected(address, jobs) as ray:
        share = gpu_share(ray, gpus)

        @ray.remote(num_cpus=1, num_gpus=share, max_retries=RETRIES)  # type: ignore[untyped-decorator]
        def call(item: Item) -> Result:
            return work(item)

        waiting = list(reversed(items))
        flying: dict[Any, Item] = {}
        while waiting or flying:
            # No more than can run: what is handed out is what runs, and the table can say so.
            while waiting and len(flying) < _places(ray.cluster_resources(), share):
                item = waiting.pop()
                started(item)
                flying[call.remote(item)] = item
            finished, _ = ray.wait(list(flying), timeout=LOOK)
            for reference in finished:
                yield flying.pop(reference), _outcome(ray, reference)


def gpu_share(ray: Any, asked: float | None) -> float:
    """The part of a GPU that an item takes: as asked, else a whole one where there are any.

    Raises:
        BadInput: Some is asked for and there is none.
    """
    there = ray.cluster_resources().get("GPU", 0.0)
    share = (1.0 if there else 0.0) if asked is None else asked
    if share and not there:
        raise BadInput.single(f"--gpus-per-run {share:g}", "the cluster has no GPU")
    return share


def _places(resources: dict[str, float], share: float) -> int:
    """How many items can run at once: one a CPU, and as many as share the GPUs."""
    places = resources.get("CPU", 0.0)
    if share:
        places = min(places, resources.get("GPU", 0.0) / share)
    return max(1, int(places))


def _outcome(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return Failure.of(error.cause, str(error))
    except ray.exceptions.RayError as error:
        return Failure(f"the machine or process was lost {RETRIES + 1} times ({type(error).__name__})")
