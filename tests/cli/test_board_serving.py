import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from vipriors.board.core import open_board
from vipriors.board.models import Challenge
from vipriors.board.settings import read_settings
from vipriors.cli import main


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vipriors", "board", *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)


def test_init_adds_the_embedded_challenges_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", "init", "--home", str(tmp_path / "board"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    names = ["digits", "digits-segmentation", "digits-detection", "digits-instances"]
    names += ["digits-actions", "digits-reid"]
    assert said["added"] == names
    assert said["administrator"].startswith("http://127.0.0.1:8000/sign-up?key=")
    with open_board(read_settings(home=tmp_path / "board")).database.reading() as session:
        assert set(session.scalars(select(Challenge.name))) == set(names)
    assert main(["board", "init", "--home", str(tmp_path / "board")]) == 0
    assert "0 challenges added" in capsys.readouterr().out


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_and_ends_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    server = start("serve", "--home", tmp_path, "--port", 0, "--empty", "--json")
    try:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        assert httpx.get(said["address"]).status_code == 200
        link = said["administrator"]
        assert link.startswith(said["address"]) and "run the board" in httpx.get(link).text
        server.send_signal(how)
        out, errors = server.communicate(timeout=60)
    finally:
        server.kill()
    assert out == "" and "Traceback" not in errors
    assert server.returncode in (0, -how)


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["board", "serve", "--home", str(tmp_path), "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert f"address 127.0.0.1:{port}: cannot be listened at: Address already in use" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["-1", "99999"])
def test_what_is_no_port(tmp_path: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", "serve", "--home", str(tmp_path), "--port", port]) == 1
    assert "cannot be listened at" in capsys.readouterr().err


def test_a_worker_ends_cleanly(tmp_path: Path) -> None:
    worker = start("worker", "--home", tmp_path)
    try:
        assert worker.stdout is not None
        assert "scores; Ctrl-C ends it" in worker.stdout.readline()
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=60)
    finally:
        worker.kill()
    assert worker.returncode in (0, -signal.SIGTERM) and "Traceback" not in errors
