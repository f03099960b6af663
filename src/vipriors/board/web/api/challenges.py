"""Challenges, their phases and leaderboards, for everybody."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from sqlalchemy.orm import Session

from vipriors.board import models, service, viewing
from vipriors.board.core import NotFound
from vipriors.board.models import now
from vipriors.board.table import csv_of
from vipriors.board.viewing import Viewer
from vipriors.board.web import api_models as answers
from vipriors.board.web.api.calling import Anybody, Caller, Name
from vipriors.board.web.api_errors import Route, errors
from vipriors.board.web.caching import PageCache, address_of
from vipriors.board.web.downloads import saved_as

FRESH_SECONDS = 10
"""How long others may show a leaderboard again without asking."""

PhaseName = Annotated[
    str | None,
    Query(description="By default the phase that began last."),
]

routes = APIRouter(route_class=Route, tags=["challenges"])


@routes.get("/challenges", responses=errors(401))
def list_challenges(call: Anybody, response: Response) -> list[answers.ChallengeSummary]:
    """The challenges, the newest first."""
    response.headers.update(_public(call))
    with call.reading() as session:
        found = viewing.challenges(session, call.viewer)
        return [answers.ChallengeSummary.model_validate(each) for each in found]


@routes.get("/challenges/{name}", responses=errors(401, 404, 422))
def get_challenge(call: Anybody, response: Response, name: Name) -> answers.Challenge:
    """A challenge: its description, rules, data and phases."""
    response.headers.update(_public(call))
    with call.reading() as session:
        return answers.Challenge.seen(viewing.challenge(session, call.viewer, name), now())


@routes.get("/challenges/{name}/phases", responses=errors(401, 404, 422))
def list_phases(call: Anybody, response: Response, name: Name) -> list[answers.Phase]:
    """The phases of a challenge, in their order."""
    response.headers.update(_public(call))
    with call.reading() as session:
        phases = viewing.challenge(session, call.viewer, name).phases
        return [answers.Phase.of(phase, now()) for phase in phases]


@routes.get(
    "/challenges/{name}/leaderboard",
    response_model=answers.Leaderboard,
    responses={304: {"description": "The same as with that ETag."}, **errors(401, 404, 422)},
)
def get_leaderboard(
    request: Request,
    call: Anybody,
    name: Name,
    phase: PhaseName = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The leaderboard of a phase, for everybody to embed: of each team the submission that stands."""

    def make() -> Response:
        with call.reading() as session:
            found = _phase(session, call.viewer, name, phase)
            text = answers.Leaderboard.of(found, service.leaderboard(session, found)).model_dump_json()
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        return Response(text, headers={**_public(call), "ETag": tag}, media_type="application/json")

    answer = _shared(request, call, make)
    if answer.headers["etag"] in (if_none_match or "").replace("W/", "").replace(" ", "").split(","):
        headers = {key: value for key, value in answer.headers.items() if not key.startswith("content-")}
        return Response(status_code=304, headers=headers)
    return answer


@routes.get(
    "/challenges/{name}/leaderboard.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "A table."}, **errors(401, 404, 422)},
)
def get_leaderboard_as_csv(request: Request, call: Anybody, name: Name, phase: PhaseName = None) -> Response:
    """The leaderboard of a phase as a table with scores."""

    def make() -> Response:
        with call.reading() as session:
            found = _phase(session, call.viewer, name, phase)
            text = csv_of(service.leaderboard(session, found))
        headers = {**_public(call), "Content-Disposition": saved_as(f"{name}-{found.name}.csv")}
        return Response(text, headers=headers, media_type="text/csv")

    return _shared(request, call, make)


def _shared(request: Request, call: Caller, make: Callable[[], Response]) -> Response:
    """An answer that is made once for all strangers, and for each caller with a token."""
    pages: PageCache = request.app.state.pages
    return make() if call.person else pages.get(address_of(request.scope), make)


def _public(call: Caller) -> dict[str, str]:
    """Headers of what everybody may see; what came with a token may hold more and is nobody else's."""
    if call.person is not None:
        return {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
    return {
        "Cache-Control": f"public, max-age={FRESH_SECONDS}",
        "Vary": "Authorization",
        "Access-Control-Allow-Origin": "*",
    }


def _phase(session: Session, viewer: Viewer, name: str, phase: str | None) -> models.Phase:
    if phase is not None:
        return viewing.phase(session, viewer, name, phase)
    phases = viewing.challenge(session, viewer, name).phases
    if not phases:
        raise NotFound(f"phase of challenge {name!r}")
    begun = [each for each in phases if each.start <= now()]
    return max(begun, key=lambda each: each.start) if begun else phases[0]
