"""What tests of the pages share: browsers, forms, people who are signed in."""

import re
from html import unescape
from typing import Any

from fastapi.testclient import TestClient

from vipriors.board.core import Board
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
