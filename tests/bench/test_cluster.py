"""Grids and searches on Ray: two nodes on this machine."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vipriors.bench.cluster import on_ray
from vipriors.bench.contender import Contender, read_contender
from vipriors.bench.grid import Grid, run_grid
from vipriors.bench.records import read_records
from vipriors.bench.tune import Search, tune
from vipriors.bench.workers import Failure, Workers
from vipriors.challenges import find
from vipriors.challenges.schema import read_challenge
from vipriors.problems import BadInput, Problem

pytestmark = pytest.mark.slow

DIGITS = read_challenge(find("digits"))


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


def work(item: tuple[int, Path]) -> int:
    """Leaves a mark of each time it is begun, with the node it is on; the first items take a while."""
    import ray

    number, folder = item
    node = ray.get_runtime_context().get_node_id()
    (folder / f"{number}-{node}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if number == 7:
        raise BadInput([Problem("here", "is wrong")])
    time.sleep(1.0 if number < 2 else 0.05)
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
    best = min(whole, key=lambda line: line["val_loss"])
    assert {name: float(found.settings[name]) for name in best["values"]} == best["values"]
    tune(asha, Workers(2, "auto"), done=told.append)  # nothing is left to do
    assert len(told) == 4


def test_a_node_is_lost_and_the_bench_still_ends_complete(cluster: Any, tmp_path: Path) -> None:
    import ray

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
        if len(ended) == 3:
            cluster.remove_node(victim, allow_graceful=False)

    assert run_grid(grid, Workers(ray="auto"), done=done) == 12
    assert len(read_records(grid.out)) == len(set(ended)) == 12
    assert grid.missing() == []
    assert sum(node["Alive"] for node in ray.nodes()) == 1


def test_an_item_on_a_lost_node_is_begun_again(cluster: Any, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    items = [(number, tmp_path) for number in range(10)]
    found: dict[int, Any] = {}
    begun: list[int] = []
    for (number, _), outcome in on_ray(work, items, "auto", 1, None, lambda item: begun.append(item[0])):
        found[number] = outcome
        if len(found) == 1:  # the slow items are first: the other one is under way
            cluster.remove_node(second, allow_graceful=False)
    failure = found.pop(7)
    assert isinstance(failure, Failure)
    assert failure.error == "BadInput: here: is wrong"
    assert failure.where.startswith("test_cluster.py, line ")
    assert found == {number: number**2 for number in range(10) if number != 7}
    assert begun == list(range(10))
    assert len({file.name.split("-")[1] for file in tmp_path.iterdir()}) >= 1


def test_parts_of_a_gpu_need_one(cluster: Any) -> None:
    with pytest.raises(BadInput, match=r"--gpus-per-run 0.2: the cluster has no GPU"):
        list(on_ray(work, [], "auto", 1, 0.2))
