"""`vipriors submit` against a board that listens: what it sends, says and answers."""

import json
import stat
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from api_helpers import serving, token_of
from board_helpers import make_board, predictions
from sqlalchemy import select

from vipriors.board import sending, service, submitting
from vipriors.board.core import Board
from vipriors.board.models import Challenge, Submission
from vipriors.challenges import embedded
from vipriors.challenges.hidden import find_hidden_test
from vipriors.cli import main


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Board, str]]:
    """A board with `tiny`, which nobody knows here, and `digits`; it is served and scores."""
    board = make_board(tmp_path_factory.mktemp("served"))
    service.add_challenge(board, embedded()["digits"], phases=[service.PhasePlan(name="digits", shows="all")])
    with serving(board, worker=True) as url:
        yield board, url


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are kept in a folder of the test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("VIPRIORS_TOKEN", "VIPRIORS_SERVER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def token(served: tuple[Board, str], request: pytest.FixtureRequest) -> str:
    """Of somebody who has sent nothing yet."""
    return token_of(served[0], request.node.name[:60])


def submit(*words: object) -> int:
    return main(["submit", *map(str, words)])


def digits_file(wrong: int = 0) -> bytes:
    """Predictions for `digits` of which the first `wrong` are wrong."""
    truth = find_hidden_test("digits").truth
    rows = [
        f"{id_},{(truth.labels[id_] + (place < wrong)) % 10}\n" for place, id_ in enumerate(truth.index.ids)
    ]
    return ("Image IDs,Predictions\n" + "".join(rows)).encode()


def sent_by(board: Board, name: str) -> list[Submission]:
    with board.database.reading() as session:
        return [each for each in session.scalars(select(Submission)) if each.person.name == name]


def test_from_a_file_to_a_rank(
    served: tuple[Board, str], token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "best.csv"
    file.write_bytes(digits_file(wrong=400))
    options = ("--server", served[1], "--token", token)
    assert submit("digits", file, *options, "--model", "ensemble", "--cost", "1 h") == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("all      top1 0.5000  (95 % interval 0.4")
    assert lines[1] == "test_from_a_file_to_a_rank has rank 1 of 1"
    assert lines[2].startswith(f"{served[1]}/s/")
    assert "is taken" in said.err and "cannot be checked here" not in said.err
    (made,) = sent_by(served[0], "test_from_a_file_to_a_rank")
    assert (made.file_name, made.state) == ("best.csv", "scored")
    assert (made.declaration["kind"], made.declaration["cost"]) == ("ensemble", "1 h")
    assert submit("digits", file, *options, "--json") == 0
    said = capsys.readouterr()
    again = json.loads(said.out)
    assert (again["id"], again["again"], again["rank"], again["teams"]) == (made.id, True, 1, 1)
    assert "was sent before" in said.err


def test_what_is_wrong_is_said_before_anything_is_sent(
    served: tuple[Board, str], token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = digits_file().replace(b",3\n", b",33\n", 1)
    file, packed = tmp_path / "bad.csv", tmp_path / "bad.zip"
    file.write_bytes(rows)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("run/bad.csv", rows)
    options = ("--server", served[1], "--token", token)
    for given, place in ((file, "bad.csv"), (packed, "bad.zip, run/bad.csv")):
        if given is packed:
            place = "bad.zip, bad.csv"
        assert submit("digits", given, *options) == 1
        problem = capsys.readouterr().err
        assert (
            problem.startswith(f"{place}, row ") and "class '33' is out of range; expected 0 to 9" in problem
        )
    assert sent_by(served[0], "test_what_is_wrong_is_said_before_anything_is_sent") == []
    assert submit("digits", file, *options, "--no-check", "--json") == 1
    said = capsys.readouterr()
    (problem,) = json.loads(said.out)["problems"]
    assert problem["message"] == "class '33' is out of range; expected 0 to 9"
    assert sent_by(served[0], "test_what_is_wrong_is_said_before_anything_is_sent") == []


def test_a_challenge_that_is_not_known_here(
    served: tuple[Board, str], token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(predictions(30))
    assert submit("tiny", file, "--server", served[1], "--token", token, "--no-wait") == 0
    said = capsys.readouterr()
    assert "cannot be checked here, the board does it (challenge 'tiny': unknown; expected one of" in said.err
    assert "is taken: queued" in said.out
    assert submit("none", file, "--server", served[1], "--token", token) == 1
    assert "challenge 'none': there is none" in capsys.readouterr().err
    assert submit("tiny", file, "--server", served[1], "--token", token, "--phase", "x") == 1
    assert "phase 'x' of challenge tiny: there is none" in capsys.readouterr().err


def test_a_run_folder_fills_the_declaration(
    served: tuple[Board, str], token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["run", "digits", "nearest-neighbour", "--out", str(run), "--data", str(tmp_path / "data")]
    assert main(words) == 0
    record = json.loads((run / "record.json").read_text())
    record["facts"] |= {"parameters": 1234, "seconds": 5.4, "flops_per_image": 2000}
    record["environment"]["processor"] = "a good CPU"
    (run / "record.json").write_text(json.dumps(record))
    (tmp_path / "card.md").write_text("# Ours")
    options = ("--server", served[1], "--token", token)
    assert submit("digits-segmentation", run, *options) == 1
    assert "is a run of digits; expected one of digits-segmentation" in capsys.readouterr().err
    assert submit("digits", run, *options, "--no-wait") == 0
    (made,) = sent_by(served[0], "test_a_run_folder_fills_the_declaration")
    said = dict(made.declaration)
    assert said.pop("card").startswith("Method `nearest-neighbour`, preset `tiny`, seed 0.\n\n- `")
    assert said == {
        "kind": "single",
        "data": "100 images of digits, subset seed 0",
        "parameters": 1234,
        "cost": "5 s on a good CPU",
        "gpu_hours": None,
        "flops": 2000,
    }
    service.cancel(served[0], made.person_id, made.id)
    record["environment"]["device"] = "a good GPU"
    (run / "record.json").write_text(json.dumps(record))
    words = [*options, "--no-wait", "--card", tmp_path / "card.md", "--parameters", "7", "--flops", "3e6"]
    assert submit("digits", run, *words) == 0
    said = sent_by(served[0], "test_a_run_folder_fills_the_declaration")[-1].declaration
    assert (said["card"], said["parameters"], said["flops"]) == ("# Ours", 7, 3e6)
    assert said["gpu_hours"] == pytest.approx(5.4 / 3600) and said["cost"] == "5 s on a good GPU"
    (run / "predictions.csv").write_bytes(digits_file())
    capsys.readouterr()
    assert submit("digits", run, *options) == 1
    assert "predictions.csv: is not what the run wrote, by its record" in capsys.readouterr().err
    assert submit("digits", tmp_path, *options) == 1
    assert "is not a run folder: it has no recipe.json" in capsys.readouterr().err


def test_a_hidden_phase_shows_no_score(
    served: tuple[Board, str], token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(digits_file(wrong=1))
    with served[0].database.writing() as session, session.begin():
        phase = session.scalars(select(Challenge).where(Challenge.name == "digits")).one().phases[0]
        phase.shows = "hidden"
    assert submit("digits", file, "--server", served[1], "--token", token, "--no-check") == 0
    assert capsys.readouterr().out.startswith("scored; this phase shows no scores while it runs\nhttp")


def test_a_submission_that_the_board_fails(
    served: tuple[Board, str],
    token: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(b"no predictions")
    monkeypatch.setattr(submitting, "_check", lambda *_: [])
    assert submit("tiny", file, "--server", served[1], "--token", token) == 1
    said = capsys.readouterr().err
    (made,) = sent_by(served[0], "test_a_submission_that_the_board_fails")
    assert f"submission {made.id}: p.csv, row 1: " in said


def test_tokens(
    served: tuple[Board, str],
    token: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(predictions(29))
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or token)
    words = ("tiny", file, "--server", f"{served[1]}/", "--no-wait")
    assert submit(*words) == 1
    assert capsys.readouterr().err == (
        f"token: there is none for {served[1]}/; expected --token, VIPRIORS_TOKEN in the environment, "
        "or --sign-in\n"
    )
    assert submit(*words, "--token", "vip_wrong") == 1
    assert capsys.readouterr().err.endswith(
        f"token: is not valid for server {served[1]}; make one on your account's page there\n"
    )
    monkeypatch.setenv("VIPRIORS_TOKEN", "vip_wrong")
    assert submit(*words, "--sign-in") == 1
    kept = tmp_path / "config" / "vipriors" / "tokens.json"
    assert not kept.exists()  # only one that is valid
    monkeypatch.delenv("VIPRIORS_TOKEN")
    assert submit(*words, "--sign-in") == 0
    assert asked == [f"Token, from {served[1]}/account: "]
    assert "signed in as test_tokens" in capsys.readouterr().err
    assert json.loads(kept.read_text()) == {served[1]: token}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert submit(*words) == 0
    monkeypatch.setenv("VIPRIORS_SERVER", served[1])
    assert submit("tiny", file, "--no-wait") == 0
    kept.write_text("{")
    assert submit(*words) == 1
    assert "tokens.json: cannot be read; delete it and sign in again" in capsys.readouterr().err


def test_without_a_server_the_usage_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        submit("tiny", tmp_path / "p.csv")
    assert ended.value.code == 2
    assert "the following arguments are required: --server" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["board.org", "ftp://board.org", "https://", "http://[x"])
def test_no_address_of_a_board(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit("tiny", tmp_path / "p.csv", "--server", url, "--token", "vip_x") == 1
    assert capsys.readouterr().err == (
        f"server {url}: is no address; expected one such as https://board.org\n"
    )


# Connections that break


class Flaky(httpx.BaseTransport):
    """Breaks the connection before or after what is asked was done, as often as it is told."""

    def __init__(self, *breaks: str):
        self._breaks, self._through = list(breaks), httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        broken = self._breaks.pop(0) if self._breaks else ""
        if broken == "before":
            raise httpx.ConnectError("refused")
        answer = self._through.handle_request(request)
        answer.read()
        if broken == "after":
            raise httpx.ReadError("reset")
        return httpx.Response(int(broken), text="<html>") if broken else answer


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr(sending, "time", SimpleNamespace(sleep=made.append))
    return made


def flaky(url: str, token: str, *breaks: str) -> sending.Server:
    server = sending.Server(url, token)
    server._client = httpx.Client(
        base_url=server._client.base_url, headers=server._client.headers, transport=Flaky(*breaks)
    )
    return server


def test_a_broken_connection_makes_no_second_submission(
    served: tuple[Board, str], token: str, tmp_path: Path, pauses: list[float]
) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(predictions(31))
    told: list[tuple[int, int]] = []
    entry = sending.Entry("tiny", file, {})
    server = flaky(served[1], token, "before", "after", "503", "after")
    made, again = server.submit(entry, lambda done, size: told.append((done, size)))
    assert again
    assert [each.id for each in sent_by(served[0], request_name())] == [made["id"]]
    assert told[-1] == (532, 532) and told.count((532, 532)) >= 4  # the whole file, each time
    assert len(pauses) == 4 and 0.5 <= pauses[0] <= 1 and 4 <= pauses[3] <= 8


def request_name() -> str:
    return "test_a_broken_connection_makes_no_second_submission"


def test_a_board_that_cannot_be_reached(served: tuple[Board, str], token: str, pauses: list[float]) -> None:
    with pytest.raises(sending.BadInput, match=r"server .*: cannot be reached: refused"):
        flaky(served[1], token, *["before"] * 9).me()
    assert len(pauses) == sending.TRIES - 1
    with pytest.raises(sending.BadInput, match=r"server .*: answers 502 Bad Gateway"):
        flaky(served[1], token, *["502"] * 9).me()


class Other(BaseHTTPRequestHandler):
    """A server that is no board."""

    def do_GET(self) -> None:
        moved = self.path.startswith("/old")
        self.send_response(301 if moved else 200)
        self.send_header("Location", "https://new.org")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: Any) -> None:
        pass


def test_a_server_that_is_no_board() -> None:
    with HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}"
        with pytest.raises(sending.BadInput, match="answers, but not as a board does"):
            sending.Server(url, "vip_x").me()
        # The token is not sent on to where a server says.
        with pytest.raises(sending.BadInput, match=r"has moved to 'https://new.org'; give that one"):
            sending.Server(f"{url}/old", "vip_x").me()
        other.shutdown()


def test_a_plain_connection_to_elsewhere_is_warned_of() -> None:
    found = {
        url: sending.Server(url, "vip_x").is_open
        for url in ("http://127.0.0.1:8000", "http://localhost", "https://board.org", "http://board.org")
    }
    assert [url for url, is_open in found.items() if is_open] == ["http://board.org"]


def test_who_stops_waiting_is_told_where_to_look(
    served: tuple[Board, str],
    token: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(predictions(28))

    def interrupt(self: sending.Server, id_: str, tell: Any) -> None:
        tell({"state": "queued", "place_in_queue": 3})
        raise KeyboardInterrupt

    monkeypatch.setattr(sending.Server, "follow", interrupt)
    assert submit("tiny", file, "--server", served[1], "--token", token) == 130
    said = capsys.readouterr().err
    (made,) = sent_by(served[0], "test_who_stops_waiting_is_told_where_to_look")
    assert f"submission {made.id} will be scored all the same; look at {served[1]}/s/{made.id}" in said
    assert "the same command goes on from there and sends nothing twice" in said
