"""What visitors are told when something cannot be done, and the log when the board is at fault."""

from __future__ import annotations

import logging
import math
import secrets

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vipriors.board.core import Forbidden, NotFound, TooMany
from vipriors.board.web.api_errors import is_of_program, problems_response
from vipriors.board.web.bodies import TooSlow
from vipriors.board.web.rendering import render
from vipriors.board.web.visiting import SignInFirst, sign_in_path, visitor_of
from vipriors.problems import BadInput, Problem

log = logging.getLogger(__name__)

TITLES = {
    400: "That cannot be used",
    403: "That is not allowed",
    404: "There is no such page",
    405: "That cannot be done here",
    408: "That took too long",
    413: "That is too large",
    429: "Too many, too soon",
}


class Guard:
    """Answers a fault of the board with a page that tells nothing of it, and logs it under the page's id.

    The log has the route and the traceback: no address with its tokens, no body, no header.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception:
            # Whatever it is, whoever asked must get an answer, and not this one.
            name = secrets.token_hex(4)
            route = getattr(scope.get("route"), "path", "no route")
            log.exception("fault %s: %s %s", name, scope["method"], route)
            if begun:
                raise
            await _fault(scope, name)(scope, receive, send)


def _fault(scope: Scope, name: str) -> Response:
    if is_of_program(scope):
        return problems_response(500, [Problem("board", f"fault {name}, which is not yours")])
    text = render("fault.html.jinja", name=name, person=None, visitor=None)
    return HTMLResponse(text, 500, {"Cache-Control": "no-store"})


def add_handlers(app: FastAPI) -> None:
    """Makes pages of what pages raise."""

    @app.exception_handler(BadInput)
    def bad_input(request: Request, error: BadInput) -> Response:
        return error_page(request, 400, problems=error.problems)

    @app.exception_handler(Forbidden)
    def forbidden(request: Request, error: Forbidden) -> Response:
        return error_page(request, 403, str(error))

    @app.exception_handler(NotFound)
    def not_found(request: Request, error: NotFound) -> Response:
        return error_page(request, 404)

    @app.exception_handler(TooMany)
    def too_many(request: Request, error: TooMany) -> Response:
        response = error_page(request, 429, str(error))
        response.headers["Retry-After"] = str(math.ceil(error.seconds))
        return response

    @app.exception_handler(TooSlow)
    def too_slow(request: Request, error: TooSlow) -> Response:
        response = error_page(request, 408, problems=error.problems)
        response.headers["Connection"] = "close"
        return response

    @app.exception_handler(SignInFirst)
    def sign_in_first(request: Request, error: SignInFirst) -> Response:
        return visitor_of(request).go(sign_in_path(request) if request.method == "GET" else "/sign-in")

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        places = [" ".join(map(str, fault["loc"][1:])) for fault in error.errors()]
        problems = [
            Problem(place or "request", fault["msg"])
            for place, fault in zip(places, error.errors(), strict=True)
        ]
        return error_page(request, 400, problems=problems)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        if is_of_program(request.scope):
            problem = Problem("request", TITLES.get(error.status_code, str(error.detail)))
            response = problems_response(error.status_code, [problem])
        else:
            response = error_page(request, error.status_code)
        response.headers.update(error.headers or {})
        return response


def error_page(
    request: Request, status: int, said: str = "", problems: list[Problem] | None = None
) -> Response:
    """A page that says what was wrong."""
    title = TITLES.get(status, "That did not work")
    return visitor_of(request).page(
        "error.html.jinja", status, title=title, said=said, problems=problems or []
    )
