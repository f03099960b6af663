"""How the HTTP interface answers what cannot be done: always with a list of problems."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.types import Scope

from vipriors.board.core import Forbidden, NotFound, TooMany
from vipriors.board.scoring import ScorerFault
from vipriors.board.store import TooLarge
from vipriors.board.submitting import NotNow
from vipriors.board.web.api_models import OneProblem, Problems
from vipriors.board.web.bodies import TooSlow, drain
from vipriors.problems import BadInput, Problem

log = logging.getLogger(__name__)

MEANINGS = {
    401: "No token, or one that is not valid.",
    403: "The person may not do this.",
    404: "There is no such thing, or none that the person may know of.",
    408: "The body came too slowly.",
    409: "Not at this moment: no phase is open, the quota is used, or it is too late.",
    413: "The file is too large.",
    415: "A body of another type than is taken.",
    422: "Something that was given is wrong; lists everything.",
    429: "Too many uploads in a minute, or at the same time.",
    503: "The board cannot do it now, which is its own fault.",
}
_STATUS: tuple[tuple[type[BadInput], int], ...] = (
    (TooLarge, 413),
    (TooSlow, 408),
    (NotNow, 409),
    (BadInput, 422),
)


class NoToken(Exception):
    """The request needs a valid token."""


class OtherType(Exception):
    """The body is of another type than is taken."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the description of a route: what it answers with a list of problems."""
    return {status: {"model": Problems, "description": MEANINGS[status]} for status in statuses}


def problems_response(
    status: int, problems: Sequence[Problem], headers: dict[str, str] | None = None
) -> Response:
    """An answer with a list of problems."""
    found = Problems(problems=[OneProblem(place=each.place, message=each.message) for each in problems])
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(found.model_dump_json(), status, headers, "application/json")


def is_of_program(scope: Scope) -> bool:
    """Whether a request is one to the HTTP interface, and none for a page."""
    return str(scope["path"]).startswith("/api/")


class Route(APIRoute):
    """A route whose errors are lists of problems."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """What answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                await drain(request)
                return problems_response(422, _of_validation(error))
            except BadInput as error:
                status = next(status for kind, status in _STATUS if isinstance(error, kind))
                # Who sends too slowly would go on for long.
                headers = {"Connection": "close"} if status == 408 else None
                return problems_response(status, error.problems, headers)
            except NoToken:
                await drain(request)
                problem = Problem("token", "is missing or not valid; expected Authorization: Bearer vip_…")
                return problems_response(401, [problem], {"WWW-Authenticate": "Bearer"})
            except Forbidden as error:
                return problems_response(403, [Problem("account", str(error))])
            except NotFound as error:
                return problems_response(404, [Problem(str(error), "there is none")])
            except OtherType as error:
                return problems_response(415, [Problem("Content-Type", str(error))])
            except TooMany as error:
                headers = {"Retry-After": str(math.ceil(error.seconds))}
                return problems_response(429, [Problem("account", str(error))], headers)
            except ScorerFault as error:
                log.error("a file could not be checked: %s", error)
                message = "could not check the file, which is not its fault; send it again later"
                return problems_response(503, [Problem("board", message)], {"Retry-After": "30"})

        return answer


def _of_validation(error: RequestValidationError) -> list[Problem]:
    return [Problem(", ".join(map(str, fault["loc"])), str(fault["msg"])) for fault in error.errors()]
