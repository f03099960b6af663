"""What tests of the pages share: browsers, forms, people who are signed in."""

import re
from html import unescape
from typing import Any

from board_helpers import add_person, look, queue
from fastapi.testclient import TestClient

from vipriors.board import jobs, signing
from vipriors.board.core import Board
from vipriors.board.models import Person, Row, Submission
from vipriors.board.web.app import make_app

PASSWORD = "correct horse battery"


def routes_of(app: Any) -> list[Any]:
    """All routes, those of included routers too."""
    found = []
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        found += [route] if inner is None else routes_of(inner)
    return found


class Browser:
    """Somebody's browser: keeps cookies, follows redirects, fills in forms as a page gives them."""

    def __init__(self, board: Board, app: Any = None):
        self.board = board
        self.client = TestClient(
            app or make_app(board), base_url=board.settings.base_url, raise_server_exceptions=False
        )

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def form_token(self, path: str) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get(path).text)
        assert found, f"no form on {path}"
        return unescape(found[1])

    def send(self, action: str, page: str = "", follow: bool = False, **fields: Any) -> Any:
        """Sends the form of a page (by default the one at its action's own path)."""
        fields = {"form_token": self.form_token(page or action), **fields}
        return self.client.post(action, data=fields, follow_redirects=follow)

    def sign_up(self, name: str) -> "Browser":
        answer = self.send("/sign-up", name=name, email=f"{name}@example.org", password=PASSWORD)
        assert answer.status_code == 303, answer.text
        return self


KIND = "multipart/form-data; boundary=b"
"""Of the bodies that `form` begins."""


def enter(board: Board, name: str, admin: bool = False) -> Browser:
    """A browser that is signed in as somebody new."""
    person = add_person(board, name)
    if admin:
        with board.database.writing() as session, session.begin():
            session.get_one(Person, person.id).admin = True
    browser = Browser(board)
    browser.person = person
    browser.client.cookies.set("session", signing.start(board, person.id))
    return browser


def finish(board: Board, submission: str, value: float, half: float = 0.02) -> None:
    """Scores a submission, as if a worker had."""
    work = jobs.begin(board.database, submission, look(board, submission).due)
    per_class = [{"class": name, "n": 10, "recall": value} for name in "abcd"]
    record = {
        "task": "classification",
        "headline": "top1",
        "scores": {"top1": value},
        "intervals": {"top1": [value - half, value + half]},
        "details": {"n_test": 20, "per_class": per_class, "confusion": [[17, 23, 0, 0, 0]]},
    }
    assert work and jobs.finish(board.database, work, {"public": record, "private": record, "all": record})


def entry(board: Board, name: str, value: float, salt: int = 0, **changes: Any) -> Browser:
    """Somebody whose submission is scored."""
    browser = enter(board, name)
    browser.submission = queue(board, browser.person, 40, salt)
    finish(board, browser.submission, value)
    with board.database.writing() as session, session.begin():
        for column, given in changes.items():
            setattr(session.get_one(Submission, browser.submission), column, given)
    return browser


def upload(browser: Browser, content: bytes, name: str = "predictions.csv", /, **fields: Any) -> Any:
    fields = {"form_token": browser.form_token("/c/tiny/submit"), **fields}
    files = {"file": (name, content, "text/csv")}
    return browser.client.post("/c/tiny/submit", data=fields, files=files, follow_redirects=False)


def words(answer: Any) -> str:
    """What a reader sees of a page."""
    text = re.sub(r"<(script|style|svg|title)\b.*?</\1>", " ", answer.text, flags=re.S)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


def form(token: str) -> bytes:
    """A form up to where its file begins."""
    part = "--b\r\nContent-Disposition: form-data; name="
    return f'{part}"form_token"\r\n\r\n{token}\r\n{part}"file"; filename="p.csv"\r\n\r\n'.encode()


def content_of(board: Board) -> dict[str, list[Any]]:
    """Every row of every table."""
    with board.database.reading() as session:
        return {
            table.name: [tuple(row) for row in session.execute(table.select())]
            for table in Row.metadata.sorted_tables
        }
