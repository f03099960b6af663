"""One training in two processes, started by torch's own launcher, is that in one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vipriors.problems import BadInput
from vipriors.train import distributed

SCRIPT = """
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vipriors.train import Batches, Execution, Recipe, distributed, train

distributed.start()
torch.set_num_threads(1)
torch.manual_seed(0)
out = Path(sys.argv[1])
network = nn.Sequential(
    nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 8),
    nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4),
).double()


def loss(network, images, labels, generator):
    images = images.double() + 0.1 * torch.randn(images.shape, generator=generator)
    return functional.cross_entropy(network(images), labels)


images = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
batches = Batches(images, np.arange(24) % 4, batch_size=8, seed=0, device=torch.device("cpu"))
recipe = Recipe(steps=int(sys.argv[2]), batch_size=8, ema=0.5, clip_norm=1.0)
trained = train(
    network, batches, recipe, loss, execution=Execution("cpu"), folder=out / "run", resume=True, log_every=2
)
state = {name: value for name, value in [*network.state_dict().items(), *trained.state_dict().items()]}
torch.save({"last": network.state_dict(), "average": trained.state_dict()}, out / f"{distributed.rank()}.pt")
"""


def run(folder: Path, processes: int) -> list[dict[str, dict[str, torch.Tensor]]]:
    """Trains the script's network; what each process is left with."""
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += [str(processes), str(script), str(folder), "10"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert len((folder / "run" / "log.jsonl").read_text().splitlines()) == 5
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(tmp_path: Path) -> None:
    (one,) = run(tmp_path / "one", 1)
    first, second = run(tmp_path / "two", 2)
    for which in ("last", "average"):
        assert one[which].keys() == first[which].keys()
        for name, value in one[which].items():
            torch.testing.assert_close(first[which][name], value, rtol=1e-9, atol=1e-11)
            torch.testing.assert_close(second[which][name], first[which][name], rtol=0, atol=0)


def test_batches_that_cannot_be_shared_evenly_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed.check_batch_size(7)
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    with pytest.raises(BadInput, match="batch_size: is 7; expected a multiple of 2 processes"):
        distributed.check_batch_size(7)


def test_alone_nothing_changes() -> None:
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(3))
    assert distributed.shared(network) is network
    distributed.share_norms(network, torch.device("cpu"))
    assert type(network[0]) is torch.nn.BatchNorm1d
    assert (distributed.processes(), distributed.rank()) == (1, 0)
    assert distributed.anywhere(True, torch.device("cpu"))
