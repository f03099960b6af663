"""The board as a web application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vipriors.board.core import Board, NotFound
from vipriors.board.web import api, errors
from vipriors.board.web.caching import PageCache, Shortcut
from vipriors.board.web.pages import (
    account,
    admin,
    challenge,
    home,
    judging,
    leaderboard,
    organizing,
    submissions,
    submitting,
    teams,
)
from vipriors.board.web.rendering import static_files
from vipriors.board.web.security import YEAR, Cookies, RateLimits, SecurityHeaders
from vipriors.board.web.uploads import WORKED_ON

PAGES = (home, account, challenge, leaderboard, submitting, submissions, teams, organizing, judging, admin)
API = "/api/v1"

static = APIRouter(include_in_schema=False)


@static.get("/static/{name}")
def static_file(name: str, v: str = "") -> Response:
    """A style sheet, script or picture."""
    if name not in static_files():
        raise NotFound(name)
    content, kind, version = static_files()[name]
    keep = f"public, max-age={YEAR}, immutable" if v == version else "public, max-age=60"
    return Response(content, media_type=kind, headers={"Cache-Control": keep})


class HeadAsGet:
    """Answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if "body" in message else message)

        await self.app({**scope, "method": "GET"}, receive, send_without_body)


def make_app(board: Board, *, worker: bool = False) -> FastAPI:
    """The application.

    Args:
        board: the board.
        worker: whether this process scores, too.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if not worker:
            yield
            return
        from vipriors.board.worker import Process

        process = Process(board)
        await to_thread.run_sync(process.start)
        try:
            yield
        finally:
            await to_thread.run_sync(process.stop)

    app = FastAPI(
        title="vipriors board",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.board = board
    app.state.cookies = Cookies(board)
    app.state.limits = RateLimits()
    app.state.pages = PageCache(board.database)
    app.state.uploads = CapacityLimiter(WORKED_ON)
    for module in PAGES:
        app.include_router(module.router)
    app.include_router(static)
    app.include_router(api.routes, prefix=API)
    errors.add_handlers(app)
    app.add_middleware(errors.Guard)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Shortcut, pages=app.state.pages)
    app.add_middleware(SecurityHeaders, secure=board.settings.secure)
    return app
