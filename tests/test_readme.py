"""The README's commands work as they stand there, one after the other, in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors.cli import parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.S)


def section(name: str) -> list[list[str]]:
    """The commands from a `run:` mark to the next heading or the mark `run: end`, split into words."""
    text = README.split(f"<!-- run: {name} -->", 1)[1].split("\n## ", 1)[0].split("<!-- run: end -->", 1)[0]
    return [shlex.split(line, comments=True) for block in blocks(text) for line in block.splitlines()]


def run_all(commands: list[list[str]], folder: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for words in commands:
        assert words[0] == "vipriors"
        command = [sys.executable, "-m", *words]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"


def test_the_participant_s_commands(tmp_path: Path) -> None:
    run_all(section("participant"), tmp_path)
    assert (tmp_path / "runs" / "baseline" / "report.html").exists()


def test_the_practitioner_s_commands(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name, channel in (("cat", 0), ("dog", 2)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(20):
            image = generator.integers(0, 120, (12, 12 + k % 3, 3), dtype=np.uint8)
            image[..., channel] += 60
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{k}.png")
    run_all(section("practitioner"), tmp_path)
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 41
    assert (tmp_path / "runs" / "pets" / "model.onnx").exists()


@pytest.mark.parametrize(
    "file",
    sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]),
)
def test_commands_in_the_docs_parse_and_links_lead_somewhere(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    for block in blocks(text):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["vipriors"]:
                parser().parse_args(words[1:])
            elif words[:1] == ["make"]:
                assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), line
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (ROOT / file).parent.joinpath(link).exists(), link
