"""Grids and searches on Ray: two nodes on this machine."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vipriors.bench.cluster import on_ray
from vipriors.bench.contender import Contender, read_contender
from vipriors.bench.grid import Grid, run_grid
from vipriors.bench.records import read_records
from vipriors.bench.tune import Search, merit, tune
from vipriors.bench.workers import Failure, Workers
from vipriors.challenges import find
from vipriors.challenges.schema import read_challenge
from vipriors.problems import BadInput, Problem

pytestmark = pytest.mark.slow

DIGITS = read_challenge(find("digits"))


@pytest.fixture(scope="module", autouse=True)
def by_value() -> Iterator[None]:
    """Workers cannot import the tests, so that what is defined here is sent to them."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a second node, with one CPU each; this process is connected to the head."""
    import ray
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(started.address, log_to_driver=False)
    started.add_node(num_cpus=1)
    started.wait_for_nodes()
    yield started
    ray.shutdown()
    started.shutdown()


def work(item: tuple[int, str, Path]) -> int:
    """Leaves a mark on each node that it is begun on, and never ends on one, which the other waits for."""
    import ray

    number, endless, folder = item
    node = ray.get_runtime_context().get_node_id()
    (folder / f"{number}-{node}").touch()
    while node == endless or not list(folder.glob(f"*-{endless}")):
        time.sleep(0.05)
    if number == 3:
        raise BadInput([Problem("here", "is wrong")])
    return number**2


def test_early_stopping_searches_the_same_draws(cluster: Any, tmp_path: Path) -> None:
    quick = Contender("residual", "residual", "tiny", {"steps": "16", "width": "4"})
    asha = Search(DIGITS, quick, 4, 4, 1, tmp_path / "tuned", work=tmp_path / "data", method="asha")
    told: list[dict[str, Any]] = []
    found = tune(asha, Workers(2, "auto"), done=told.append)
    lines = [json.loads(line) for line in (tmp_path / "tuned" / "trials.jsonl").read_text().splitlines()]
    assert lines == told
    assert sorted(line["trial"] for line in lines) == [0, 1, 2, 3]
    whole = [line for line in lines if "stopped" not in line]
    assert whole
    assert all(line["stopped"] in (0.25, 0.5) for line in lines if "stopped" in line)
    best = min(whole, key=merit)
    assert {name: float(found.settings[name]) for name in best["values"]} == best["values"]
    tune(asha, Workers(2, "auto"), done=told.append)  # nothing is left to do
    assert len(told) == 4


def test_a_node_is_lost_and_the_bench_still_ends_complete(cluster: Any, tmp_path: Path) -> None:
    grid = Grid(
        challenge=DIGITS,
        contenders=(read_contender("nearest-neighbour"), read_contender("support-vector-machine")),
        sizes=(2, 4),
        seeds=(0, 1, 2),
        out=tmp_path / "results",
        work=tmp_path / "data",
    )
    victim = next(iter(cluster.worker_nodes))
    ended: list[str] = []

    def done(cell: Any, outcome: object) -> None:
        ended.append(cell.name)
        if len(ended) == 2:
            cluster.remove_node(victim, allow_graceful=False)

    assert run_grid(grid, Workers(ray="auto"), done=done) == 12
    assert len(read_records(grid.out)) == len(set(ended)) == 12
    assert grid.missing() == []
    assert victim not in cluster.list_all_nodes()


def test_an_item_on_a_lost_node_is_begun_again(cluster: Any, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()

    def remove_when_busy() -> None:
        while not list(tmp_path.glob(f"*-{second.node_id}")):
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)

    threading.Thread(target=remove_when_busy, daemon=True).start()
    items = [(number, second.node_id, tmp_path) for number in range(6)]
    begun: list[int] = []
    found = {
        number: outcome
        for (number, *_), outcome in on_ray(work, items, "auto", 1, None, lambda item: begun.append(item[0]))
    }
    failure = found.pop(3)
    assert isinstance(failure, Failure)
    assert failure.error == "BadInput: here: is wrong"
    assert failure.where.startswith("test_cluster.py, line ")
    assert found == {number: number**2 for number in (0, 1, 2, 4, 5)}
    assert begun == list(range(6))
    (lost,) = (file.name.split("-")[0] for file in tmp_path.glob(f"*-{second.node_id}"))
    assert len(list(tmp_path.glob(f"{lost}-*"))) == 2


def test_parts_of_a_gpu_need_one(cluster: Any) -> None:
    with pytest.raises(BadInput, match=r"--gpus-per-run 0.2: the cluster has no GPU"):
        list(on_ray(work, [], "auto", 1, 0.2))
