"""Uploads over HTTP: what is sent, half sent, sent twice or meant badly, each with its exact answer."""

import io
import json
import stat
import struct
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from api_helpers import SUBMISSIONS, answered, client, problems, request_head, serving, talk, token_of
from board_helpers import make_board, predictions
from sqlalchemy import func, select

from vipriors.board import scoring, service, submitting
from vipriors.board.core import Board
from vipriors.board.models import Submission, Team
from vipriors.board.web import bodies, forms, uploads
from vipriors.board.web.app import make_app
from vipriors.challenges import embedded
from vipriors.problems import Problem

FILE = predictions(30)


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not checked, which takes a process each."""
    monkeypatch.setattr(submitting, "_check", lambda *_: [])


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever came of an upload, no temporary file stays."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def count(board: Board) -> int:
    with board.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Submission)) or 0


def stored(board: Board) -> int:
    """Files beside the labels."""
    return sum(path.is_file() for path in (board.settings.home / "files").rglob("*")) - 1


# Good ones


def test_a_raw_body(board: Board) -> None:
    ada = client(board, "ada")
    said = json.dumps({"kind": "ensemble", "data": "the given", "parameters": 7})
    answer = ada.post(
        SUBMISSIONS,
        params={"file_name": "dir\\best.csv", "phase": "main", "declaration": said},
        content=FILE,
    )
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/submissions/{made['id']}"
    assert (made["state"], made["place_in_queue"], made["file_name"]) == ("queued", 1, "best.csv")
    assert made["declaration"] == {
        "kind": "ensemble",
        "data": "the given",
        "parameters": 7,
        "cost": "",
        "gpu_hours": None,
        "flops": None,
        "card": "",
    }
    assert ada.get(f"{answer.headers['location']}/file").content == FILE


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("kind", ["", "text/csv; charset=utf-8", "Application/Octet-Stream", "text/plain"])
def test_types_of_a_raw_body(board: Board, kind: str) -> None:
    ada = client(board, "ada")
    answer = ada.post(SUBMISSIONS, content=FILE, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 201
    curl = {"Content-Type": "application/x-www-form-urlencoded"}  # as it says unless told otherwise
    assert ada.post(SUBMISSIONS, content=FILE + b" ", headers=curl).status_code == 201


@pytest.mark.usefixtures("trusting")
def test_a_form(board: Board) -> None:
    ada = client(board, "ada")
    fields = {"phase": "main", "declaration": '{"card": "ü"}'}
    made = ada.post(SUBMISSIONS, data=fields, files={"file": ("ü.csv", FILE)}).json()
    assert (made["phase"], made["file_name"], made["declaration"]["card"]) == ("main", "ü.csv", "ü")
    assert ada.get(f"/api/v1/submissions/{made['id']}/file").content == FILE


@pytest.mark.usefixtures("trusting")
def test_a_form_is_read_however_it_is_cut(board: Board) -> None:
    """Also where a piece ends within a boundary, and where the file looks like one."""
    content = b"\r\n--edge\r\r\n--edg\r\n\r\n-" * 3 + b"\r\n--"
    body = form(("phase", None, b"main"), ("file", "x.csv", content))
    ada = client(board, "ada")
    for size in (1, 2, 7, 64, len(body)):
        made = ada.post(SUBMISSIONS, content=cut(body, size), headers=FORM).json()
        assert made["size"] == len(content)
    assert count(board) == 1


FORM = {"Content-Type": "multipart/form-data; boundary=edge"}


def cut(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def form(*parts: tuple[str, str | None, bytes], end: bytes = b"--edge--\r\n") -> bytes:
    body = b""
    for name, file_name, content in parts:
        file = "" if file_name is None else f'; filename="{file_name}"'
        body += f'--edge\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + end


# Twice


@pytest.mark.usefixtures("trusting")
def test_the_same_upload_twice_is_one_submission(board: Board) -> None:
    ada = client(board, "ada")
    first, second = (ada.post(SUBMISSIONS, content=FILE) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json() and first.headers["location"] == second.headers["location"]
    keyed = [ada.post(SUBMISSIONS, content=b"x", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in keyed] == [201, 200]
    assert problems(ada.post(SUBMISSIONS, content=b"y", headers={"Idempotency-Key": "k"}), 422) == [
        f"upload key: 'k' was the key of another file, submission {keyed[0].json()['id']}; expected a new one"
    ]
    assert problems(ada.post(SUBMISSIONS, content=b"y", headers={"Idempotency-Key": "x" * 65}), 422) == [
        "upload key: expected 1 to 64 printable characters"
    ]
    assert count(board) == 2


# Refused before it is read


def test_without_a_token_nothing_is_taken(board: Board) -> None:
    assert problems(client(board).post(SUBMISSIONS, content=FILE), 401) == [
        "token: is missing or not valid; expected Authorization: Bearer vip_…"
    ]


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(
    ("request_", "status", "problem"),
    [
        ({"content": FILE, "headers": {"Content-Type": "image/png"}}, 415,
         "Content-Type: 'image/png'; expected "
         "multipart/form-data, or application/octet-stream and the file itself"),
        ({"content": b""}, 422, "upload: is empty; expected a file"),
        ({"content": FILE, "params": {"declaration": "[1]"}}, 422, "declaration: expected a JSON object"),
        ({"content": FILE, "params": {"declaration": "{"}}, 422, "declaration: expected a JSON object"),
        ({"content": FILE, "params": {"declaration": "[" * 999}}, 422, "declaration: expected a JSON object"),
        ({"content": FILE, "params": {"declaration": '{"kind": "x"}'}}, 422,
         "declaration, kind: Input should be 'single' or 'ensemble'"),
        ({"content": FILE, "params": {"phase": "x"}}, 404, "phase 'x' of challenge tiny: there is none"),
        ({"content": form(("file", "x", FILE)), "headers": {"Content-Type": "multipart/form-data"}}, 422,
         "form: cannot be read; expected multipart/form-data"),
        ({"content": b"no form", "headers": FORM}, 422, "form: cannot be read; expected multipart/form-data"),
        ({"content": form(("phase", None, b"main")), "headers": FORM}, 422,
         "form: has no file; expected a field 'file' after all others"),
        ({"content": form(("file", "x", FILE), end=b""), "headers": FORM}, 422,
         "form: ends before its last boundary; send it again"),
        ({"content": form(("file", "x", FILE), ("phase", None, b"main")), "headers": FORM}, 422,
         "form: something follows the file; expected the file last"),
        ({"content": form(("files", "x", FILE)), "headers": FORM}, 422,
         "form, field files: is a file; expected the name 'file'"),
        ({"content": form(("phase", None, b"a"), ("phase", None, b"b")), "headers": FORM}, 422,
         "form, field phase: is there twice"),
        ({"content": form(("phase", None, b"\xff"), ("file", "x", FILE)), "headers": FORM}, 422,
         "form, field phase: is not UTF-8"),
        ({"content": form(("kind", None, b"x"), ("file", "x", FILE)), "headers": FORM}, 422,
         "form, field kind: is unknown; expected phase, declaration, file"),
        ({"content": form(("phase", None, bytes(2**18)), ("file", "x", FILE)), "headers": FORM}, 422,
         "form: its fields are larger than 262,144 bytes"),
        ({"content": b"--edge\r\nX: y\r\n\r\n\r\n--edge--\r\n", "headers": FORM}, 422,
         "form: cannot be read; expected multipart/form-data"),
    ],
)  # fmt: skip
def test_what_a_sender_gets_wrong(board: Board, request_: dict[str, Any], status: int, problem: str) -> None:
    assert problems(client(board, "ada").post(SUBMISSIONS, **request_), status) == [problem]
    assert (count(board), stored(board)) == (0, 0)


@pytest.mark.usefixtures("trusting")
def test_too_large(tmp_path: Path) -> None:
    board = make_board(tmp_path, upload_bytes=500)
    ada = client(board, "ada")
    told = ["upload: is larger than 500 bytes, the most that is taken"]
    assert problems(ada.post(SUBMISSIONS, content=FILE), 413) == told
    assert problems(ada.post(SUBMISSIONS, content=cut(FILE, 100)), 413) == told  # its size is not told
    assert problems(ada.post(SUBMISSIONS, files={"file": ("x", FILE)}), 413) == told
    assert problems(ada.post(SUBMISSIONS, files={"file": ("x", bytes(2**20))}), 413) == told
    assert ada.post(SUBMISSIONS, content=FILE[:500]).status_code == 201
    assert (count(board), stored(board)) == (1, 1)


@pytest.mark.usefixtures("trusting")
def test_too_often_and_too_many(tmp_path: Path) -> None:
    board = make_board(tmp_path, [{"total": 1}], uploads_a_minute=3)
    ada = client(board, "ada")
    assert ada.post(SUBMISSIONS, content=b"1").status_code == 201
    for _ in range(2):
        assert problems(ada.post(SUBMISSIONS, content=b"2"), 409) == [
            "phase main: the team has used all 1 submissions of the phase"
        ]
    answer = ada.post(SUBMISSIONS, content=b"2")
    (problem,) = problems(answer, 429)
    assert problem.startswith("account: too many uploads in a minute; the next is taken in ")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_when_the_board_cannot_check(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[Problem]:
        raise scoring.ScorerFault("labels are in /a/secret/place")

    monkeypatch.setattr(submitting, "_check", fail)
    answer = client(board, "ada").post(SUBMISSIONS, content=FILE)
    assert problems(answer, 503) == [
        "board: could not check the file, which is not its fault; send it again later"
    ]
    assert answer.headers["retry-after"] == "30" and "secret" not in answer.text


# Bad files


def packed(*files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content, method)
    return stream.getvalue()


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("p.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.usefixtures("checked_here")
def test_bad_files_are_answered_with_every_problem(board: Board) -> None:
    ada = client(board, "ada")
    bomb = packed(("p.csv", bytes(100 * 2**20)))
    ratio = f"{100 * 2**20 / len(bomb):,.0f}"
    for data, expected in (
        (
            FILE.replace(b"img_3.png,3", b"img_3.png,7").replace(b"img_5.png,1", b"img_5.png,x"),
            ["up.zip, row 5: class '7' is out of range; expected 0 to 3",
             "up.zip, row 7: 'x' is no class; expected 0 to 3 in digits without sign, spaces or leading "
             "zeros"],
        ),
        (b"\x89PNG\r\n\x1a\n", ["up.zip: byte 0 is 0x89, which is not UTF-8; expected UTF-8 text"]),
        (packed(("../p.csv", FILE)),
         ["up.zip, '../p.csv': climbs out of the archive; expected a path without '..'"]),
        (packed(("/etc/p.csv", FILE)),
         ["up.zip, '/etc/p.csv': is an absolute path; expected a relative one"]),
        (packed((link(), b"/etc/passwd")),
         ["up.zip, 'p.csv': is a link or a device; expected only files"]),
        (packed(("p.zip", packed(("p.csv", FILE)))),
         ["up.zip, 'p.zip': is an archive inside the archive; expected only files"]),
        (bomb, [f"up.zip: the archive unpacks to {ratio} times its size; expected at most 200"]),
        (packed(("p.csv", FILE))[:-30],
         ["up.zip: a damaged zip archive: its end is missing; expected a whole one"]),
        (packed(*((f"{n}", b"") for n in range(100_000)), method=zipfile.ZIP_STORED),
         ["up.zip: the archive has 100,000 entries; expected at most 1,000"]),
    ):  # fmt: skip
        found = problems(ada.post(SUBMISSIONS, params={"file_name": "up.zip"}, content=data), 422)
        assert found == expected
    assert ada.post(SUBMISSIONS, content=packed(("run/p.csv", FILE), ("__MACOSX/x", b""))).status_code == 201
    assert (count(board), stored(board)) == (1, 1)


@pytest.mark.usefixtures("checked_here")
def test_an_image_bomb(board: Board) -> None:
    service.add_challenge(board, embedded()["digits-segmentation"])
    header = struct.pack(">IIBBBBB", 65536, 65536, 8, 0, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with board.files.local(_labels(board, "digits-segmentation")) as labels:
        names = zipfile.ZipFile(labels).namelist()
    path = SUBMISSIONS.replace("tiny", "digits-segmentation")
    data = packed(*((name, image) for name in names))
    found = problems(client(board, "ada").post(path, params={"file_name": "up.zip"}, content=data), 422)
    assert found[0] == f"up.zip, '{names[0]}': 65536 x 65536 pixels; expected 96 x 96"
    assert count(board) == 0


def _labels(board: Board, name: str) -> str:
    from vipriors.board.models import Challenge

    with board.database.reading() as session:
        return session.scalars(select(Challenge.labels_key).where(Challenge.name == name)).one()


# Broken connections, against a server that listens


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "IDLE_SECONDS", 0.4)


@pytest.mark.usefixtures("trusting", "impatient")
def test_uploads_that_end_early_lie_or_stall(board: Board) -> None:
    token = token_of(board, "ada")
    size = len(FILE)
    with serving(board) as url:
        stalled = talk(url, request_head(token, f"Content-Length: {size}") + FILE[:100])
        assert answered(stalled) == (
            408,
            {"problems": [{"place": "upload", "message": "nothing came for 0 s; send it again"}]},
        )
        chunked = request_head(token, "Transfer-Encoding: chunked") + b"64\r\n" + FILE[:100] + b"\r\n"
        assert answered(talk(url, chunked))[0] == 408
        # Who is gone hears no answer; nothing is made of the half.
        assert talk(url, request_head(token, f"Content-Length: {size}") + FILE[:100], end=True) == b""
        assert talk(url, chunked, end=True) == b""
        multipart = form(("file", "x", FILE))
        head = request_head(
            token, f"Content-Length: {len(multipart)}", f"Content-Type: {FORM['Content-Type']}"
        )
        assert answered(talk(url, head + multipart[:-12]))[0] == 408
        # Of a body that is longer than was said, no more is taken than was said.
        status, made = answered(talk(url, request_head(token, "Content-Length: 100") + FILE))
        assert (status, made["size"]) == (201, 100)
        whole = httpx.post(url + SUBMISSIONS, content=FILE, headers={"Authorization": f"Bearer {token}"})
        assert whole.status_code == 201
    assert (count(board), stored(board)) == (2, 2)


@pytest.mark.usefixtures("trusting")
def test_a_trickle_is_cut_off(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "RATE_AFTER", 0.3)
    token = token_of(board, "ada")
    slowly = threading.Event()

    def trickle() -> Iterator[bytes]:
        for byte in FILE[:40]:
            slowly.wait(0.05)
            yield bytes([byte])

    with serving(board) as url:
        headers = {"Authorization": f"Bearer {token}"}
        (problem,) = problems(httpx.post(url + SUBMISSIONS, content=trickle(), headers=headers), 408)
        assert problem.endswith(" bytes in 0 s are too slow; send it again")
    assert count(board) == 0


@pytest.mark.usefixtures("trusting")
def test_a_refusal_is_heard_by_who_still_sends(tmp_path: Path) -> None:
    board = make_board(tmp_path, upload_bytes=500)
    token = token_of(board, "ada")
    with serving(board) as url:
        for headers, status in (({"Authorization": f"Bearer {token}"}, 413), ({}, 401)):
            answer = httpx.post(url + SUBMISSIONS, content=bytes(6 * 2**20), headers=headers)
            assert answer.status_code == status


def asgi(board: Board, token: str, messages: list[dict[str, Any]], *headers: tuple[bytes, bytes]) -> Any:
    """What the application answers to a body that comes in these messages."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": SUBMISSIONS,
        "raw_path": SUBMISSIONS.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"board"), (b"authorization", f"Bearer {token}".encode()), *headers],
        "client": ("test", 1),
        "server": ("board", 80),
    }
    anyio.run(make_app(board), scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([(b"content-length", b"532")], "100 of 532 bytes arrived; send it again"),
        ([], "100 bytes arrived; send it again"),
    ],
)
def test_half_an_upload(board: Board, headers: list[tuple[bytes, bytes]], message: str) -> None:
    messages = [{"type": "http.request", "body": FILE[:100], "more_body": True}]
    answer = asgi(board, token_of(board, "ada"), messages, *headers)
    assert answer == (422, {"problems": [{"place": "upload", "message": message}]})
    assert (count(board), stored(board)) == (0, 0)
    with board.database.reading() as session:
        assert session.scalars(select(Team)).all() == []


@pytest.mark.usefixtures("trusting")
def test_less_than_was_said(board: Board) -> None:
    """As where a proxy ends a body early without a word."""
    messages = [{"type": "http.request", "body": FILE[:100], "more_body": False}]
    answer = asgi(board, token_of(board, "ada"), messages, (b"content-length", b"532"))
    told = "100 of 532 bytes arrived; send it again"
    assert answer == (422, {"problems": [{"place": "upload", "message": told}]})
    assert (count(board), stored(board)) == (0, 0)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("as_form", [False, True], ids=["raw", "form"])
def test_a_body_is_never_whole_in_memory(
    board: Board, as_form: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come is on the disk before much more is asked for."""
    held: list[int] = []
    kind = forms.FormReader if as_form else uploads.RawReader
    take, receive = kind.take, submitting.receive

    def watched(reader: Any, piece: bytes) -> None:
        held.append(len(reader.pending))
        assert len(piece) <= 2**18
        take(reader, piece)

    def on_disk(stream: Any, limit: int) -> Any:
        assert stream._rolled  # a file, and no buffer any more
        return receive(stream, limit)

    monkeypatch.setattr(kind, "take", watched)
    monkeypatch.setattr(submitting, "receive", on_disk)
    body = form(("file", "x", bytes(2**23))) if as_form else bytes(2**23)
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in cut(body, 2**17)]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    kinds = [(b"content-type", FORM["Content-Type"].encode())] if as_form else []
    assert asgi(board, token_of(board, "ada"), messages, *kinds)[0] == 201
    assert len(held) >= 64 and 2**17 <= max(held) < uploads.WRITE_AT


def test_a_broken_form_counts_as_an_upload(tmp_path: Path) -> None:
    board = make_board(tmp_path, uploads_a_minute=2)
    token = token_of(board, "ada")
    kind = (b"content-type", FORM["Content-Type"].encode())
    for _ in range(2):
        messages = [{"type": "http.request", "body": b"no form", "more_body": False}]
        assert asgi(board, token, messages, kind)[0] == 422
    pieces = [{"type": "http.request", "body": bytes(2**16), "more_body": True}] * 1000
    status, told = asgi(board, token, pieces)
    assert status == 429 and "too many uploads in a minute; " in told["problems"][0]["message"]
    assert len(pieces) == 1000 - 2**23 // 2**16  # refused before it was read, but for what is thrown away


def test_many_uploads_at_once_are_all_taken(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "_check", lambda *_: [])
    people = [token_of(board, f"p{number}") for number in range(40)]
    failed: list[Callable[[], object]] = []
    with serving(board) as url:

        def send(token: str) -> None:
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.post(url + SUBMISSIONS, content=token.encode(), headers=headers, timeout=60)
            if answer.status_code != 201:
                failed.append(lambda: answer.text)

        threads = [threading.Thread(target=send, args=[token]) for token in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (failed, count(board)) == ([], 40)
