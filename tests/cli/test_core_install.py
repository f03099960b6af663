"""What must work where torch was never installed: everything but training a network."""

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "onnx", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from vipriors.cli import main
sys.exit(main(sys.argv[1:]))
"""


def vipriors(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    done = vipriors("run", "digits", "support-vector-machine", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["data", "verify", "data/digits-n10-s0"],
        ["check", "digits", "run/predictions.csv"],
        ["score", "digits", "run/predictions.csv"],
        ["report", "run", "--data", "data/digits-n10-s0"],
        ["predict", "run", "--images", "data/digits-n10-s0/images/test/img_0.png"],
        ["audit", "run"],
    ],
    ids=" ".join,
)
def test_works_without_torch(words: list[str], place: Path) -> None:
    done = vipriors(*words, cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr


def test_training_a_network_says_what_to_install(place: Path) -> None:
    done = vipriors("run", "digits", "residual", "--out", "other", cwd=place)
    assert done.returncode == 1
    assert done.stderr == "package torch: is not installed; expected pip install 'vipriors[train]'\n"
    assert not (place / "other").exists()
