"""The steps of docs/adding-a-system.md, done in a copy: the files it shows are written, its commands run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vipriors.bench.records import read_records

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding-a-system.md").read_text(encoding="utf-8")
NEEDED = ("src/vipriors", "tests/methods/method_cases", "tests/methods/conftest.py")
NEEDED += ("tests/methods/test_every_method.py", "docs/systems.md", "pyproject.toml")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the steps need of a checkout, with the page's files added."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in NEEDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for place, text in re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.S):
        assert not (folder / place).exists()
        (folder / place).write_text(text, encoding="utf-8")
    return folder


def commands() -> list[list[str]]:
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    return [shlex.split(line) for line in block.splitlines()]


def run(words: list[str], folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    start = [sys.executable, "-m"] if words[0] == "vipriors" else [sys.executable]
    command = [*start, *(words if words[0] == "vipriors" else words[1:])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_page_s_steps(checkout: Path) -> None:
    listed, tested, claimed, _ = (run(words, checkout) for words in commands())
    (line,) = [line for line in listed.splitlines() if line.strip().startswith("nearest-centroid ")]
    assert line.endswith(" [Z1]")
    passed = re.search(r"(\d+) passed", tested)
    assert passed and int(passed[1]) >= 1 + 8, "its own test, and the battery"
    records = read_records(checkout / "results" / "claims" / "Z1" / "digits")
    assert {(record["contender"], record["seed"]) for record in records} == {
        (name, seed) for name in ("nearest-centroid", "nearest-neighbour") for seed in range(5)
    }
    *_, heading, claim, verdict = claimed.splitlines()
    assert heading == "Z1 Nearest shrunken centroid (nearest-centroid)"
    assert re.match(r"  (holds|does not hold|not clear): [+-]0\.\d{4} \[.*\] over 5 seeds$", verdict)
    rows = [line for line in (checkout / "docs" / "systems.md").read_text().splitlines() if "| Z1 " in line]
    assert len(rows) == 2
    assert "src/vipriors/methods/classification/nearest_centroid.py" in rows[0]
    assert claim.strip() in rows[1]
    assert verdict.split(":")[0].strip() in rows[1]
