"""What keeps pages and forms safe: headers, cookies, tokens against forged forms, rate limits."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vipriors.board.core import Board, RateLimit
from vipriors.board.signing import LASTS, hash_of

POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors {ancestors}"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
YEAR = 365 * 24 * 3600


class SecurityHeaders:
    """Puts the headers on every answer, also on those of errors.

    Args:
        app: what answers.
        secure: whether the board is reached over HTTPS.
    """

    def __init__(self, app: ASGIApp, secure: bool):
        self.app = app
        self._headers = dict(HEADERS)
        if secure:
            self._headers["Strict-Transport-Security"] = f"max-age={YEAR}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                # A page that may be framed elsewhere has said so itself.
                headers.setdefault("Content-Security-Policy", POLICY.format(ancestors="'none'"))
            await send(message)

        await self.app(scope, receive, send_with_headers)


def let_be_framed(response: Response) -> None:
    """Lets other sites show a page in a frame, and pages that are opened from a folder."""
    response.headers["Content-Security-Policy"] = POLICY.format(ancestors="* file:")


@dataclass(frozen=True)
class RateLimits:
    """How often things may be tried in a minute."""

    sign_in_of_name: RateLimit = field(default_factory=lambda: RateLimit(10, "attempts to sign in"))
    sign_in_from_address: RateLimit = field(default_factory=lambda: RateLimit(30, "attempts to sign in"))
    sign_up_from_address: RateLimit = field(default_factory=lambda: RateLimit(10, "attempts to sign up"))
    password_of_person: RateLimit = field(default_factory=lambda: RateLimit(5, "changes of a password"))
    changes_of_person: RateLimit = field(default_factory=lambda: RateLimit(60, "changes"))


class Cookies:
    """The two cookies: the token of a sign-in, and before it a number that forms are bound to.

    Over HTTPS their names begin with `__Host-`, which no other host or plain connection can set.
    """

    def __init__(self, board: Board):
        self.secure = board.settings.secure
        self._secret = board.settings.secret
        prefix = "__Host-" if self.secure else ""
        self.session, self.stranger = f"{prefix}session", f"{prefix}stranger"

    def set_session(self, response: Response, token: str) -> None:
        """Signs a browser in."""
        self._set(response, self.session, token, int(LASTS.total_seconds()))
        response.delete_cookie(self.stranger, secure=self.secure, httponly=True, samesite="lax")

    def drop_session(self, response: Response) -> None:
        """Signs a browser out."""
        response.delete_cookie(self.session, secure=self.secure, httponly=True, samesite="lax")

    def set_stranger(self, response: Response, number: str) -> None:
        """Remembers, until the browser is closed, what its forms are bound to."""
        self._set(response, self.stranger, number, None)

    def form_token(self, bound_to: str) -> str:
        """What a form must bring along: of a sign-in's token, or of a stranger's number."""
        return hmac.digest(self._secret, f"form {hash_of(bound_to)}".encode(), hashlib.sha256).hex()

    def _set(self, response: Response, name: str, value: str, seconds: int | None) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax"
        )


def new_number() -> str:
    """A number for a stranger."""
    return secrets.token_urlsafe(18)


def is_right(given: str, expected: str) -> bool:
    """Whether a token is the right one; takes as long for any wrong one."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def local_path(given: str) -> str:
    """Where to go after signing in: the path if it is one of this board, else the first page."""
    if not given.startswith("/") or given.startswith(("//", "/\\")) or "\\" in given:
        return "/"
    if not given.isprintable() or not given.isascii() or " " in given:
        return "/"
    parts = urlsplit(given)
    return given if not parts.scheme and not parts.netloc else "/"


def address_of(request: Request) -> str:
    """Whom a rate limit counts a request to: an IPv4 address, or a subscriber's IPv6 network."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host
