"""Every baseline starts from random weights: nothing in the package fetches or reads any others."""

import ast
from pathlib import Path

import pytest

import vipriors
from vipriors.challenges import embedded
from vipriors.challenges.schema import read_challenge
from vipriors.runs.audit import audit
from vipriors.runs.prepared import find_data
from vipriors.runs.run import Plan, run
from vipriors.train import Execution

PACKAGE = Path(vipriors.__file__).parent
LEARNING = ("priors", "train", "methods")
"""Where networks are built and trained."""

FETCHERS = {"urllib", "requests", "httpx", "aiohttp", "socket", "http", "ftplib", "huggingface_hub", "timm"}


def imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("part", LEARNING)
def test_nothing_that_learns_can_fetch_weights(part):
    files = sorted((PACKAGE / part).rglob("*.py"))
    assert files
    for file in files:
        tree = ast.parse(file.read_text("utf-8"))
        modules = imported(tree)
        assert not {name.partition(".")[0] for name in modules} & FETCHERS, file
        assert not {"torch.hub", "torch.utils.model_zoo"} & modules, file
        # torchvision's models can come with weights; whoever takes one says that these shall not.
        if any(name.startswith("torchvision.models") for name in modules):
            given = [node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)]
            assert "weights" in given, file
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in ("weights", "weights_backbone", "pretrained"):
                assert isinstance(node.value, ast.Constant) and node.value.value in (None, False), file
            # Weights are read back in one way only, from a folder that this package wrote.
            if isinstance(node, ast.Attribute) and node.attr == "load_state_dict_from_url":
                pytest.fail(f"{file} fetches weights")


# Without digits-boundaries, which shares world and baseline with digits-segmentation.
@pytest.mark.parametrize(
    "name", [name for name in embedded() if name.startswith("digits") and name != "digits-boundaries"]
)
def test_a_baseline_reads_nothing_but_its_training_data(name, tmp_path):
    """Python reports every file that is opened while a baseline learns; none is foreign."""
    challenge = read_challenge(embedded()[name])
    data = find_data(challenge, challenge.rule(), data=tmp_path / "data")
    plan = Plan(challenge.baseline, overrides={"steps": "2", "batch_size": "8"}, challenge_file=name)
    run(data, plan, tmp_path / "run", execution=Execution(device="cpu"))
    found = audit(tmp_path / "run", data=tmp_path / "data")
    assert found.foreign_reads == [] and found.verdict == "same" and found.passed
