"""Who looks at a page, and what a page needs to answer: the board, the visitor, templates, forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from vipriors.board.core import Board, Forbidden
from vipriors.board.models import Person
from vipriors.board.signing import signed_in
from vipriors.board.viewing import Viewer, viewer_of
from vipriors.board.web import security
from vipriors.board.web.bodies import pieces
from vipriors.board.web.caching import PageCache, address_of
from vipriors.board.web.forms import LARGEST_FORM, Form
from vipriors.board.web.rendering import render
from vipriors.board.web.security import Cookies, RateLimits
from vipriors.problems import BadInput, Problem

EXPIRED = "this form has expired or comes from another site; go back, load the page again and resend it"


class SignInFirst(Exception):
    """The page is for people who are signed in."""


@dataclass(frozen=True)
class Visitor:
    """Somebody who looks at a page, and what is needed to answer them.

    Attributes:
        person: None for a stranger.
        token: what the forms of the visitor are bound to: of the sign-in, or a stranger's number.
        new: whether the stranger's number has yet to be handed out.
    """

    request: Request
    board: Board
    cookies: Cookies
    limits: RateLimits
    person: Person | None
    token: str
    new: bool

    @property
    def signed_in(self) -> Person:
        """The person.

        Raises:
            SignInFirst: there is none.
        """
        if self.person is None:
            raise SignInFirst
        return self.person

    @property
    def viewer(self) -> Viewer:
        """What decides on what the visitor may see."""
        return viewer_of(self.person)

    @property
    def form_token(self) -> str:
        """What this visitor's forms must bring along."""
        return self.cookies.form_token(self.token)

    def reading(self) -> Session:
        """A session of the database that changes nothing."""
        return self.board.database.reading()

    def writing(self) -> Session:
        """A session of the database that may change things."""
        return self.board.database.writing()

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page. Within the database session whose rows it shows."""
        text = render(template, visitor=self, person=self.person, **context)
        response = HTMLResponse(text, status)
        # Nothing of a person is kept by caches, or seen with the back button after signing out.
        response.headers["Cache-Control"] = "no-store" if self.person else "no-cache"
        response.headers["Vary"] = "Cookie"
        if self.new and f'value="{self.form_token}"' in text:
            self.cookies.set_stranger(response, self.token)
        return response

    def public(self, make: Callable[[], Response]) -> Response:
        """A page of which all strangers get the same: made once for all until something changes."""
        if self.person is not None:
            return make()
        cache: PageCache = self.request.app.state.pages
        return cache.get(address_of(self.request.scope), make)

    def go(self, path: str) -> Response:
        """Sends the visitor to another page, after something was done."""
        return RedirectResponse(path, 303)

    def take_change(self) -> None:
        """Counts a change that a person makes.

        Raises:
            TooMany: there were too many.
        """
        self.limits.changes_of_person.take(self.signed_in.id)


def visitor_of(request: Request) -> Visitor:
    """The visitor who sent a request."""
    state = request.app.state
    board: Board = state.board
    cookies: Cookies = state.cookies
    person = None
    if token := request.cookies.get(cookies.session, ""):
        with board.database.reading() as session:
            found = signed_in(session, token)
            person = found.person if found else None
    if person is None:
        token = request.cookies.get(cookies.stranger, "")
    new = person is None and not token
    return Visitor(request, board, cookies, state.limits, person, token or security.new_number(), new)


Visit = Annotated[Visitor, Depends(visitor_of)]


def person_of(visit: Visit) -> Visitor:
    """The visitor, who must be signed in."""
    assert visit.signed_in
    return visit


SignedIn = Annotated[Visitor, Depends(person_of)]


async def form_of(request: Request, visit: Visit) -> Form:
    """The fields of a form that this visitor was given.

    Raises:
        Forbidden: the form was not made for this visitor.
        TooSlow: it stalled or dripped.
        BadInput: it is none, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadInput.single("form", "expected application/x-www-form-urlencoded")
    body = bytearray()
    async for piece in pieces(request):
        body += piece
        if len(body) > LARGEST_FORM:
            raise BadInput.single("form", f"is larger than {LARGEST_FORM:,} bytes")
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:
        raise BadInput.single("form", "cannot be read; expected UTF-8") from None
    form = Form([(name, value.replace("\r\n", "\n")) for name, value in fields])
    check_form_token(visit, form["form_token"])
    return form


def check_form_token(visit: Visitor, given: str) -> None:
    """Refuses a form that was not made for this visitor.

    Raises:
        Forbidden: it was not.
    """
    if visit.new or not security.is_right(given, visit.form_token):
        raise Forbidden(EXPIRED)


Filled = Annotated[Form, Depends(form_of)]


def sign_in_path(request: Request) -> str:
    """The page to sign in, from which one comes back to the page asked for."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?next={quote(path, safe='/')}"


def by_field(problems: list[Problem]) -> dict[str, list[str]]:
    """Problems of a form under the names of its fields."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.place, []).append(problem.message)
    return found
