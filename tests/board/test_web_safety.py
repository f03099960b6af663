"""What strangers and attackers meet: headers, what people typed, faults of the board, odd requests."""

import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from board_helpers import make_board, predictions
from sqlalchemy import update
from web_helpers import PASSWORD, Browser, content_of, enter, entry, routes_of, upload

from vipriors.board import scoring, submitting
from vipriors.board.core import Board
from vipriors.board.models import Challenge
from vipriors.board.web import bodies, forms, rendering, uploads
from vipriors.board.web.pages import home

EVIL = "</title></textarea>'\"><script>alert(1)</script><img src=x onerror=alert(1)>"
PLACES = ("", "/leaderboard", "/leaderboard/embed", "/submit", "/submissions", "/team")


class Elements(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(text: str) -> None:
    for tag, attributes in Elements(text).found:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "style" not in attributes and tag not in ("style", "object", "iframe", "img"), tag
        if tag == "script":
            assert str(attributes["src"]).startswith("/static/board.js")
        for name in ("href", "src", "action"):
            assert not str(attributes.get(name) or "").lower().lstrip().startswith(("javascript:", "data:"))


def test_headers_are_on_every_answer(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = entry(board, "Ada", 0.5)
    monkeypatch.setattr(home, "phase_at", None)
    answers = [ada.get(f"/c/tiny{place}") for place in PLACES]
    answers += [
        ada.get(path) for path in ("/nothing", "/c/nothing", "/s/x", "/static/board.css", "/static/x")
    ]
    answers += [ada.get(f"/s/{ada.submission}/file"), ada.get("/"), ada.client.post("/sign-out")]
    answers += [ada.client.delete("/account"), ada.client.head("/account"), ada.get("/api/v1/challenges")]
    assert {answer.status_code for answer in answers} >= {200, 400, 404, 405, 500}
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'")
        assert "unsafe" not in policy
        ancestors = "* file:" if "embed" in str(answer.url) else "'none'"
        assert policy.endswith(f"frame-ancestors {ancestors}")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert "server" not in answer.headers


def test_pages_of_people_are_kept_by_nobody(board: Board) -> None:
    ada = entry(board, "Ada", 0.5)
    for path in ("/", "/account", "/c/tiny/leaderboard", f"/s/{ada.submission}", f"/s/{ada.submission}/file"):
        assert ada.get(path).headers["cache-control"] == "no-store"
    assert Browser(board).get("/").headers["cache-control"] == "no-cache"
    assert "set-cookie" not in Browser(board).get("/c/tiny/leaderboard").headers


@pytest.mark.usefixtures("checked_here")
def test_what_people_type_is_text(board: Board) -> None:
    evil = Browser(board)
    short = "<script>alert(1)</script>'\""
    fields = {"email": "<b>@x.org", "password": PASSWORD}
    assert evil.send("/sign-up", name=short, **fields).status_code == 303
    evil.send("/account/tokens", "/account", name=short)
    evil.send("/c/tiny/team", team=short)
    declared = {"data": EVIL, "cost": EVIL, "card": f"{EVIL}\n\n[x](javascript:alert(1)) ![x](data:x)"}
    answer = upload(evil, predictions(30), f"{EVIL}.csv", **declared)
    assert answer.status_code == 303
    location = answer.headers["location"]
    from web_helpers import finish

    finish(board, location.removeprefix("/s/"), 0.5)
    with board.database.writing() as session, session.begin():
        session.execute(update(Challenge).values(description=EVIL, rules=EVIL, data=EVIL, title=EVIL))
        session.execute(update(Challenge).values(baseline_name=EVIL, baseline_score=0.1))
    seen = [evil.get(path).text for path in ("/", "/account", location, *(f"/c/tiny{x}" for x in PLACES))]
    seen += [Browser(board).get(path).text for path in ("/", *(f"/c/tiny{x}" for x in PLACES[:3]))]
    seen.append(upload(evil, b"<script>alert(1)</script>", f"{EVIL}.csv", **declared).text)
    seen.append(evil.send("/c/tiny/team", "/account", team=EVIL).text)
    seen.append(evil.send("/account/tokens", "/account", name=EVIL).text)
    link = re.search(r"(/join/[^\"]+)\"", evil.send("/c/tiny/team/invite", "/c/tiny/team").text)
    assert link
    seen.append(enter(board, "Bob").get(link[1]).text)
    for text in seen:
        assert_harmless(text)
    assert sum("alert(1)" in text for text in seen) >= 12  # it is shown, as text


@pytest.mark.parametrize(
    "path", ["/sign-in?next={}", "/sign-up?next={}&key={}", "/c/{}", "/c/tiny/leaderboard?phase={}"]
)
def test_what_is_in_an_address_is_text(board: Board, path: str) -> None:
    from urllib.parse import quote

    answer = Browser(board).get(path.format(quote(EVIL, safe=""), quote(EVIL, safe="")))
    assert_harmless(answer.text)


@pytest.mark.parametrize("where", ["page", "upload"])
def test_a_fault_tells_nothing_but_its_number(
    board: Board, where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ada = enter(board, "Ada")
    token = ada.client.cookies["session"]
    if where == "page":

        def fault(*_: Any) -> None:
            raise ValueError("inner workings")

        monkeypatch.setattr(home, "phase_at", fault)
        answer = ada.get("/?secret=5")
    else:

        def fault(*_: Any) -> Any:
            raise scoring.ScorerFault("inner workings")

        monkeypatch.setattr(submitting, "_check", fault)
        answer = upload(ada, b"contents of the file", cost="typed in")
    assert answer.status_code == 500
    number = re.search(r"the number <code>([0-9a-f]{8})</code>", answer.text)
    assert number and "inner workings" not in answer.text and "Traceback" not in answer.text
    logged = caplog.text
    route = "GET /" if where == "page" else "POST /c/{name}/submit"
    assert f"fault {number[1]}: {route}" in logged and "inner workings" in logged
    assert "Traceback" in logged
    for secret in (token, "secret=5", "contents of the file", "typed in", board.settings.secret.hex()):
        assert secret not in logged and secret not in answer.text


def test_passwords_and_tokens_are_in_no_log(
    board: Board, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "httpx")  # the browser's own
    ada = Browser(board).sign_up("Ada")
    secrets = [PASSWORD, ada.client.cookies["session"], "hidden-invitation"]
    ada.send("/sign-in", name="Ada", password="a wrong password")
    with board.database.writing() as session, session.begin():
        from sqlalchemy import text

        session.execute(text("DROP TABLE sign_in"))
    assert ada.get("/join/hidden-invitation").status_code == 500
    assert "fault" in caplog.text
    for secret in (*secrets, "a wrong password", "argon2"):
        assert secret not in caplog.text


def test_errors_name_no_internals(board: Board) -> None:
    ada = enter(board, "Ada")
    answers = [ada.get(path) for path in ("/nothing", "/s/nothing", "/c/x%00y", "/static/..%2fapp.py")]
    answers += [ada.client.post("/c/tiny/team", content=b"\xff", headers={"content-type": "x"})]
    for answer in answers:
        assert answer.status_code in (400, 404)
        assert not re.search(r"Traceback|vipriors/|\.py\b|sqlalchemy|/tmp", answer.text)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/json", b"{}", "expected application/x-www-form-urlencoded"),
        ("application/x-www-form-urlencoded", b"x=" + b"y" * 2**18, "is larger than 262,144 bytes"),
        ("application/x-www-form-urlencoded", b"&".join([b"x=1"] * 1001), "cannot be read"),
        ("application/x-www-form-urlencoded", b"x=%ff", "cannot be read"),
        ("application/x-www-form-urlencoded", b"\xff", "cannot be read"),
    ],
)
def test_odd_forms(board: Board, kind: str, body: bytes, said: str) -> None:
    answer = enter(board, "Ada").client.post("/account/tokens", content=body, headers={"content-type": kind})
    assert answer.status_code == 400 and said in answer.text


@pytest.mark.parametrize("every", [10, 0.02], ids=["stalls", "drips"])
def test_a_sender_who_stalls_or_drips_is_let_go(
    board: Board, every: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    monkeypatch.setattr(bodies, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(bodies, "RATE_AFTER", 0.05)

    async def receive() -> Any:
        await anyio.sleep(every)
        return {"type": "http.request", "body": b"--b\r\n"[:1], "more_body": True}

    async def take() -> None:
        from starlette.requests import Request

        headers = [(b"content-type", b"multipart/form-data; boundary=b")]
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)
        reader = forms.FormReader("multipart/form-data; boundary=b", 1000, lambda form: None)
        with anyio.fail_after(5):
            async with uploads.receiving(request, board, 1, reader):
                pass

    with pytest.raises(bodies.TooSlow):
        anyio.run(take)


@pytest.mark.usefixtures("checked_here")
def test_nothing_is_left_of_an_upload_that_ends_early(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    left = tmp_path / "temporary"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    ada = enter(board, "Ada")
    for content in (b"", b"nonsense", b"x" * 3 * 2**20):
        assert upload(ada, content).status_code == 400
    assert list(left.iterdir()) == []


def test_head_is_get_without_a_body(board: Board) -> None:
    browser = Browser(board)
    head, get = browser.client.head("/sign-in"), browser.client.get("/sign-in")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


def test_static_files_are_kept_for_long_by_their_version(board: Board) -> None:
    browser = Browser(board)
    path = rendering.static_path("board.css")
    assert path in browser.get("/").text
    answer = browser.get(path)
    assert answer.headers["content-type"].startswith("text/css") and b":root" in answer.content
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert browser.get("/static/board.css").headers["cache-control"] == "public, max-age=60"


def test_pages_ask_for_nothing_from_elsewhere(board: Board) -> None:
    ada = entry(board, "Ada", 0.5)
    for path in ("/", "/account", f"/s/{ada.submission}", *(f"/c/tiny{x}" for x in PLACES)):
        for tag, attributes in Elements(ada.get(path).text).found:
            if tag in ("link", "script"):
                address = attributes.get("href") or attributes.get("src")
                assert str(address).startswith("/static/"), path


def test_every_page_has_one_heading_a_language_and_labelled_fields(board: Board) -> None:
    ada = entry(board, "Ada", 0.5)
    paths = ["/", "/account", "/sign-in", "/sign-up", "/nothing", f"/s/{ada.submission}"]
    for path in (*paths, *(f"/c/tiny{x}" for x in PLACES)):
        found = Elements(ada.get(path).text).found
        tags = [tag for tag, _ in found]
        assert tags.count("h1") == 1 and ("html", {"lang": "en"}) in found and tags.count("main") == 1
        labels = {attributes.get("for") for tag, attributes in found if tag == "label"}
        for tag, attributes in found:
            if tag in ("input", "textarea") and attributes.get("type") not in ("hidden", "radio"):
                assert attributes["id"] in labels, (path, attributes)


def test_routes_that_only_look_never_change_anything(board: Board) -> None:
    ada = entry(board, "Ada", 0.5)
    before = content_of(board)
    for route in routes_of(ada.client.app):
        if route.methods == {"GET"} and "/api/" not in route.path:
            path = route.path.replace("{name}", "tiny").replace("{id}", ada.submission)
            ada.get(path.replace("{token}", "x"))
    assert content_of(board) == before


def test_scores_of_baselines_are_those_of_the_records() -> None:
    import json

    from vipriors.board.starting import BASELINES, EMBEDDED
    from vipriors.challenges import embedded

    assert set(EMBEDDED) <= set(embedded())
    folder = Path(__file__).parents[2] / "results"
    for name, (method, score) in BASELINES.items():
        metric = {"digits": "top1", "digits-reid": "mAP"}[name]
        size = {"digits": "n10", "digits-reid": "nown"}[name]
        records = [json.loads(file.read_text()) for file in (folder / name).glob(f"{method}-{size}-s*.json")]
        scores = [record["scores"][metric] for record in records]
        assert len(scores) >= 5 and abs(sum(scores) / len(scores) - score) < 5e-5


def test_a_board_behind_https(tmp_path: Path) -> None:
    browser = Browser(make_board(tmp_path, base_url="https://board.example.org"))
    assert browser.get("/").headers["strict-transport-security"].startswith("max-age=")
