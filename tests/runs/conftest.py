"""One small finished run that the tests look at and copy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vipriors.challenges import find
from vipriors.challenges.schema import read_challenge
from vipriors.runs.prepared import RunData, find_data
from vipriors.runs.run import Plan, run, run_floors
from vipriors.train import Execution

PLAN = Plan(overrides={"steps": "60", "width": "8", "lr": "0.1"}, seed=3, rehearse=True)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    challenge = read_challenge(find("digits"))
    return find_data(challenge, challenge.rule(5, 1), data=tmp_path_factory.mktemp("prepared") / "digits")


@pytest.fixture(scope="session")
def finished(digits: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be read only."""
    out = tmp_path_factory.mktemp("runs") / "run"
    run(digits, PLAN, out, execution=Execution(device="cpu"))
    run_floors(digits, PLAN.seed, out)
    return out
