"""Leaderboards of boards that run, on the pages of an event: fetched, kept, and never trusted."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from api_helpers import serving
from board_helpers import free_port, make_board
from test_event import parsed
from web_helpers import entry

from vipriors.board.event import running
from vipriors.board.event.schema import read_event
from vipriors.cli import main
from vipriors.problems import BadInput

EVENT: dict[str, Any] = {
    "title": "Few images",
    "short": "Few",
    "tagline": "Less",
    "venue": "Conference",
    "date": "2031-05-04",
    "about": "We meet.",
    "challenges": {
        "summary": "Two.",
        "text": "Both.",
        "tracks": [
            {"name": "tiny", "title": "Tiny", "summary": "Tiny things"},
            {"name": "other", "title": "Other", "summary": "Other things"},
        ],
    },
    "contact": {"email": "few@vision.example"},
}


def write(folder: Path, board: dict[str, Any]) -> Path:
    content = json.loads(json.dumps(EVENT))
    content["challenges"]["tracks"][0]["board"] = board
    (folder / "event.yaml").write_text(json.dumps(content))
    return folder / "event.yaml"


def build(file: Path, *more: str) -> int:
    return main(["board", "event", str(file), "--out", str(file.parent / "site"), *more])


def table(folder: Path) -> str:
    return " ".join(" ".join(parsed(folder / "site")["challenges/tiny.html"].words).split())


def test_a_running_board_is_framed_and_its_leaderboard_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = make_board(tmp_path)
    entry(board, "<b>Ada</b>", 0.75)
    entry(board, "Bob", 0.5, 1)
    with serving(board) as url:
        file = write(tmp_path, {"url": f"{url}/"})
        assert build(file) == 0
        page = parsed(tmp_path / "site")["challenges/tiny.html"]
        assert [at["src"] for at in page.all("iframe")] == [f"{url}/c/tiny/leaderboard/embed"]
        assert "Ada" not in page.text  # nothing was asked for, and nothing had been kept
        assert build(file, "--fetch") == 0
    fetched = table(tmp_path)
    assert "Rank Team top1, % 95 % interval Sent 1 <b>Ada</b> 75.00 73.0 – 77.0" in fetched
    assert "2 Bob 50.00" in fetched and "Phase main, over the public part of the test." in fetched
    assert "The leaderboard as it was on" in fetched
    assert "iframe" not in (tmp_path / "site" / "challenges" / "other.html").read_text()
    before = (tmp_path / "site" / "challenges" / "tiny.html").read_bytes()
    kept = json.loads((tmp_path / "site" / "leaderboards.json").read_text())
    assert kept["tiny"]["page"] == f"{url}/c/tiny/leaderboard" and set(kept) == {"tiny"}
    capsys.readouterr()

    assert build(file, "--fetch") == 1  # the board has ended
    said = capsys.readouterr().err
    at = kept["tiny"]["at"].replace("T", " ")[:16]
    assert f"leaderboard of tiny, {url}/api/v1/challenges/tiny/leaderboard: the board does not answer" in said
    assert f"; that of {at} UTC stays" in said
    assert build(file) == 0
    assert (tmp_path / "site" / "challenges" / "tiny.html").read_bytes() == before

    assert build(write(tmp_path, {"url": "http://127.0.0.1:1"})) == 0
    assert "Ada" not in table(tmp_path)  # what was kept is of another board


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """A server that answers everything alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", free_port()), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


LINE = {"rank": 1, "team": "Ada", "score": 0.5, "received": "2031-01-01T00:00:00Z"}


def told(**changes: Any) -> bytes:
    answer = {"phase": "main", "part": "all", "metric": "top1", "lines": [LINE | changes]}
    return json.dumps(answer).encode()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 404, "the board answers 404 Not Found; there is none yet"),
        (b"<html>", 200, "is no leaderboard of a board: Invalid JSON"),
        (b"{}", 200, "is no leaderboard of a board: phase: Field required"),
        (told(score="<b>"), 200, "lines.0.score: Input should be a valid number"),
        (told(team="x" * 301), 200, "lines.0.team: String should have at most 300 characters"),
        (told(score=1e999), 200, "lines.0.score: Input should be a finite number"),
    ],
    ids=["missing", "page", "empty", "text", "long", "infinite"],
)
def test_what_is_no_leaderboard(
    body: bytes, status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(body, status) as url:
        assert build(write(tmp_path, {"url": url}), "--fetch") == 1
    assert message in capsys.readouterr().err
    assert "The leaderboard as it is now" in table(tmp_path)  # the pages are made all the same


def test_an_endless_answer_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "MOST_BYTES", 1000)
    with answering(told() + b" " * 2000) as url:
        assert build(write(tmp_path, {"url": url}), "--fetch") == 1
    assert "the board answers more than 1,000 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example; script-src *",
        "https://a.example;x",
        "https://a.example,b.example",
        "https://user:word@a.example",
        "https://a.example/x?y=1",
        "https://a.example/x#y",
        "https://a.example/'x'",
        "ftp://a.example",
        "https://*",
        "//a.example",
    ],
)
def test_addresses_that_are_of_no_board(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read_event(write(tmp_path, {"url": url}))
    (problem,) = caught.value.problems
    assert problem.place.endswith("challenges.tracks.0.board.url") and problem.message.startswith("expected ")


def test_what_was_kept_may_be_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, {"url": "https://a.example"})
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "leaderboards.json").write_text('{"tiny": {"page": 1}}')
    assert build(file) == 1
    assert "leaderboards.json, tiny.page: Input should be a valid string" in capsys.readouterr().err
